//! Ours is stopped in the middle of writing, for as long as others please: whoever writes is refused, and if its lock is
//! broken all the same, it is ours that gives way.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::gate;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::segments;
use worldkeeper_testkit::strace::{self, Call};
use worldkeeper_testkit::tree::listing;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::{copy, eventually, locks, within};

use crate::place::{PASSPHRASES, Place};

/// A command of ours that does not run and has not ended.
pub(crate) struct Stopped {
    /// `strace`, or what has started it.
    above: Child,
    command: Command,
    /// Itself.
    process: Pid,
}

impl Stopped {
    /// Starts a command by `wrapper`, and stops it as it enters `call`; `None` if it ends without.
    pub(crate) fn at(call: &Call, keeper: &Worldkeeper, wrapper: &[&str], args: &[&str]) -> Option<Self> {
        let log = keeper.folder().join("stopped.log");
        let _ = fs::remove_file(&log);
        let strace = strace::at(call, Signal::STOP, &log);
        let words: Vec<_> = wrapper.iter().copied().chain(strace.iter().map(String::as_str)).collect();
        let mut command = keeper.command_under(&words, args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut above = command.spawn().expect("strace can be started");
        let process = eventually("it is stopped or ends", Duration::from_mins(1), || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            match log.lines().find(|line| line.contains("stopped by SIGSTOP")) {
                Some(line) => Some(Some(process_of(line.split_whitespace().next()?)?)),
                None => above.try_wait().expect("it can be waited for").map(|_| None),
            }
        });
        Some(Self { above, command, process: process? })
    }

    /// Lets it go on, to its end.
    #[track_caller]
    pub(crate) fn goes_on(mut self) -> Outcome {
        // Each thread counts its own calls, so another one may be stopped later.
        let ended = within(Duration::from_mins(1), || {
            let _ = kill_process(self.process, Signal::CONT);
            self.above.try_wait().expect("it can be waited for")
        });
        if ended.is_none() {
            let _ = kill_process(self.process, Signal::KILL);
            panic!("it does not end");
        }
        let output = self.above.wait_with_output().expect("it can be waited for");
        Outcome::from_output(&self.command, output)
    }

    /// Kills what has started it, which is to take it along.
    pub(crate) fn end(mut self) {
        self.above.kill().expect("it can be killed");
        let _ = self.above.wait().expect("it can be waited for");
    }
}

/// The process that a thread belongs to; where its number is one of another name space, the number itself.
fn process_of(thread: &str) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")).unwrap_or(thread);
    Pid::from_raw(process.trim().parse().ok()?)
}

/// Two archives, and a world that has changed since.
pub(crate) fn place() -> Place {
    let mut place = Place::new("repokey-blake2");
    for seed in ["first", "second"] {
        let _ = place.archive(seed);
    }
    place.change_world("third");
    place.assert_counter_never_reused();
    place
}

pub(crate) struct Point(pub(crate) Call);

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped at {}", self.0)
    }
}

/// An even sample of the calls of a backup that write into the repository.
pub(crate) fn points(sample: usize) -> Vec<Point> {
    let place = place();
    let data = place.keeper.repository().join("data").display().to_string();
    let mut calls = strace::mutating_calls(&place.keeper, &["backup"]);
    calls.retain(|call| call.arguments.contains(&data));
    let count = gate::amount(sample, calls.len());
    let offset = gate::Random::of(1).below(calls.len() / count);
    (0..count).map(|index| Point(calls[index * calls.len() / count + offset].clone())).collect()
}

/// Borgs of each thread.
pub(crate) fn borgs() -> Vec<Borg> {
    Borg::all().into_iter().map(Borg::warmed).collect()
}

/// Whether there is all that these gates need.
pub(crate) fn is_possible() -> bool {
    strace::is_there() && !Borg::all().is_empty()
}

#[test]
fn gate_stopped_while_it_writes_keeps_stock_out() {
    if !is_possible() {
        return;
    }
    let (points, met) = (points(2), AtomicUsize::new(0));
    gate::each(&points, borgs, |borgs, point| {
        let place = place();
        let first = place.trees.keys().next().expect("there are two").clone();
        let repository = place.keeper.repository().to_str().expect("paths of tests are text").to_owned();
        let world = place.keeper.world().display().to_string();
        let archive = |name: &str| location(Path::new(&repository), name);
        // Threads share the work differently each time, so a point may not be met again.
        let Some(stopped) = Stopped::at(&point.0, &place.keeper, &[], &["backup"]) else { return };
        met.fetch_add(1, Ordering::Relaxed);
        let (first, other) = (archive(&first), archive("other"));
        let commands: [&[&str]; 10] = [
            &["create", &other, &world],
            &["delete", &first],
            &["prune", "--keep-last", "1", &repository],
            &["compact", &repository],
            &["check", "--repair", &repository],
            &["rename", &first, "other"],
            &["recreate", "--recompress", "always", &first],
            &["with-lock", &repository, "true"],
            &["key", "change-passphrase", &repository],
            &["list", &repository],
        ];
        for borg in &mut *borgs {
            borg.forget();
            for command in commands {
                let words: Vec<_> = ["--lock-wait", "0"].iter().chain(command).copied().collect();
                let _ = place.stock(borg, PASSPHRASES[0], &words).exits(2).says(&["lock"]);
            }
        }
        let _ = stopped.goes_on().exits(0);
        is_well(&place, borgs, 3);
    });
    assert!(met.into_inner() * 2 >= points.len(), "few points were met");
}

