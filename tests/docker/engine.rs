//! A restart of the engine is survived, inside a container and beside it.

use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::eventually;

use crate::{PATIENCE, Sidecar, engine, start_game};

#[test]
fn the_sidecar_comes_back_with_the_engine() {
    let Some(mut engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    let environment = [("BACKUP_INTERVAL", "1s")];
    let count = Sidecar::start(&engine, folder.path(), "minecraft", &environment).more_than(1);
    engine.restart();
    let sidecar = Sidecar { engine: &engine, name: "worldkeeper", repository: folder.path().join("repository") };
    let _ = sidecar.more_than(count);
}

/// A daemon outside loses its connection to the engine, not its mind.
#[test]
fn the_connection_comes_back_with_the_engine() {
    let Some(mut engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    let keeper = Worldkeeper::at(folder.path()).with("DOCKER_HOST", engine.host());
    let keeper = keeper.with("GAME_CONTAINER_NAME", "minecraft").with("BACKUP_INTERVAL", "1s");
    std::fs::create_dir(keeper.world()).unwrap();
    let mut daemon = keeper.spawn(["run"]);
    let archives = || {
        let listed = keeper.try_run(["list"]);
        if listed.code() == Some(0) { listed.lines().len() } else { 0 }
    };
    let more_than = |count| eventually("one more archive", PATIENCE, || Some(archives()).filter(|now| *now > count));
    let count = more_than(1);
    engine.restart();
    let count = more_than(count.max(archives()));
    // And it sees what happens from now on.
    let _ = engine.docker(["stop", "minecraft"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let resting = archives().max(count);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(archives(), resting);
    rustix::process::kill_process(rustix::process::Pid::from_child(&daemon), rustix::process::Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}
