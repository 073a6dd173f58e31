//! Several repositories: each gets its archives, and what happens to one is nothing to the others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, program};
use worldkeeper_tests::eventually;

/// A set-up with two repositories that a variable names.
struct House {
    folder: TempDir,
    keeper: Worldkeeper,
}

impl House {
    fn new() -> Self {
        let folder = TempDir::new().expect("temporary directories can be made");
        let keeper = Worldkeeper::at(folder.path());
        tree::write(&keeper.world().join("level.dat"), b"a world");
        let list = format!("local={},usb={}", folder.path().join("a,b").display(), folder.path().join("usb").display());
        Self { keeper: keeper.with("BORG_REPO_PATH", list), folder }
    }

    fn local(&self) -> PathBuf {
        self.folder.path().join("a,b")
    }

    fn usb(&self) -> PathBuf {
        self.folder.path().join("usb")
    }

    fn archives(&self, label: &str) -> Vec<String> {
        let lines = self.keeper.run(["list", "--short", "--repository", label]).lines();
        lines.iter().map(|line| line.trim().to_owned()).collect()
    }
}

/// What stock makes of it.
fn stock_archives(repository: &Path) -> Vec<String> {
    let Some(borg) = Borg::newest() else { return Vec::new() };
    let borg = borg.with_passphrase(PASSPHRASE);
    borg.check(repository);
    borg.archives(repository)
}

#[test]
fn each_gets_an_archive_and_commands_about_one_want_to_know_which() {
    let house = House::new();
    let keeper = &house.keeper;
    let _ = keeper.run(["backup"]).says(&["local: ", "usb: "]);
    for (label, repository) in [("local", house.local()), ("usb", house.usb())] {
        let archives = house.archives(label);
        assert_eq!(archives.len(), 1, "{label}");
        if Borg::newest().is_some() {
            assert_eq!(stock_archives(&repository), archives, "{label}");
        }
    }
    let _ = keeper
        .try_run(["list"])
        .exits(2)
        .says(&["there are several repositories: local, usb", "say which one is meant: --repository LABEL"]);
    let _ =
        keeper.try_run(["list", "--repository", "usv"]).exits(2).says(&["there is no repository usv, only local, usb"]);
    let _ = keeper.try_run(["ssh-key"]).exits(2).says(&["there are several repositories: local, usb"]);
    // What is done by hand to one of them is done to it alone.
    let _ = keeper.run(["backup", "--repository", "usb"]);
    assert_eq!((house.archives("local").len(), house.archives("usb").len()), (1, 2));
    for verb in ["prune", "compact", "check"] {
        let _ = keeper.run([verb]).says(&["local: ", "usb: "]);
    }
    let status = keeper.run(["status"]).to_string();
    assert!(status.contains("repository  local: ") && status.contains("repository  usb: "), "{status}");
}

#[test]
fn one_that_fails_leaves_the_others_alone() {
    let house = House::new();
    let keeper = &house.keeper;
    fs::write(house.local(), "a file in its place").expect("a file can be written");
    let _ = keeper.try_run(["backup"]).exits(2).says(&["error: repository local", "1 of 2 repositories failed: local"]);
    assert_eq!(house.archives("usb").len(), 1);
    let _ = keeper.try_run(["run", "--once"]).exits(2).says(&["1 of 2 repositories failed: local"]);
    assert_eq!(house.archives("usb").len(), 2);
    let status = keeper.try_run(["status"]).exits(1).to_string();
    assert!(status.contains("problem     local: the last backup failed"), "{status}");
    assert!(!status.contains("problem     usb: "), "{status}");
    let json: serde_json::Value = serde_json::from_str(keeper.try_run(["status", "--json"]).exits(1).stdout()).unwrap();
    let of = |index: usize, what: &str| &json["repositories"][index][what];
    assert_eq!((of(0, "label"), of(1, "label")), (&"local".into(), &"usb".into()));
    assert_eq!((of(0, "last_good"), of(1, "problems")), (&serde_json::Value::Null, &serde_json::json!([])));
    assert_eq!(of(1, "last_good")["archive"], house.archives("usb")[1].as_str());
    // Each has records of its own: what was wrong with the one is forgotten when that is well again.
    fs::remove_file(house.local()).expect("the file is there");
    let _ = keeper.run(["backup"]);
    let _ = keeper.run(["status"]).says(&["usb: "]);
}

#[test]
fn repositories_within_the_source_are_left_out_whichever_is_picked() {
    let house = House::new();
    let within = format!("in={},out={}", house.keeper.world().join("backups").display(), house.usb().display());
    let keeper = house.keeper.clone().with("BORG_REPO_PATH", within);
    let _ = keeper.run(["backup"]);
    let _ = keeper.run(["backup", "--repository", "out"]);
    let listed = keeper.run(["list", "latest", "--repository", "out"]).to_string();
    assert!(listed.contains("level.dat") && !listed.contains("backups/config"), "{listed}");
}