#[test]
fn gate_stopped_while_its_lock_is_broken() {
    if !is_possible() {
        return;
    }
    let (points, met) = (points(3), AtomicUsize::new(0));
    gate::each(&points, borgs, |borgs, point| {
        let mut place = place();
        let repository = place.keeper.repository().to_str().expect("paths of tests are text").to_owned();
        // Threads share the work differently each time, so a point may not be met again.
        let Some(stopped) = Stopped::at(&point.0, &place.keeper, &[], &["backup"]) else { return };
        met.fetch_add(1, Ordering::Relaxed);
        place.assert_counter_never_reused();
        borgs.iter_mut().for_each(Borg::forget);
        let _ = place.stock(&borgs[0], PASSPHRASES[0], &["break-lock", &repository]).exits(0);
        let (world, archive) = (place.keeper.world().display().to_string(), location(Path::new(&repository), "stock"));
        let _ = place.stock(&borgs[0], PASSPHRASES[0], &["create", &archive, &world]).exits(0);
        place.assert_counter_never_reused();
        let outcome = stopped.goes_on();
        place.assert_counter_never_reused();

        let found = place.stock(&borgs[0], PASSPHRASES[0], &["list", "--short", &repository]).exits(0).lines();
        place.trees.insert("stock".to_owned(), listing(&place.keeper.world()));
        for name in place.trees.keys() {
            assert!(found.contains(name), "{name} is gone: {found:?}, {outcome}");
        }
        let ours = found.len() - place.trees.len();
        assert!(outcome.code() != Some(0) || ours == 1, "success without an archive: {found:?}, {outcome}");
        if outcome.code() == Some(2) {
            let _ = outcome.says(&["lock"]);
        }
        let _ = place.keeper.backup();
        is_well(&place, borgs, found.len() + 1);
    });
    assert!(met.into_inner() * 2 >= points.len(), "few points were met");
}

/// A reader keeps who compacts out, and who compacts keeps readers out.
#[test]
fn a_reader_and_who_compacts_exclude_each_other() {
    if !is_possible() {
        return;
    }
    let borgs = borgs();
    let mut place = Place::new("repokey-blake2");
    let [first, second] = ["first", "second"].map(|seed| place.archive(seed));
    let _ = place.keeper.run(["delete", &first]);
    let keeper = place.keeper.clone().with("LOCK_WAIT", "0s");
    let repository = place.keeper.repository().to_str().expect("paths of tests are text").to_owned();
    let target = place.folder().join("target").display().to_string();
    let restore = ["restore", second.as_str(), "--to", target.as_str()];

    let calls = strace::mutating_calls(&keeper, &restore);
    fs::remove_dir_all(&target).unwrap();
    let writes_file = calls.iter().find(|call| call.arguments.contains("r.0.0.mca")).expect("it restores this file");
    let reader = Stopped::at(writes_file, &keeper, &[], &restore).expect("it writes the file");
    let _ = keeper.try_run(["compact"]).exits(2).says(&["lock", "reading"]);
    for borg in &borgs {
        let words = ["--lock-wait", "0", "compact", &repository];
        let _ = place.stock(borg, PASSPHRASES[0], &words).exits(2).says(&["lock"]);
    }
    let _ = reader.goes_on().exits(0);
    fs::remove_dir_all(&target).unwrap();

    // Locks and state files are removed too; a segment is only under the exclusive lock.
    let data = keeper.repository().join("data").display().to_string();
    let (before, after) = (place.folder().join("before"), keeper.repository());
    copy(&after, &before);
    let calls = strace::mutating_calls(&keeper, &["compact"]);
    fs::remove_dir_all(&after).unwrap();
    fs::rename(before, after).unwrap();
    let removes = |call: &&Call| call.name.starts_with("unlink") && call.arguments.contains(&data);
    let unlink = calls.iter().find(removes).expect("it removes a segment");
    let compacting = Stopped::at(unlink, &keeper, &[], &["compact"]).expect("it removes the segment");
    assert!(keeper.repository().join("lock.exclusive").exists(), "it compacts without the lock");
    let _ = keeper.try_run(restore).exits(2).says(&["lock"]);
    for borg in &borgs {
        let words = ["--lock-wait", "0", "extract", &location(Path::new(&repository), &second)];
        let _ = place.stock(borg, PASSPHRASES[0], &words).exits(2).says(&["lock"]);
    }
    let _ = compacting.goes_on().exits(0);
    place.trees.remove(&first);
    is_well(&place, &borgs, 1);
}

/// So many archives, those we know as they were made, no lock, no counter value used twice, and stock has nothing to say.
#[track_caller]
pub(crate) fn is_well(place: &Place, borgs: &[Borg], archives: usize) {
    let repository = place.keeper.repository();
    let found = place.keeper.archives();
    assert_eq!(found.len(), archives, "{found:?}");
    assert!(locks(&repository).is_empty(), "{:?}", locks(&repository));
    segments::assert_index_agrees(&repository);
    place.assert_counter_never_reused();
    let world = listing(&place.keeper.world());
    for name in &found {
        place.restores(name, place.trees.get(name).unwrap_or(&world));
    }
    for borg in borgs {
        let words = ["check", "--verify-data", repository.to_str().expect("paths of tests are text")];
        let _ = place.stock(borg, PASSPHRASES[0], &words).exits(0);
    }
}
