//! `compose.example.yaml`, word for word.

use std::fs;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_tests::{eventually, project};

use crate::{PATIENCE, Sidecar, engine, in_folder};

#[test]
fn the_example_makes_an_archive_that_stock_reads() {
    let found = if peers::on_path("docker-compose") { Ok(()) } else { Err("docker-compose is missing".to_owned()) };
    if peers::or_skip("docker", found).is_none() {
        return;
    }
    let Some(engine) = engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::copy(project().join("compose.example.yaml"), folder.path().join("docker-compose.yaml")).unwrap();
    let compose = |args: &[&str]| {
        let mut command = in_folder(engine.command("docker-compose"), folder.path());
        command.env("DOCKER_SOCKET", engine.socket()).args(["--project-name", "example"]).args(args);
        Outcome::of(&mut command).exits(0)
    };
    let _ = compose(&["config", "--quiet"]);
    let _ = compose(&["up", "--detach", "--no-build"]);
    let sidecar = Sidecar { engine: &engine, name: "worldkeeper", repository: folder.path().join("backups") };
    let _ = sidecar.more_than(0);
    // The example gives no passphrase: it was generated, and said so.
    sidecar.says("passphrase");
    let secret = folder.path().join("passphrase");
    let _ = engine.docker(["cp", "worldkeeper:/var/lib/worldkeeper/passphrase", secret.to_str().unwrap()]);
    let passphrase = fs::read_to_string(&secret).unwrap();
    eventually("rest", PATIENCE, || (!sidecar.repository.join("lock.exclusive").exists()).then_some(()));
    if let Some(borg) = Borg::newest() {
        let borg = borg.with_passphrase(passphrase.trim_end());
        borg.check(&sidecar.repository);
        // The series is named after the game's container.
        let archives = borg.archives(&sidecar.repository);
        assert!(archives.iter().all(|name| name.starts_with("minecraft-")), "{archives:?}");
    }
    let _ = compose(&["down", "--volumes", "--timeout", "10"]);
}
