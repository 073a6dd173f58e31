//! Stock of several versions and we write to one repository in random turns, and some of what there is gets lost.
//!
//! After each step the archives are what they were made of, as somebody else than the last one who wrote restores them, the
//! index says what the log says, and no counter value was used twice, be it by two of us. In the end each stock verifies all data. Where there is a borg 1.1
//! it joins in; its archives count where nothing is authenticated.

mod step;
mod world;

use std::fmt;
use std::thread;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::segments;
use worldkeeper_testkit::strace;

use crate::place::{PASSPHRASES, Place};
use step::Step;

#[test]
fn gate_taking_turns() {
    if Borg::all().is_empty() || !strace::is_there() {
        return;
    }
    let cases: Vec<_> = (0..gate::amount(100, 1000)).map(|number| Case { number: number as u64 }).collect();
    let borgs = || Borg::all().into_iter().chain(Borg::old()).map(Borg::warmed).collect::<Vec<_>>();
    gate::each(&cases, borgs, |borgs, case| {
        borgs.iter_mut().for_each(Borg::forget);
        let one = case.number as usize % borgs.len();
        // With one stock a sequence takes half the time.
        let is_mixed = gate::is_nightly() || case.number.is_multiple_of(10);
        let mut turns = Turns::begin(case, if is_mixed { borgs } else { &borgs[one..=one] });
        let steps = 2 + turns.random.below(3);
        for _ in 0..steps {
            let step = Step::draw(&mut turns);
            turns.said.0.push(step.to_string());
            step.take(&mut turns);
            turns.is_well();
        }
        turns.ends_well();
    });
}

const MODES: [&str; 6] = ["none", "repokey", "repokey-blake2", "authenticated-blake2", "keyfile", "keyfile-blake2"];

/// A sequence, which follows from the seed and its number.
struct Case {
    number: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {}", self.number)
    }
}

/// A sequence under way.
struct Turns<'a> {
    place: Place,
    borgs: &'a [Borg],
    random: Random,
    mode: &'static str,
    /// Archives made so far, to name the next.
    made: usize,
    /// Stock has used counter values twice, so that it is no longer told whether we do.
    is_counter_spoilt: bool,
    said: Said,
}

impl<'a> Turns<'a> {
    /// One of us makes the repository.
    fn begin(case: &Case, borgs: &'a [Borg]) -> Self {
        let mut random = Random::of(case.number);
        let mode = *random.pick(&MODES);
        let mut place = Place::new(mode);
        if mode == MODES[0] {
            place.keeper = place.keeper.without("BORG_PASSPHRASE");
        }
        let said = Said(vec![format!("{case} in mode {mode}")]);
        let mut turns = Self { place, borgs, random, mode, made: 0, is_counter_spoilt: false, said };
        match turns.random.below(borgs.len() + 1).checked_sub(1) {
            Some(number) => {
                turns.said.0.push(format!("{} makes the repository", borgs[number]));
                let repository = turns.repository();
                let _ = turns.stock(number, &["init", "--encryption", mode, &repository]);
                if turns.random.below(2) == 0 {
                    turns.place.split();
                }
            }
            None => turns.said.0.push("we make the repository".to_owned()),
        }
        let first = turns.random.below(borgs.len() + 1).checked_sub(1).filter(|_| turns.exists());
        let first = Step::Create(first.filter(|number| turns.may_write(*number)));
        turns.said.0.push(first.to_string());
        first.take(&mut turns);
        turns.assert_counter_never_reused();
        turns
    }

    /// Runs a stock borg, which must have nothing to complain of.
    #[track_caller]
    fn stock(&self, number: usize, args: &[&str]) -> Vec<String> {
        self.place.stock(&self.borgs[number], PASSPHRASES[0], args).exits(0).lines()
    }

    fn repository(&self) -> String {
        self.place.keeper.repository().to_str().expect("paths of tests are text").to_owned()
    }

    /// Whether a stock borg makes archives that all others accept.
    fn may_write(&self, number: usize) -> bool {
        self.mode == MODES[0] || !self.borgs[number].is_old()
    }

    fn exists(&self) -> bool {
        self.place.keeper.repository().exists()
    }

    /// The archives as one of us lists them.
    #[track_caller]
    fn archives(&self, who: Option<usize>) -> Vec<String> {
        match who {
            None => self.place.keeper.archives(),
            Some(number) => self.stock(number, &["list", "--short", &self.repository()]),
        }
    }

    /// One of us, at random; `None` is Worldkeeper.
    fn anybody(&mut self) -> Option<usize> {
        self.random.below(self.borgs.len() + 1).checked_sub(1)
    }

    /// What must hold after every step. Stock restores one of the archives, we the others: a look of ours costs a third
    /// of one of stock's.
    #[track_caller]
    fn is_well(&mut self) {
        let who = self.anybody();
        let stock = self.random.below(self.borgs.len());
        let one = self.random.below(self.place.trees.len().max(1));
        let mut found = self.archives(who);
        found.sort();
        let expected: Vec<_> = self.place.trees.keys().cloned().collect();
        assert_eq!(found, expected, "listed by {}", self.name(who));
        segments::assert_index_agrees(&self.place.keeper.repository());
        self.assert_counter_never_reused();
        for (number, (name, tree)) in self.place.trees.iter().enumerate() {
            if number == one {
                self.place.stock_restores(&self.borgs[stock], PASSPHRASES[0], name, tree);
            } else {
                self.place.restores(name, tree);
            }
        }
    }

    /// Asserts that none of us has used a counter value that another one has used.
    #[track_caller]
    fn assert_counter_never_reused(&self) {
        if !self.is_counter_spoilt {
            self.place.assert_counter_never_reused();
        }
    }

    /// What must hold in the end.
    #[track_caller]
    fn ends_well(&self) {
        for number in 0..self.borgs.len() {
            let _ = self.stock(number, &["check", "--verify-data", &self.repository()]);
        }
    }

    fn name(&self, who: Option<usize>) -> String {
        who.map_or_else(|| "us".to_owned(), |number| self.borgs[number].to_string())
    }
}

/// The steps so far, told if one goes wrong.
struct Said(Vec<String>);

impl Drop for Said {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0.join("\n  "));
        }
    }
}
