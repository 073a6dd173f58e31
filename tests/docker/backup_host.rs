//! The repository on a backup host: a third container, with sshd and stock borg, and nothing of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use worldkeeper_testkit::docker::Engine;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::sshd::keygen;
use worldkeeper_tests::{eventually, project, within};

use crate::{PATIENCE, Sidecar, engine, start_game};

/// A URL, a key and a pinned host are all that the sidecar is given.
#[test]
fn first_start_on_an_empty_host() {
    let Some(engine) = engine() else { return };
    let Some(host) = BackupHost::start(&engine) else { return };
    start_game(&engine, "minecraft");
    fill_world(&engine, 2);
    assert!(!host.repository().exists());
    let sidecar = host.sidecar(&[]);
    let archive = host.first_archive(&sidecar);
    // The series is named after the game's container.
    assert!(archive.starts_with("minecraft-"), "{archive}");

    // Another machine, which has the key, and stock borg, and asks the host.
    let rsh = "BORG_RSH=ssh -o UserKnownHostsFile=/ssh/known_hosts -i /ssh/key";
    let from = format!("{URL}::{archive}");
    let restored = host.stock(&["--network", NETWORK, "--env", rsh], &["sh", "-c", RESTORE, "restore", &from]);
    assert_eq!(restored.lines(), digests_of_world(&engine), "{}", host.story());
    assert_eq!(host.archives_by_stock(), [archive.as_str()], "{}", host.story());
}

/// The run goes on where its last checkpoint was, by itself, and ends well.
#[test]
fn host_stopped_and_started_mid_upload() {
    let Some(engine) = engine() else { return };
    let Some(host) = BackupHost::start(&engine) else { return };
    start_game(&engine, "minecraft");
    fill_world(&engine, 24);
    // A window of 32 MiB is sent before the first checkpoint is thought of; so that is the least that is sent once.
    let sidecar = host.sidecar(&[("UPLOAD_RATE_LIMIT", "16MiB"), ("CHECKPOINT_INTERVAL", "1s")]);
    // Borg begins a segment after a commit: two large ones are a checkpoint, and what comes after it.
    eventually("a checkpoint, and more under way", PATIENCE, || {
        let entries = fs::read_dir(host.repository().join("data/0")).ok()?.filter_map(Result::ok);
        let large = entries.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20));
        (large.count() > 1).then_some(())
    });
    let _ = engine.docker(["stop", HOST]);
    // While it is away, nobody knows its name.
    sidecar.says("retry 2 of 5");
    let _ = engine.docker(["start", HOST]);
    let archive = host.first_archive(&sidecar);

    // One archive, no checkpoint beside it; and what the host had was not sent again.
    assert_eq!(host.archives_by_stock(), [archive.as_str()], "{}", host.story());
    let added = status(&sidecar)["repositories"][0]["last_good"]["added_bytes"].as_u64().unwrap();
    assert!(added < 72 << 20, "{added} bytes were sent again: {}", host.story());
    assert_eq!(engine.inspect(sidecar.name, ".RestartCount"), "0", "{}", host.story());
    let _ = host.stock(&["--network", "none"], &["borg", "check", "--verify-data", REPOSITORY]);

    // Another machine, to which the host's disk was carried.
    let from = format!("{REPOSITORY}::{archive}");
    let restored = host.stock(&["--network", "none"], &["sh", "-c", RESTORE, "restore", &from]);
    assert_eq!(restored.lines(), digests_of_world(&engine), "{}", host.story());
}

/// What the host's container, its image, and so the host itself are called.
const HOST: &str = "backup-host";
const NETWORK: &str = "backups";
const REPOSITORY: &str = "/backups/world";
const URL: &str = "ssh://backup@backup-host/backups/world";

/// Extracts what it is given, and says the digests of what does not change while the game runs.
const RESTORE: &str = "cd /tmp && borg extract \"$1\" && cd data && sha256sum region*";

/// A container with sshd and stock borg, which lets one key in, to `borg serve` alone.
struct BackupHost<'a> {
    engine: &'a Engine,
    folder: TempDir,
}

impl<'a> BackupHost<'a> {
    /// Starts it, with an empty disk; `None` where there is nothing to make it of and none is required.
    fn start(engine: &'a Engine) -> Option<Self> {
        let there = |path: &str| Path::new(path).exists().then_some(()).ok_or_else(|| format!("there is no {path}"));
        peers::or_skip("sshd", there("/usr/sbin/sshd"))?;
        // Debian's: its Python is the system's, and lies where the image has it.
        peers::or_skip("borg", there("/usr/lib/python3/dist-packages/borg"))?;
        let root = tempfile::tempdir().unwrap();
        let mut make = Command::new(project().join("tests/docker/backup_host/image.sh"));
        let _ = Outcome::of(make.arg(root.path())).exits(0);
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        engine.import(root.path(), HOST, &["CMD [\"/usr/sbin/sshd\", \"-D\", \"-e\"]"]);

        let host = Self { engine, folder: tempfile::tempdir().unwrap() };
        host.make_keys();
        let disk = host.folder.path().join("backups");
        fs::create_dir(&disk).unwrap();
        std::os::unix::fs::chown(&disk, Some(1001), Some(1001)).unwrap();
        let _ = engine.docker(["network", "create", "--internal", NETWORK]);
        let mounts = [host.disk(), format!("{}:/etc/ssh:ro", host.folder.path().join("etc").display())];
        let words = ["run", "--detach", "--name", HOST, "--network", NETWORK];
        let _ =
            engine.docker(words.into_iter().chain(mounts.iter().flat_map(|mount| ["--volume", mount])).chain([HOST]));
        eventually("sshd listens", PATIENCE, || engine.logs(HOST).contains("listening").then_some(()));
        Some(host)
    }

