//! Archives are made while the game runs, and only then, whatever becomes of its container.

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};

use crate::{Sidecar, engine, start_game};

#[test]
fn archives_only_while_the_game_runs() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The container is not there yet: that is worth a line, and no reason to end.
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1s")]);
    sidecar.says("minecraft");
    sidecar.rests();
    assert_eq!(sidecar.archives().len(), 0, "{}", engine.logs("worldkeeper"));

    start_game(&engine, "minecraft");
    let mut count = sidecar.more_than(1);
    let _ = engine.docker(["stop", "minecraft"]);
    sidecar.rests();
    count = sidecar.archives().len().max(count);
    let _ = engine.docker(["start", "minecraft"]);
    count = sidecar.more_than(count);
    let _ = engine.docker(["rm", "--force", "minecraft"]);
    sidecar.rests();
    count = sidecar.archives().len().max(count);
    // The same name, another container.
    start_game(&engine, "minecraft");
    let _ = sidecar.more_than(count);
    assert_eq!(engine.inspect("worldkeeper", ".RestartCount"), "0", "{}", engine.logs("worldkeeper"));

    // The game's file is of another user, and nobody else's to read.
    let _ = engine.docker(["stop", "worldkeeper"]);
    if let Some(borg) = Borg::newest() {
        let borg = borg.with_passphrase(PASSPHRASE);
        borg.check(&sidecar.repository);
        let latest = borg.archives(&sidecar.repository).pop().unwrap();
        let location = format!("{}::{latest}", sidecar.repository.display());
        let listed = borg.run(["list", "--format", "{mode} {uid} {path}{NL}", &location]);
        assert!(listed.lines().contains(&"-rw------- 1000 data/level.dat".to_owned()), "{listed}");
    }
}

#[test]
fn commands_beside_the_daemon() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    start_game(&engine, "minecraft");
    let sidecar = Sidecar::start(&engine, folder.path(), "minecraft", &[("BACKUP_INTERVAL", "1h")]);
    let count = sidecar.more_than(0);
    let _ = sidecar.try_run(&["status"]).exits(0).says(&["world", "minecraft"]);
    let _ = sidecar.try_run(&["backup"]).exits(0);
    let archives = sidecar.archives();
    assert_eq!(archives.len(), count + 1);
    let latest = archives.last().unwrap().split_whitespace().next().unwrap();
    let _ = sidecar.try_run(&["list", latest]).exits(0).says(&["data/level.dat"]);
    let _ = sidecar.try_run(&["prune", "--dry-run"]).exits(0);

    // The world is mounted for reading alone: it says which lines can restore, and these do.
    let refused = sidecar.try_run(&["restore", "latest"]).exits(2);
    let lines = refused.stderr().lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n");
    for word in ["docker stop minecraft", "docker run", "world:/data", latest, "docker start minecraft"] {
        assert!(lines.contains(word), "{lines}");
    }
    let _ = engine.docker(["pause", "minecraft"]);
    let _ = sidecar.try_run(&["restore", "latest"]).exits(2).says(&["docker stop minecraft"]);
    let _ = engine.docker(["unpause", "minecraft"]);
    let mut shell = engine.command("sh");
    let _ = Outcome::of(shell.args(["-c", &lines]).env("BORG_PASSPHRASE", PASSPHRASE)).exits(0);
    let _ = engine.docker(["stop", "minecraft"]);
    let shown = ["run", "--rm", "--network", "none", "--volume", "world:/data", "itzg/minecraft-server"];
    let shown = engine.docker(shown.iter().chain(&["stat", "-c", "%a %u %s", "/data/level.dat"]));
    assert!(shown.stdout().starts_with("600 1000 "), "{shown}");
}

#[test]
fn a_container_that_does_not_exist() {
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let keeper =
        Worldkeeper::at(folder.path()).with("DOCKER_HOST", engine.host()).with("GAME_CONTAINER_NAME", "mincraft");
    std::fs::create_dir(keeper.world()).unwrap();
    for args in [&["backup"][..], &["run", "--once"]] {
        let _ = keeper.try_run(args).exits(2).says(&["mincraft"]);
        assert!(!keeper.repository().exists(), "{args:?}");
    }
}
