//! A game that goes on elsewhere is noticed, while its sidecar has what it had.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use worldkeeper_testkit::docker::Engine;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;
use worldkeeper_tests::eventually;

use crate::{PATIENCE, Sidecar, engine, start_game, start_game_on};

#[test]
fn a_game_on_another_volume() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    let sidecar = start_sidecar(&engine, folder.path(), &[], "/data");
    let _ = sidecar.more_than(0);
    let _ = sidecar.try_run(&["status"]).exits(0);
    assert!(!engine.logs("worldkeeper").contains("uses nothing"), "{}", engine.logs("worldkeeper"));

    let _ = engine.docker(["rm", "--force", "minecraft"]);
    start_game_on(&engine, "minecraft", "new:/data");
    sidecar.says("the game's container minecraft uses nothing of what is backed up");
    sidecar.says("from the volume new");
    // One was to be kept.
    let _ = sidecar.more_than(3);
    let _ = sidecar.try_run(&["status"]).exits(1).says(&["problem", "the volume new", "the volume world"]);
    let _ = sidecar.try_run(&["doctor"]).exits(1).says(&["the volume new", "--force-recreate"]);
    let _ = sidecar.try_run(&["backup"]).exits(1);

    // What a sidecar has is what it was made with.
    let _ = engine.docker(["rm", "--force", "minecraft"]);
    start_game(&engine, "minecraft");
    eventually("all is well again", PATIENCE, || {
        let is_well = sidecar.try_run(&["status"]).code() == Some(0);
        (is_well && sidecar.archives().len() <= 2).then_some(())
    });
    let _ = sidecar.try_run(&["doctor"]).exits(0);
}

#[test]
fn a_directory_that_was_moved_and_made_anew() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("bw");
    let make = || {
        fs::create_dir(&world).unwrap();
        chown(&world, Some(1000), Some(1000)).unwrap();
    };
    make();
    start_game_on(&engine, "minecraft", &format!("{}:/data", world.display()));
    let sidecar = start_sidecar(&engine, folder.path(), &[format!("{}:/world:ro", world.display())], "/world");
    let _ = sidecar.more_than(0);
    let _ = sidecar.try_run(&["status"]).exits(0);

    let _ = engine.docker(["stop", "minecraft"]);
    fs::rename(&world, folder.path().join("bw.old")).unwrap();
    make();
    let _ = engine.docker(["start", "minecraft"]);
    sidecar.says("was moved or deleted on the host");
    let _ = sidecar.more_than(3);
    let _ = sidecar.try_run(&["status"]).exits(1).says(&["problem", "bw.old"]);
    // Beside the daemon it is known, too.
    let _ = sidecar.try_run(&["doctor"]).exits(1).says(&["bw.old", "--force-recreate"]);

    // A restart mounts what is there now.
    let _ = engine.docker(["restart", "worldkeeper"]);
    eventually("all is well again", PATIENCE, || (sidecar.try_run(&["status"]).code() == Some(0)).then_some(()));
    let _ = sidecar.try_run(&["doctor"]).exits(0);
}

/// One that backs up `source` each second, and keeps a single archive.
#[track_caller]
fn start_sidecar<'a>(engine: &'a Engine, folder: &Path, mounts: &[String], source: &str) -> Sidecar<'a> {
    let repository = folder.join("repository");
    let mounts = [mounts, &[format!("{}:/repository", repository.display())]].concat();
    let environment = [
        ("GAME_CONTAINER_NAME", "minecraft"),
        ("WORLDKEEPER_NAME", "world"),
        ("BORG_PASSPHRASE", PASSPHRASE),
        ("BACKUP_SOURCES", source),
        ("BACKUP_INTERVAL", "1s"),
        ("KEEP_LAST", "1"),
    ];
    Sidecar::run(engine, repository, "none", &mounts, &environment)
}
