//! What `doctor` says of everything that can be wrong with a repository, here and behind a server; and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::sshd::{Sshd, keygen};
use worldkeeper_testkit::tree::{self, listing};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};

use crate::{Remote, Server, Transport, write_script};

/// The steps on the way to a server, and what is looked at behind it.
const REMOTE: [&str; 12] = [
    "name",
    "port",
    "host key",
    "login",
    "server",
    "path",
    "writing",
    "key",
    "archives",
    "quota",
    "append-only",
    "free space",
];

/// The verdicts on the repository, by check.
fn verdicts(outcome: &Outcome) -> BTreeMap<String, String> {
    let report: serde_json::Value = serde_json::from_str(outcome.stdout()).expect("--json is JSON");
    let checks = report["repositories"][0]["checks"].as_array().expect("there is a repository").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").to_owned();
    checks.map(|check| (text(&check["check"]), text(&check["verdict"]))).collect()
}

/// Asserts that of the steps to a server the one is as said, all before it are well, and none behind it was tried.
#[track_caller]
fn assert_fails_at(keeper: &Worldkeeper, step: &str, words: &[&str]) {
    let outcome = keeper.try_run(["doctor", "--json"]).exits(2).says(words).says(&[&format!("1 check failed: {step}")]);
    let verdicts = verdicts(&outcome);
    let at = REMOTE.iter().position(|name| *name == step).expect("it is one of them");
    for (index, name) in REMOTE.iter().enumerate() {
        let expected: &[&str] = match index {
            _ if index < at => &["ok"],
            _ if index == at => &["failed"],
            // What a server never tells is unknown where it was asked.
            _ if index > 8 => &["not-tried", "unknown"],
            _ => &["not-tried"],
        };
        assert!(expected.contains(&verdicts[*name].as_str()), "{name}: {outcome}");
    }
}

/// A world, and a repository behind this server that has an archive of it.
fn healthy(server: &Server, transport: Transport) -> Remote {
    let remote = Remote::new(server, transport);
    tree::world(&remote.keeper.world(), 3, "doctor");
    let _ = remote.keeper.backup();
    remote
}

/// A world, and a URL of this server with nothing behind it.
fn bare(server: &Server, sshd: Sshd) -> Remote {
    let remote = Remote::new(server, Transport::Ssh(sshd));
    tree::world(&remote.keeper.world(), 3, "doctor");
    remote
}

fn new_borg() -> Server {
    Borg::newest().map_or(Server::Ours, |borg| Server::Stock(Box::new(borg)))
}

#[test]
fn all_is_well_with_every_server_and_nothing_is_changed() {
    for server in Server::all() {
        let Some(sshd) = Sshd::start() else { return };
        let name = server.name();
        let remote = healthy(&server, Transport::Ssh(sshd));
        let disk = contents(&remote.on_disk());
        let outcome = remote.keeper.run(["doctor", "--json"]);
        for (check, verdict) in verdicts(&outcome) {
            let expected = if REMOTE[9..].contains(&check.as_str()) { "unknown" } else { "ok" };
            assert_eq!(verdict, expected, "{check} with {name}: {outcome}");
        }
        let version = name.strip_prefix("borg ").unwrap_or("1.4");
        let _ = outcome.says(&[&format!("borg {version}"), "1 archive", "rolled back"]);
        assert_unchanged(&disk, &remote.on_disk(), &name);
        if let Some(borg) = Borg::newest() {
            borg.with_passphrase(PASSPHRASE).check(&remote.on_disk());
        }
    }
}

/// Every file of a repository and its bytes, but for those that come and go with a lock.
fn contents(repository: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = listing(repository).into_keys().filter(|path| repository.join(path).is_file());
    let read = |path: std::path::PathBuf| (path.display().to_string(), fs::read(repository.join(&path)).unwrap());
    files.map(read).filter(|(name, _)| !name.starts_with("lock")).collect()
}

/// Asserts that nothing is another than it was. Stock leaves the segment of what was rolled back to whoever writes next.
#[track_caller]
fn assert_unchanged(before: &BTreeMap<String, Vec<u8>>, repository: &Path, who: &str) {
    let after = contents(repository);
    for (name, bytes) in before {
        assert!(after.get(name) == Some(bytes), "{name} has changed under {who}");
    }
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(new.iter().all(|name| name.starts_with("data/")) && new.len() <= 1, "{new:?} under {who}");
}

#[test]
fn of_a_command_that_connects_the_steps_are_unknown() {
    let remote = healthy(&new_borg(), Transport::Pipe);
    let outcome = remote.keeper.run(["doctor", "--json"]);
    let verdicts = verdicts(&outcome);
    for name in REMOTE {
        let expected = if ["server", "path", "writing", "key", "archives"].contains(&name) { "ok" } else { "unknown" };
        assert_eq!(verdicts[name], expected, "{name}: {outcome}");
    }
}