    /// Makes the host's own key and configuration, and what a client is given: a key, and the host's public one.
    fn make_keys(&self) {
        let [etc, client] = ["etc", "ssh"].map(|name| self.folder.path().join(name));
        fs::create_dir(&etc).unwrap();
        fs::create_dir(&client).unwrap();
        let host_key = keygen(&etc.join("ssh_host_ed25519_key"), "ed25519", "");
        let key = keygen(&client.join("key"), "ed25519", "");
        fs::write(client.join("known_hosts"), format!("{HOST} {host_key}")).unwrap();
        let only_serve = "restrict,command=\"borg serve --restrict-to-path /backups\"";
        fs::write(etc.join("authorized_keys"), format!("{only_serve} {key}")).unwrap();
        let config = "HostKey /etc/ssh/ssh_host_ed25519_key\nAuthorizedKeysFile /etc/ssh/authorized_keys\n\
                      PasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\nPidFile none\n";
        fs::write(etc.join("sshd_config"), config).unwrap();
        // The list of keys is read as the user who logs in.
        fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The repository, as the test sees it.
    fn repository(&self) -> PathBuf {
        self.folder.path().join(REPOSITORY.trim_start_matches('/'))
    }

    /// The mount of the host's disk.
    fn disk(&self) -> String {
        format!("{}:/backups", self.folder.path().join("backups").display())
    }

    /// The mount of what a client is given.
    fn client(&self) -> String {
        format!("{}:/ssh:ro", self.folder.path().join("ssh").display())
    }

    /// Starts a sidecar that has its repository there.
    fn sidecar(&self, environment: &[(&str, &str)]) -> Sidecar<'a> {
        let where_to = [("BORG_REPO_PATH", URL), ("SSH_KEY_PATH", "/ssh/key"), ("SSH_KNOWN_HOSTS", "/ssh/known_hosts")];
        let when = [("GAME_CONTAINER_NAME", "minecraft"), ("BACKUP_INTERVAL", "1h")];
        let environment = [&where_to[..], &when, environment].concat();
        Sidecar::run(self.engine, self.repository(), NETWORK, &[self.client()], &environment)
    }

    /// Waits until all is well with the sidecar, and returns the archive it has made.
    #[track_caller]
    fn first_archive(&self, sidecar: &Sidecar<'_>) -> String {
        let is_well = || (sidecar.try_run(&["status"]).code() == Some(0)).then_some(());
        // Perhaps it has a pause before it.
        assert!(within(PATIENCE * 2, is_well).is_some(), "all is not well: {}", self.story());
        status(sidecar)["repositories"][0]["last_good"]["archive"].as_str().unwrap().to_owned()
    }

    /// Runs a program in a container of the host's image, which is as far from the host as its options have it. It has the
    /// host's disk, the key, and the passphrase, which was generated.
    #[track_caller]
    fn stock(&self, options: &[&str], program: &[&str]) -> Outcome {
        let passphrase = self.folder.path().join("passphrase");
        let _ = self.engine.docker(["cp", "worldkeeper:/var/lib/worldkeeper/passphrase", passphrase.to_str().unwrap()]);
        let passphrase = format!("BORG_PASSPHRASE={}", fs::read_to_string(&passphrase).unwrap().trim_end());
        let mounts = [self.disk(), self.client()];
        let words = ["run", "--rm", "--env", &passphrase];
        let words = words.into_iter().chain(mounts.iter().flat_map(|mount| ["--volume", mount]));
        self.engine.docker(words.chain(options.iter().copied()).chain([HOST]).chain(program.iter().copied()))
    }

    /// The archives there are, as stock lists them on the host's disk.
    #[track_caller]
    fn archives_by_stock(&self) -> Vec<String> {
        self.stock(&["--network", "none"], &["borg", "list", "--short", "--consider-checkpoints", REPOSITORY]).lines()
    }

    /// What both ends have said.
    fn story(&self) -> String {
        format!("{}\n{}", self.engine.logs("worldkeeper"), self.engine.logs(HOST))
    }
}

/// What the sidecar says of itself.
#[track_caller]
fn status(sidecar: &Sidecar<'_>) -> Value {
    serde_json::from_str(sidecar.try_run(&["status", "--json"]).exits(0).stdout()).unwrap()
}

/// Puts files of 4 MiB that do not compress into the world, as many.
#[track_caller]
fn fill_world(engine: &Engine, count: u32) {
    const SCRIPT: &str = "i=0; while [ $i -lt $1 ]; do i=$((i + 1)); \
                          dd if=/dev/urandom of=/data/region$i bs=1048576 count=4; done";
    let _ = engine.docker(["exec", "minecraft", "sh", "-c", SCRIPT, "fill", &count.to_string()]);
}

/// The digests of these files.
#[track_caller]
fn digests_of_world(engine: &Engine) -> Vec<String> {
    engine.docker(["exec", "minecraft", "sh", "-c", "cd /data && busybox sha256sum region*"]).lines()
}
