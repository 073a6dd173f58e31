//! One point at which a run is killed, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::strace::{self, Call, Count, Delay};
use worldkeeper_testkit::tree::listing;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{gate, segments};
use worldkeeper_tests::locks;

use super::{After, Verb};
use crate::beginning::Beginning;
use crate::place::{PASSPHRASES, Place};

/// A call of a run, and the how manieth point it is.
pub(super) struct Point {
    number: usize,
    pub(super) call: Call,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "point {}, killed at {}", self.number, self.call)
    }
}

/// A run, and what it begins from again and again.
pub(super) trait Scene: Send {
    /// The calls with which it changes something.
    fn calls(&self) -> &[Call];

    /// How many of so many points may be missed.
    fn may_miss(&self, count: usize) -> usize {
        1 + count / 10
    }

    /// Kills the run at a point and sees what comes of it; returns whether it was killed there.
    fn killed_at(&mut self, point: &Point) -> bool;
}

/// Kills the verb that `prepare` returns at `sample` of the calls with which it changes something, at night at all of
/// them; each time from the same beginning.
#[track_caller]
pub(super) fn killed_anywhere(mode: &str, sample: usize, prepare: impl Fn(&mut Place) -> Verb + Sync) {
    at_any_call(sample, || Run::new(mode, &prepare));
}

/// The same for the run that `scene` returns.
#[track_caller]
pub(super) fn at_any_call<S: Scene>(sample: usize, scene: impl Fn() -> S + Sync) {
    if !strace::is_there() {
        return;
    }
    let first = scene();
    let total = first.calls().len();
    let count = gate::amount(sample.min(total), total);
    // An even sample, and another one under another seed.
    let (step, random) = (total / count, gate::Random::of(0).below(total));
    let numbers = (0..count).map(|index| (index * total / count + random % step) % total);
    let points: Vec<_> = numbers.map(|number| Point { number, call: first.calls()[number].clone() }).collect();
    let may_miss = first.may_miss(count);
    let (first, hit) = (Mutex::new(Some(first)), AtomicUsize::new(0));
    let take_first = || first.lock().expect("nobody panics here").take();
    gate::each(
        &points,
        || take_first().unwrap_or_else(&scene),
        |scene, point| {
            if scene.killed_at(point) {
                hit.fetch_add(1, Ordering::Relaxed);
            } else {
                println!("elsewhere than at {point}");
            }
        },
    );
    // Those that were missed were killed as well, but elsewhere: a path that is drawn anew in a thread that another one
    // overtakes cannot be told from that other's.
    let hit = hit.into_inner();
    println!("killed where it was meant at {hit} of {count} points, of {total} that there are");
    assert!(count - hit <= may_miss, "only {hit} of {count} points were hit");
}

/// Kills a run at the call that is `call` in its trace, each time from what `begin` makes, until it is killed there;
/// returns whether it was. Threads share the work differently each time, so that one try may miss.
pub(super) fn killed(
    keeper: &Worldkeeper,
    args: &[String],
    (call, calls): (&Call, &[Call]),
    delay: Option<Delay>,
    begin: impl Fn(),
) -> bool {
    // The point may have been found in a trace of another place.
    let call = calls.iter().find(|known| known.is_same(call)).unwrap_or(call);
    let counts: &[_] =
        if delay.is_none() { &[Count::OnPath, Count::OfThread] } else { &[Count::OfThread, Count::OnPath] };
    counts.iter().cycle().take(TRIES).any(|count| {
        begin();
        strace::killed_at(keeper, args, call, *count, delay)
    })
}

/// How often a point is tried.
const TRIES: usize = 6;

/// A verb, what was there before it, and what it makes of that.
struct Run {
    place: Place,
    verb: Verb,
    beginning: Beginning,
    calls: Vec<Call>,
    old: BTreeSet<String>,
    new: BTreeSet<String>,
    borgs: Vec<Borg>,
}

impl Run {
    fn new(mode: &str, prepare: impl Fn(&mut Place) -> Verb) -> Self {
        let mut place = Place::new(mode);
        place.change_world("nothing yet");
        let verb = prepare(&mut place);
        let is_old = |name: &&String| !verb.makes.contains(name);
        let old = place.trees.keys().filter(is_old).cloned().collect();
        let beginning = Beginning::of(&place);
        // What is copied to its place is a copy here as well: its state gives itself a new identity.
        beginning.restore();
        let calls = strace::delayed_mutating_calls(&verb.keeper, &verb.args, verb.delay);
        assert!(!calls.is_empty(), "{:?} changes nothing", verb.args);
        if verb.after == After::AnyPassphrase {
            place.keeper = opens(&place);
        }
        let new = place.keeper.archives().into_iter().collect();
        let borgs = Borg::all().into_iter().map(Borg::warmed).collect();
        Self { place, verb, beginning, calls, old, new, borgs }
    }

