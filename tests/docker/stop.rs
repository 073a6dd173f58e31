//! `docker stop` in the middle of a backup, and what an idle sidecar costs.

use std::fs;
use std::time::{Duration, Instant};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::docker::Engine;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;
use worldkeeper_tests::{eventually, locks, within};

use crate::{PATIENCE, Sidecar, engine, start_game};

#[test]
fn stopped_mid_backup() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    fill_world(&engine, 384);
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1h")]);
    let segments = sidecar.repository.join("data/0");
    eventually("the backup is under way", PATIENCE, || {
        let entries = fs::read_dir(&segments).ok()?.filter_map(Result::ok);
        let largest = entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).max()?;
        (largest > 16 << 20).then_some(())
    });
    let start = Instant::now();
    let _ = engine.docker(["stop", "worldkeeper"]);
    let took = start.elapsed();
    let log = engine.logs("worldkeeper");
    assert_eq!(engine.inspect("worldkeeper", ".State.ExitCode"), "0", "{log}");
    assert!(took < Duration::from_secs(10), "it took {took:?}: {log}");
    assert!(locks(&sidecar.repository).is_empty(), "{log}");

    let _ = engine.docker(["start", "worldkeeper"]);
    let _ = sidecar.more_than(0);
    let _ = engine.docker(["stop", "worldkeeper"]);
    if let Some(borg) = Borg::newest() {
        borg.with_passphrase(PASSPHRASE).check(&sidecar.repository);
    }
}

/// Killed as if the machine had lost power: the next start clears its own dead lock.
#[test]
fn killed_mid_backup() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    fill_world(&engine, 384);
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1h")]);
    eventually("the repository is locked", PATIENCE, || {
        sidecar.repository.join("lock.exclusive").exists().then_some(())
    });
    let _ = engine.docker(["kill", "worldkeeper"]);
    let _ = engine.docker(["rm", "worldkeeper"]);
    // Another container with the same state: the lock is recognised all the same.
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1h")]);
    let _ = sidecar.more_than(0);
    let _ = engine.docker(["stop", "worldkeeper"]);
    assert!(locks(&sidecar.repository).is_empty());
}

#[test]
fn idle_memory() {
    const LIMIT_KB: u64 = 16 << 10;
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    fill_world(&engine, 64);
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1h")]);
    let _ = sidecar.more_than(0);
    let pid = engine.inspect("worldkeeper", ".State.Pid");
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let _ = within(PATIENCE, || (resident() < LIMIT_KB).then_some(()));
    let now = resident();
    println!("idle after a backup: {now} kB resident");
    assert!(now < LIMIT_KB, "{now} kB are resident");
}

/// Puts a file that does not compress into the world.
#[track_caller]
fn fill_world(engine: &Engine, mebibytes: u32) {
    let count = format!("count={mebibytes}");
    let _ = engine.docker(["exec", "minecraft", "dd", "if=/dev/urandom", "of=/data/large", "bs=1048576", &count]);
}