#[test]
fn a_repository_that_is_not_there_yet_is_no_failure_and_is_not_made() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = bare(&Server::Ours, sshd);
    let outcome = remote.keeper.run(["doctor", "--json"]);
    let found = verdicts(&outcome);
    assert_eq!((found["path"].as_str(), found["writing"].as_str()), ("not-tried", "not-tried"), "{outcome}");
    assert!(!remote.on_disk().exists());
    // What it cannot know of, the first backup finds.
    let Transport::Ssh(sshd) = &remote.transport else { unreachable!("it is") };
    let keeper = remote.keeper.clone().with("BORG_REPO_PATH", sshd.url(&remote.on_disk().join("not/there")));
    let _ = keeper.run(["doctor"]).says(&["not tried", "--make-parent-dirs"]);
    let refused = keeper.try_run(["backup"]).exits(2).says(&["is not there", "hint", "--make-parent-dirs"]);
    let _ = refused.does_not_say("authorized_keys");
    // Where one was, it is.
    let _ = remote.keeper.backup();
    fs::remove_dir_all(remote.on_disk()).unwrap();
    assert_fails_at(&remote.keeper, "path", &["is not there now", "worldkeeper adopt"]);
}

#[test]
fn whom_nobody_knows_or_who_has_changed_is_told_by_the_host_key() {
    let Some(sshd) = Sshd::start() else { return };
    let host = format!("127.0.0.1:{}", sshd.port());
    let key = sshd.public_host_key("ed25519");
    let remote = bare(&Server::Ours, sshd);
    let unknown = remote.keeper.clone().without("SSH_KNOWN_HOSTS");
    assert_fails_at(&unknown, "host key", &["is not known", &format!("worldkeeper trust-host {host} SHA256:")]);

    let pinned = remote.folder.path().join("pinned");
    let other = keygen(&remote.folder.path().join("other"), "ed25519", "");
    fs::write(&pinned, format!("[127.0.0.1]:{} {other}", host.rsplit(':').next().unwrap())).unwrap();
    assert!(!other.starts_with(&key));
    let changed = remote.keeper.clone().with("SSH_KNOWN_HOSTS", &pinned);
    assert_fails_at(&changed, "host key", &["has changed", "somebody may be between"]);
}

#[test]
fn a_key_that_is_not_let_in_fails_at_the_login() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = bare(&Server::Ours, sshd);
    let other = remote.folder.path().join("other");
    let _ = keygen(&other, "ed25519", "");
    let keeper = remote.keeper.clone().with("SSH_KEY_PATH", &other);
    assert_fails_at(&keeper, "login", &["does not let", "authorized_keys"]);
    let missing = keeper.with("SSH_KEY_PATH", remote.folder.path().join("missing"));
    assert_fails_at(&missing, "login", &["cannot read the key", "SSH_KEY_PATH", "worldkeeper ssh-key"]);
    let rsh = remote.keeper.clone().with("BORG_RSH", "/nowhere/ssh");
    let _ = rsh.try_run(["doctor"]).exits(2).says(&["cannot start /nowhere/ssh", "BORG_RSH"]);
    let _ = rsh.try_run(["backup"]).exits(2).says(&["hint", "BORG_RSH"]);
}

#[test]
fn a_name_without_address_and_a_port_without_listener_are_told_apart() {
    let remote = Remote::new(&Server::Ours, Transport::Pipe);
    tree::world(&remote.keeper.world(), 3, "doctor");
    let keeper = remote.keeper.clone().without("BORG_RSH");
    let nowhere = keeper.clone().with("BORG_REPO_PATH", "ssh://u@nowhere.invalid/srv/r");
    assert_fails_at(&nowhere, "name", &["cannot be resolved", "DNS"]);
    // Bound and not listening any more: nobody else is given the port meanwhile.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = keeper.with("BORG_REPO_PATH", format!("ssh://u@{closed}/srv/r"));
    assert_fails_at(&closed, "port", &["connection refused", "firewall"]);
}

#[test]
fn a_borg_that_is_not_there_fails_at_the_server() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = bare(&Server::Ours, sshd);
    let keeper = remote.keeper.clone().with("BORG_REMOTE_PATH", "/nowhere/borg");
    assert_fails_at(&keeper, "server", &["exit code 127", "BORG_REMOTE_PATH"]);
}

