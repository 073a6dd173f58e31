//! Many processes take and give back one lock, and are killed while they do: never are two inside who may not be, no lock
//! is lost, nobody waits for ever, and what the dead leave is cleared.
//!
//! They tell of it in one pipe, which keeps the order: who has entered says so after, who leaves says so before. So
//! two that overlap there overlap in truth.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, PipeWriter, Write, pipe};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::locks;

#[test]
fn gate_lockers() {
    let folder = gate::folder();
    let keeper = Worldkeeper::at(folder.path());
    tree::world(&keeper.world(), 1, "locked");
    let _ = keeper.backup();
    let mut lockers = Lockers::start(folder, keeper.repository(), 16);
    lockers.watch(gate::amount(2000, 100_000), 5, || false);
    lockers.end();
}

/// The gate sees what it is there to see.
#[test]
#[should_panic(expected = "are inside")]
fn lockers_that_take_no_lock_are_found_out() {
    let folder = gate::folder();
    let keeper = Worldkeeper::at(folder.path());
    tree::world(&keeper.world(), 1, "locked");
    let _ = keeper.backup();
    Lockers::start_as(&["unlocked"], folder, keeper.repository(), 16).watch(2000, 5, || false);
}

/// Stock is not killed: what it leaves when it is, none but stock may clear.
#[test]
fn gate_lockers_and_stock() {
    let borgs = Borg::all();
    if borgs.is_empty() {
        return;
    }
    let folder = gate::folder();
    let repository = folder.path().join("repository");
    borgs[0].init(&repository, "none");
    let mut lockers = Lockers::start(folder, repository.clone(), 4);
    let turns = gate::amount(8, 500);
    let (been_inside, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let pipe = format!("/proc/{}/fd/{}", std::process::id(), lockers.writer.as_raw_fd());
    thread::scope(|scope| {
        for (number, borg) in borgs.into_iter().enumerate() {
            let (pipe, repository, been_inside, is_over) = (&pipe, &repository, &been_inside, &is_over);
            scope.spawn(move || {
                let borg = borg.warmed();
                let name = 1_000_000 + number;
                let says = format!("exec >{pipe}; echo enter {name} x; echo leave {name}");
                let repository = repository.to_str().unwrap();
                while been_inside.load(Ordering::Relaxed) < turns && !is_over.load(Ordering::Relaxed) {
                    let outcome = borg.try_run(["with-lock", "--lock-wait", "10", repository, "sh", "-c", &says]);
                    match outcome.code() {
                        Some(0) => _ = been_inside.fetch_add(1, Ordering::Relaxed),
                        // It waits less patiently than ours do.
                        _ => _ = outcome.exits(2).says(&["lock"]),
                    }
                }
            });
        }
        let watched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lockers.watch(usize::MAX, 20, || been_inside.load(Ordering::Relaxed) >= turns);
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = watched {
            std::panic::resume_unwind(panic);
        }
    });
    lockers.end();
}

/// The processes, and who of them is inside.
struct Lockers {
    /// What each is given beside its number.
    args: &'static [&'static str],
    folder: TempDir,
    repository: PathBuf,
    running: Vec<(usize, Child)>,
    started: usize,
    random: Random,
    writer: PipeWriter,
    /// What a thread has read from the pipe, which thus is never full.
    lines: Receiver<String>,
    inside: BTreeMap<usize, Inside>,
    /// What was heard last, to be told when something is wrong.
    heard: VecDeque<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inside {
    exclusive: bool,
    /// The signal is on its way: others may come in as soon as it has arrived.
    dying: bool,
}

/// How many lines are remembered.
const REMEMBERED: usize = 60;

impl Lockers {
    fn start(folder: TempDir, repository: PathBuf, count: usize) -> Self {
        Self::start_as(&[], folder, repository, count)
    }

    fn start_as(args: &'static [&'static str], folder: TempDir, repository: PathBuf, count: usize) -> Self {
        let (reader, writer) = pipe().expect("pipes can be made");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let (random, running, inside, heard) = (Random::of(0), Vec::new(), BTreeMap::new(), VecDeque::new());
        let mut lockers = Self { args, folder, repository, running, started: 0, random, writer, lines, inside, heard };
        for _ in 0..count {
            let next = lockers.spawn(args);
            lockers.running.push(next);
        }
        lockers
    }

    fn spawn(&mut self, rest: &[&str]) -> (usize, Child) {
        self.started += 1;
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_locker")));
        command.arg(&self.repository).arg(self.folder.path().join("state")).arg(self.started.to_string()).args(rest);
        let writer = self.writer.try_clone().expect("descriptors can be copied");
        let child = command.stdin(Stdio::null()).stdout(writer).spawn().expect("the locker can be started");
        (self.started, child)
    }

    /// Follows them for so many rounds, or until it `is_enough`; kills one at one of `pace` lines.
    fn watch(&mut self, rounds: usize, pace: usize, is_enough: impl Fn() -> bool) {
        let (mut entered, mut killed) = (0, 0);
        while entered < rounds && !is_enough() {
            let (word, _) = self.hear();
            entered += usize::from(word == "enter");
            if self.random.below(pace) == 0 {
                let index = self.random.below(self.running.len());
                let next = self.spawn(self.args);
                let victim = std::mem::replace(&mut self.running[index], next);
                self.kill(victim);
                killed += 1;
            }
        }
        println!("{entered} rounds, {killed} killed");
    }

    fn kill(&mut self, (number, mut child): (usize, Child)) {
        self.say(&format!("kill {number}"));
        child.kill().expect("it can be killed");
        let _ = child.wait().expect("it can be waited for");
        self.say(&format!("dead {number}"));
    }

    fn say(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).expect("the pipe has room");
    }

    /// Takes in one line: a word, and who it is about.
    fn hear(&mut self) -> (String, usize) {
        let line = self.lines.recv().expect("the pipe is open");
        self.heard.push_back(line.clone());
        if self.heard.len() > REMEMBERED {
            self.heard.pop_front();
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let number: usize = words[1].parse().expect("a number");
        match words[0] {
            "enter" => {
                let exclusive = words[2] == "x";
                let others = self.inside.iter().filter(|(_, other)| !other.dying && (exclusive || other.exclusive));
                let others: Vec<_> = others.collect();
                if !others.is_empty() {
                    // Who ended without having been killed by us was not inside any more.
                    let ended = |(number, child): &mut (usize, Child)| Some((*number, child.try_wait().ok()??));
                    let ended: Vec<_> = self.running.iter_mut().filter_map(ended).collect();
                    let (seed, heard) = (gate::seed(), &self.heard);
                    panic!("seed {seed}: {line} while {others:?} are inside, {ended:?} ended, after {heard:?}");
                }
                let known = self.inside.entry(number).or_insert(Inside { exclusive, dying: false });
                known.exclusive = exclusive;
            }
            // Who is to die may come in again before the signal arrives, and has nothing from then on.
            "leave" if self.inside.get(&number).is_some_and(|known| known.dying) => {}
            "leave" | "dead" => _ = self.inside.remove(&number),
            "kill" => self.inside.entry(number).or_insert(Inside { exclusive: false, dying: true }).dying = true,
            _ => panic!("seed {}: {line}", gate::seed()),
        }
        (words[0].to_owned(), number)
    }

    /// Kills all of them; one more comes in and leaves nothing.
    fn end(mut self) {
        for victim in std::mem::take(&mut self.running) {
            self.kill(victim);
        }
        let (last, mut child) = self.spawn(&["once"]);
        assert!(child.wait().expect("it can be waited for").success());
        self.say(&format!("dead {last}"));
        while self.hear() != ("dead".to_owned(), last) {}
        assert!(locks(&self.repository).is_empty(), "{:?}", locks(&self.repository));
    }
}