    /// Beside the archive that the next run has added, there are the old ones or the new ones.
    fn is_old_or_new(&self, added: &str) {
        let mut found: BTreeSet<_> = self.place.keeper.archives().into_iter().collect();
        assert!(found.remove(added), "{added} is not there");
        let names = |expected: &BTreeSet<String>| {
            // What the command made is named after the time it ran at.
            let known = expected.iter().filter(|name| self.old.contains(*name) || found.contains(*name));
            (known.cloned().collect::<BTreeSet<_>>(), expected.len())
        };
        let kept: BTreeSet<_> =
            found.iter().filter(|name| self.old.contains(*name) || self.new.contains(*name)).cloned().collect();
        let is = [&self.old, &self.new].map(|expected| names(expected) == (kept.clone(), found.len()));
        assert!(is[0] || is[1], "{:?}, or {:?}, became {found:?}", self.old, self.new);
    }

    /// Every archive is what it was made of, no lock is left, and stock has nothing to say; every tenth time it is
    /// asked about everything.
    fn restores_everything(&mut self, added: &str, number: usize) {
        let Self { place, borgs, .. } = self;
        let repository = place.keeper.repository();
        assert!(locks(&repository).is_empty(), "{:?}", locks(&repository));
        segments::assert_index_agrees(&repository);
        let world = listing(&place.keeper.world());
        // Within the same second the new archive gets the name that a deleted one had.
        let tree = |name: &String| place.trees.get(name).filter(|_| name != added).unwrap_or(&world);
        let trees: BTreeMap<_, _> =
            place.keeper.archives().into_iter().map(|name| (name.clone(), tree(&name))).collect();
        for (name, tree) in &trees {
            place.restores(name, tree);
        }
        let passphrase = passphrase(place);
        let location = repository.to_str().expect("paths of tests are text");
        let everything = number.is_multiple_of(10);
        let words: &[&str] = if everything { &["check", "--verify-data", location] } else { &["check", location] };
        let asked = if everything { borgs.len() } else { 1.min(borgs.len()) };
        for borg in &mut borgs[..asked] {
            // It has seen the repository further on, at an earlier point.
            borg.forget();
            let _ = place.stock(borg, passphrase, words).exits(0);
            if everything {
                for (name, tree) in &trees {
                    place.stock_restores(borg, passphrase, name, tree);
                }
            }
        }
    }
}

impl Scene for Run {
    fn calls(&self) -> &[Call] {
        &self.calls
    }

    fn may_miss(&self, count: usize) -> usize {
        // `strace` cannot look at one path alone and delay a call on another: these are counted in their threads.
        if self.verb.delay.is_some() { count / 3 } else { 1 + count / 10 }
    }

    fn killed_at(&mut self, point: &Point) -> bool {
        let Verb { keeper, args, delay, .. } = &self.verb;
        let is_hit = killed(keeper, args, (&point.call, &self.calls), *delay, || self.beginning.restore());

        let mut counters = Counters::default();
        let before = identity(&self.place);
        for earlier in [Some(&self.beginning.repository()), self.verb.discarded.as_ref()].into_iter().flatten() {
            counters.directory(earlier);
        }
        counters.directory(&self.place.keeper.repository());
        let is_odd = point.number % 2 == 1;
        match self.verb.after {
            After::Backup => {}
            After::PerhapsAgain if !is_odd => {}
            After::PerhapsAgain | After::Again => _ = self.verb.keeper.run(&self.verb.args),
            After::AnyPassphrase => self.place.keeper = opens(&self.place),
        }
        let added = self.place.keeper.backup();
        if identity(&self.place) != before {
            // What was killed before it was a repository is made anew, with another key.
            counters = Counters::default();
        }
        counters.directory(&self.place.keeper.repository());
        self.is_old_or_new(&added);
        self.restores_everything(&added, point.number);
        is_hit
    }
}

/// The repository's id, as far as there is one.
fn identity(place: &Place) -> Option<String> {
    let config = fs::read_to_string(place.keeper.repository().join("config")).ok()?;
    config.lines().find(|line| line.starts_with("id = ")).map(str::to_owned)
}

/// The set-up with the passphrase that opens the repository.
fn opens(place: &Place) -> Worldkeeper {
    let keepers = PASSPHRASES.map(|passphrase| place.keeper.clone().with("BORG_PASSPHRASE", passphrase));
    let opening = keepers.into_iter().find(|keeper| keeper.try_run(["list"]).code() == Some(0));
    opening.expect("the old or the new passphrase opens the repository")
}

/// The passphrase that it is under.
fn passphrase(place: &Place) -> &'static str {
    let command = place.keeper.command::<&str>([]);
    let set = command.get_envs().find_map(|(name, value)| value.filter(|_| name == "BORG_PASSPHRASE"));
    PASSPHRASES.into_iter().find(|passphrase| set == Some(passphrase.as_ref())).unwrap_or(PASSPHRASES[0])
}