#[test]
fn a_path_that_the_key_may_not_use_is_refused() {
    for server in [new_borg(), Server::Ours] {
        let Some(sshd) = Sshd::start() else { return };
        let folder = tempfile::tempdir().unwrap();
        let script = server.script(folder.path());
        sshd.force(&format!("{} serve --restrict-to-path {}", script.display(), folder.path().display()));
        let remote = bare(&Server::Ours, sshd);
        assert_fails_at(&remote.keeper, "path", &["--restrict-to-path"]);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_read_all_the_same() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = healthy(&new_borg(), Transport::Ssh(sshd));
    let server = remote.folder.path().join("server");
    let restricted = remote.folder.path().join("restricted");
    // As for anybody but root.
    let drop = if peers::is_root() { "setpriv --inh-caps=-dac_override --bounding-set=-dac_override " } else { "" };
    write_script(&restricted, &format!("exec {drop}{} \"$@\"", server.display()));
    let keeper = remote.keeper.clone().with("BORG_REMOTE_PATH", &restricted);
    let mode = |mode| fs::set_permissions(remote.on_disk(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let outcome = keeper.try_run(["doctor", "--json"]);
    mode(0o755);
    let outcome = outcome.exits(2);
    let found = verdicts(&outcome);
    assert_eq!((found["path"].as_str(), found["writing"].as_str()), ("ok", "failed"), "{outcome}");
    assert_eq!((found["key"].as_str(), found["archives"].as_str()), ("ok", "ok"), "{outcome}");
}

#[test]
fn a_wrong_passphrase_is_told_behind_all_that_is_right() {
    let Some(sshd) = Sshd::start() else { return };
    let remote = healthy(&Server::Ours, Transport::Ssh(sshd));
    let keeper = remote.keeper.clone().with("BORG_PASSPHRASE", "another one");
    assert_fails_at(&keeper, "key", &["is wrong", "from BORG_PASSPHRASE"]);
}

#[test]
fn a_repository_that_somebody_works_on_is_not_waited_for() {
    let remote = healthy(&Server::Ours, Transport::Pipe);
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let doctor = format!(
        "{} doctor --json > {}/said",
        worldkeeper_testkit::worldkeeper::program().display(),
        remote.folder.path().display()
    );
    let script = remote.folder.path().join("doctor");
    write_script(&script, &doctor);
    let environment = remote.keeper.command(["doctor"]);
    let variables = environment.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut command = borg.command();
    command.arg("with-lock").arg(remote.on_disk()).arg("env").arg("-i");
    command.args(variables.map(|(name, value)| format!("{}={}", name.display(), value.display())));
    let outcome = Outcome::of(command.arg(&script)).exits(0);
    let said = fs::read_to_string(remote.folder.path().join("said")).unwrap();
    assert!(said.contains("somebody is at work"), "{said}{outcome}");
}

#[test]
fn a_repository_in_a_directory_tells_more() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::world(&keeper.world(), 3, "doctor");
    let outcome = keeper.run(["doctor", "--json"]).says(&["there is no repository yet"]);
    assert_eq!(verdicts(&outcome)["path"], "not-tried");
    assert!(!keeper.repository().exists());
    let nowhere = keeper.clone().with("BORG_REPO_PATH", "/proc/repo");
    for args in [["doctor"], ["backup"]] {
        let _ = nowhere.try_run(args).exits(2).says(&["/proc/repo", "name another one"]);
    }
    let _ = keeper.backup();
    let before = contents(&keeper.repository());
    let outcome = keeper.run(["doctor", "--json"]);
    let found = verdicts(&outcome);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["archives", "free space", "key", "path", "quota", "writing"]);
    assert!(found.values().all(|verdict| verdict == "ok"), "{outcome}");
    assert_eq!(contents(&keeper.repository()), before);

    let _ = keeper.run(["config", "storage_quota", "11M"]);
    let _ = keeper.run(["doctor"]).says(&["of 11", "are used"]);
    let wrong = keeper.clone().with("BORG_PASSPHRASE", "another one");
    let _ = wrong.try_run(["doctor"]).exits(2).says(&["1 check failed: key"]);
    let no_world = keeper.clone().with("BACKUP_SOURCES", folder.path().join("nowhere"));
    let _ = no_world.try_run(["doctor"]).exits(2).says(&["1 check failed: sources"]);
    let unwatched = keeper.clone().with("GAME_CONTAINER_NAME", "game");
    let _ = unwatched.try_run(["doctor"]).exits(1).says(&["warning", "cannot"]);

    // Of several, each is looked at.
    let several = format!("here={},there={}", keeper.repository().display(), folder.path().join("other").display());
    let several = keeper.clone().with("BORG_REPO_PATH", several).with("BORG_PASSPHRASE", "another one");
    let _ =
        several.try_run(["doctor"]).exits(2).says(&["repository here: ", "repository there: ", "failed: here: key"]);
}

#[test]
fn an_archive_from_the_future_is_a_warning() {
    let Some(borg) = Borg::newest() else { return };
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::world(&keeper.world(), 3, "doctor");
    let _ = keeper.backup();
    let borg = borg.with_passphrase(PASSPHRASE);
    let archive = format!("{}::world-later", keeper.repository().display());
    let timestamp = ["create", "--timestamp", "2037-01-01T00:00:00"].map(str::to_owned);
    let _ = borg.run(timestamp.into_iter().chain([archive, keeper.world().display().to_string()]));
    let _ = keeper.try_run(["doctor"]).exits(1).says(&["from the future", "2037", "set the clock right"]);
}
