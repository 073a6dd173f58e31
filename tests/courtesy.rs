//! The game comes first: at which priority the work is done, and on how many processors.

use std::fs;
use std::process::Child;
use std::thread::available_parallelism;
use std::time::Duration;

use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::eventually;

/// Priority (`nice`) and number of processors of each thread of a process.
fn threads(process: &Child) -> Vec<(i32, usize)> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let of_thread = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        let nice = stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok()?;
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
        let processors = allowed.chars().filter_map(|digit| digit.to_digit(16)).map(|bits| bits.count_ones() as usize);
        Some((nice, processors.sum()))
    };
    threads.flatten().filter_map(of_thread).collect()
}

/// Waits until all threads of a process that works are at the lowest priority and on so many processors.
fn awaits(mut process: Child, processors: usize) {
    eventually(&format!("all threads are on {processors} processors"), Duration::from_secs(30), || {
        assert_eq!(process.try_wait().unwrap(), None, "it ended");
        let threads = threads(&process);
        (threads.len() > 1 && threads.iter().all(|thread| *thread == (19, processors))).then_some(())
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
fn what_somebody_asked_for_has_all_processors_at_the_lowest_priority() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    // More to list than a pipe takes that nobody reads.
    (0..500).for_each(|number| tree::write(&keeper.world().join(format!("{number:0>200}")), b""));
    let archive = keeper.backup();
    awaits(keeper.spawn(["list", "--short", &archive]), available_parallelism().unwrap().get());
}