/// One after the other in one run of the daemon, a broken one among them.
#[test]
fn the_daemon_serves_each() {
    let house = House::new();
    let third = house.folder.path().join("third");
    fs::write(&third, "a file in its place").expect("a file can be written");
    let list = format!("local={}\nbroken={}\nusb={}", house.local().display(), third.display(), house.usb().display());
    let keeper = house.keeper.clone().with("BORG_REPO_PATH", list);
    let daemon = keeper.spawn(["run"]);
    let has_archive = |label: &str| {
        let outcome = keeper.try_run(["list", "--short", "--repository", label, "--lock-wait", "0"]);
        (outcome.code() == Some(0) && !outcome.lines().is_empty()).then_some(())
    };
    for label in ["local", "usb"] {
        eventually(label, Duration::from_mins(1), || has_archive(label));
    }
    kill_process(Pid::from_child(&daemon), Signal::TERM).expect("it runs");
    let outcome =
        Outcome::from_output(&Command::new("worldkeeper"), daemon.wait_with_output().expect("it ends")).exits(0);
    let _ = outcome.says(&[
        "a backup every 1 h into each of local, broken, usb",
        "local: archive world-",
        "broken: the backup failed",
    ]);
}

/// A disk here and a server elsewhere, which is away at first, and whose connection is cut within a backup later: the one
/// here minds neither, and the cut costs the run a pause.
#[test]
fn a_server_that_is_away_or_cut_off_is_nothing_to_the_disk_beside_it() {
    let house = House::new();
    let at = |name: &str| house.folder.path().join(name);
    let rsh = at("rsh");
    // HOST borg serve ..; cut once, after thirty pieces of what is sent.
    let script = format!(
        "#!/bin/sh\ncd {}\n[ ! -e away ] || {{ echo 'no route to host' >&2; exit 255; }}\nshift 2\n\
         if [ -e cut ]; then rm cut; dd bs=65536 count=30 2>/dev/null | {program} \"$@\"; else exec {program} \"$@\"; fi\n",
        house.folder.path().display(),
        program = program().display(),
    );
    fs::write(&rsh, script).expect("a file can be written");
    fs::set_permissions(&rsh, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    let list = format!("local={},nas=ssh://nas.example{}", house.local().display(), house.usb().display());
    let keeper = house.keeper.clone().with("BORG_REPO_PATH", list).with("BORG_RSH", &rsh);
    let house = House { keeper, ..house };
    let keeper = &house.keeper;
    let (away, cut) = (house.folder.path().join("away"), house.folder.path().join("cut"));

    fs::write(&away, "").expect("a file can be written");
    let failed = keeper.try_run(["backup"]).exits(2);
    let _ = failed.says(&["error: repository nas", "cannot reach the repository at ssh://nas.example", "hint: "]);
    assert_eq!(house.archives("local").len(), 1);
    fs::remove_file(&away).expect("it is there");
    let _ = keeper.run(["backup"]);
    assert_eq!((house.archives("local").len(), house.archives("nas").len()), (2, 1));

    tree::write(&keeper.world().join("large"), &sha_stream("large", 4 << 20));
    fs::write(&cut, "").expect("a file can be written");
    let _ = keeper.run(["backup"]).says(&["was lost", "trying again in 5 s (retry 1 of 5)"]);
    assert!(!cut.exists(), "it was cut");
    assert_eq!((house.archives("local").len(), house.archives("nas").len()), (3, 2));
    if Borg::newest().is_some() {
        assert_eq!(stock_archives(&house.usb()).len(), 2);
    }
}

/// One that says nothing and does not end holds nobody but itself, from the begin.
#[test]
fn a_server_that_hangs_keeps_no_daemon_from_its_other_repositories() {
    let house = House::new();
    let rsh = house.folder.path().join("rsh");
    fs::write(&rsh, "#!/bin/sh\nexec sleep 60\n").expect("a file can be written");
    fs::set_permissions(&rsh, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    let list = format!("local={},nas=ssh://nas.example/world", house.local().display());
    let keeper = house.keeper.clone().with("BORG_REPO_PATH", list).with("BORG_RSH", &rsh);
    let daemon = keeper.spawn(["run"]);
    eventually("the archive in the other one", Duration::from_secs(30), || {
        let outcome = keeper.try_run(["list", "--short", "--repository", "local", "--lock-wait", "0"]);
        (outcome.code() == Some(0) && !outcome.lines().is_empty()).then_some(())
    });
    kill_process(Pid::from_child(&daemon), Signal::TERM).expect("it runs");
    let output = daemon.wait_with_output().expect("it ends");
    let _ = Outcome::from_output(&Command::new("worldkeeper"), output).exits(0).says(&["local: archive world-"]);
}
