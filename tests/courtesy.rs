//! The game comes first: in which class and at which priority the work is done, and on how many processors.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::available_parallelism;
use std::time::Duration;

use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::eventually;

/// `SCHED_IDLE`: runs when nobody else wants to.
const IDLE: i32 = 5;

/// Scheduling class, priority (`nice`) and number of processors of each thread of a process.
fn threads(process: &Child) -> Vec<(i32, i32, usize)> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let of_thread = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (nice, class) = (fields.get(16)?.parse().ok()?, fields.get(38)?.parse().ok()?);
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
        let processors = allowed.chars().filter_map(|digit| digit.to_digit(16)).map(|bits| bits.count_ones() as usize);
        Some((class, nice, processors.sum()))
    };
    threads.flatten().filter_map(of_thread).collect()
}

/// Waits until all threads of a process that works are of the idle class, at the lowest priority and on so many processors.
fn awaits(mut process: Child, processors: usize) {
    eventually(&format!("all threads are on {processors} processors"), Duration::from_secs(30), || {
        assert_eq!(process.try_wait().unwrap(), None, "it ended");
        let threads = threads(&process);
        (threads.len() > 1 && threads.iter().all(|thread| *thread == (IDLE, 19, processors))).then_some(())
    });
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn while_the_game_may_run_some_processors_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::write(&keeper.world().join("level.dat"), b"level");
    let all = available_parallelism().unwrap().get();
    awaits(keeper.spawn(["run"]), (all / 2).max(1));
    awaits(keeper.spawn(["run", "--processors-playing", "1"]), 1);
    awaits(keeper.spawn(["run", "--processors-playing", "1000"]), all);
}

#[test]
fn who_begins_it_at_a_low_priority_does_not_keep_it_from_that() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::write(&keeper.world().join("level.dat"), b"level");
    let process =
        keeper.command_under(&["nice", "-n3"], ["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    awaits(process, (available_parallelism().unwrap().get() / 2).max(1));
}

#[test]
fn what_somebody_asked_for_has_all_processors_when_nobody_else_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    // More to list than a pipe takes that nobody reads.
    (0..500).for_each(|number| tree::write(&keeper.world().join(format!("{number:0>200}")), b""));
    let archive = keeper.backup();
    awaits(keeper.spawn(["list", "--short", &archive]), available_parallelism().unwrap().get());
}
