//! Settings that mean nothing, and secrets that are wrong, missing or no secret.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use worldkeeper_testkit::tree;
use worldkeeper_tests::eventually;

use crate::{backup_is_refused, contents, is_refused, place, place_with_archive};

/// Nothing is deleted of a series whose name is mistyped, and whoever waits for space is told why.
#[test]
fn pruning_a_series_that_has_no_archives_is_a_warning() {
    let (_folder, keeper) = place_with_archive();
    for words in [&["prune", "--name", "wrold"][..], &["prune", "--name", "wrold", "--dry-run"]] {
        let outcome = keeper.try_run(words).exits(1);
        let _ = outcome.says(&["there is no archive of the series wrold; the series that there are: world", "0 of 0"]);
    }
    let _ = keeper.run(["prune"]).does_not_say("there is no archive");
}

#[test]
fn an_interval_that_is_no_duration() {
    for text in ["soon", "1 fortnight", "-5", "1m1h"] {
        let (_folder, keeper) = place();
        let keeper = keeper.with("BACKUP_INTERVAL", text);
        let _ = is_refused(&keeper, &["run", "--once"], &["BACKUP_INTERVAL", "1h"]);
        assert!(!keeper.repository().exists(), "{text:?}");
    }
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    let (_folder, keeper) = place();
    let keeper = keeper.with("WORLDKEEPER_STATEDIR", "/somewhere");
    let _ = backup_is_refused(&keeper, &["WORLDKEEPER_STATEDIR", "WORLDKEEPER_STATE_DIR"]);
    assert!(!keeper.repository().exists());
}

/// The environment is not ours alone, so it is a warning.
#[test]
fn a_variable_that_is_nearly_ours_is_said() {
    let (_folder, keeper) = place();
    let _ = keeper.with("KEEP_DAYLY", "3").run(["backup"]).says(&["warn", "KEEP_DAYLY", "is KEEP_DAILY meant"]);
}

#[test]
fn variables_that_kubernetes_makes_are_no_settings() {
    let (_folder, keeper) = place();
    let keeper =
        keeper.with("WORLDKEEPER_SERVICE_HOST", "10.0.0.1").with("WORLDKEEPER_PORT_80_TCP", "tcp://10.0.0.1:80");
    let _ = keeper.backup();
}

#[test]
fn a_compression_or_mode_that_borg_does_not_have() {
    let (_folder, keeper) = place();
    let _ = backup_is_refused(&keeper.with("BORG_COMPRESSION", "rar"), &["rar", "lz4"]);
    let (_folder, keeper) = place();
    let _ = backup_is_refused(&keeper.with("BORG_ENCRYPTION", "rot13"), &["rot13", "repokey", "-blake2"]);
}

#[test]
fn a_wrong_passphrase() {
    let (_folder, keeper) = place_with_archive();
    let keeper = keeper.with("BORG_PASSPHRASE", "another");
    for args in [&["backup"][..], &["list"], &["prune"], &["run", "--once"]] {
        let _ = is_refused(&keeper, args, &["passphrase", "wrong"]).does_not_say("another");
    }
}

/// F40: each has a name of its own, and nothing is written for it.
#[test]
fn a_passphrase_or_a_key_that_is_none() {
    let (folder, keeper) = place_with_archive();
    let secret = folder.path().join("secret");
    fs::write(&secret, b"canary\xff").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let not_text = keeper.clone().with("BORG_PASSPHRASE", OsStr::from_bytes(b"canary\xff"));
    let file = keeper.clone().without("BORG_PASSPHRASE").with("BORG_PASSPHRASE_FILE", &secret);
    let command = keeper.clone().without("BORG_PASSPHRASE").with("BORG_PASSCOMMAND", r"printf 'canary\377'");
    let empty = keeper.clone().with("BORG_PASSPHRASE", "");
    for (keeper, words) in [
        (&not_text, &["BORG_PASSPHRASE is not valid UTF-8"][..]),
        (&file, &["secret is not valid UTF-8"]),
        (&command, &["BORG_PASSCOMMAND", "not valid UTF-8"]),
        (&empty, &["needs a passphrase", "BORG_PASSPHRASE"]),
    ] {
        for args in [&["backup"][..], &["list"], &["check", "--verify-data"]] {
            let _ = is_refused(keeper, args, words).does_not_say("canary");
        }
    }
    let config = keeper.repository().join("config");
    let whole = fs::read_to_string(&config).unwrap();
    let (before, key) = whole.split_once("key = ").unwrap();
    for (key, words) in [
        ("AAAA\n", &["the key of the repository cannot be opened", "worldkeeper key import"][..]),
        (&key[..key.len() / 2], &["the key of the repository cannot be opened", "worldkeeper key import"]),
        ("", &["key", "worldkeeper key import"]),
    ] {
        fs::write(&config, format!("{before}key = {key}")).unwrap();
        for args in [&["backup"][..], &["list"]] {
            let _ = is_refused(&keeper, args, words);
        }
    }
    fs::write(&config, whole).unwrap();
    let _ = keeper.backup();
}

/// A repository that exists has a passphrase already: a generated one could only be wrong.
#[test]
fn no_passphrase_for_a_repository_that_exists() {
    let (folder, keeper) = place_with_archive();
    let state = folder.path().join("fresh-state");
    let keeper = keeper.without("BORG_PASSPHRASE").with("WORLDKEEPER_STATE_DIR", &state);
    let _ = backup_is_refused(&keeper, &["passphrase", "BORG_PASSPHRASE"]);
    let generated = contents(&state).into_keys().find(|path| path.to_string_lossy().contains("passphrase"));
    assert_eq!(generated, None, "a passphrase was generated for a repository that has one");
}

#[test]
fn a_passphrase_file_that_others_can_read() {
    let (folder, keeper) = place();
    let secret = folder.path().join("secret");
    fs::write(&secret, "correct horse\n").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let keeper = keeper.without("BORG_PASSPHRASE").with("BORG_PASSPHRASE_FILE", &secret);
    let fix = format!("chmod 600 {}", secret.display());
    let _ = backup_is_refused(&keeper, &[&fix]).does_not_say("correct horse");
    assert!(!keeper.repository().exists());

    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let _ = keeper.backup();
}

#[test]
fn the_generated_passphrase_is_for_its_owner_alone() {
    let (_folder, keeper) = place();
    let keeper = keeper.without("BORG_PASSPHRASE");
    let _ = keeper.run(["backup"]).says(&["passphrase"]);
    let secrets = fs::read_dir(keeper.state()).unwrap().map(|entry| entry.unwrap().path());
    let secrets = secrets.filter(|path| path.file_name().unwrap().to_string_lossy().contains("passphrase"));
    let secrets = secrets.collect::<Vec<_>>();
    assert_eq!(secrets.len(), 1, "{secrets:?}");
    assert_eq!(fs::metadata(&secrets[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // The next run finds it by itself, and another one is not made.
    let secret = fs::read(&secrets[0]).unwrap();
    let _ = keeper.backup();
    assert_eq!(fs::read(&secrets[0]).unwrap(), secret);
}

#[test]
fn an_unknown_flag_or_verb_names_the_nearest() {
    let (_folder, keeper) = place();
    let _ = is_refused(&keeper, &["backpu"], &["backup"]);
    let _ = is_refused(&keeper, &["backup", "--sourc", "/data"], &["--source"]);
}

/// Volumes are easily taken for each other, and what we keep there is nothing for a game's world.
#[test]
fn a_state_directory_that_is_something_else_too() {
    let (_folder, keeper) = place_with_archive();
    for other in [keeper.world(), keeper.repository()] {
        let keeper = keeper.clone().with("WORLDKEEPER_STATE_DIR", &other);
        let words = [&format!("the state directory {} is the ", other.display()), "hint: ", "--state-dir"];
        for verb in ["backup", "list", "doctor"] {
            let _ = is_refused(&keeper, &[verb], &words);
        }
    }
}

/// What counts is what there is, not what there was.
#[test]
fn a_repository_whose_last_archive_was_deleted_is_not_well() {
    let (_folder, keeper) = place_with_archive();
    let first = keeper.archives().remove(0);
    let second = keeper.backup();
    let _ = keeper.run(["delete", &second]);
    let _ = keeper.run(["status"]).says(&["last good", &first]);
    let _ = keeper.run(["delete", "-a", "*"]);
    let _ = keeper.try_run(["status"]).exits(1).says(&["there is no good archive"]);
    let _ = keeper.run(["undelete", &second]);
    let _ = keeper.run(["rename", &second, "kept"]);
    let _ = keeper.run(["status"]).says(&["last good", "kept"]);
    let _ = keeper.run(["delete", "kept"]);
    let _ = keeper.try_run(["status"]).exits(1).says(&["there is no good archive"]);
}

/// As with `docker exec` beside a `run` whose settings stand in `command:`.
#[test]
fn what_stands_on_the_line_of_the_daemon_is_known_beside_it() {
    let (_folder, keeper) = place_with_archive();
    let keeper = keeper.without("KEEP_WITHIN");
    let mut daemon = keeper.spawn(["run", "--interval", "3h", "--keep-last", "100"]);
    let beside = || keeper.try_run(["prune"]);
    eventually("the daemon runs", Duration::from_secs(30), || (beside().code() == Some(2)).then_some(()));
    for words in [&["prune"][..], &["prune", "--dry-run"]] {
        let keeps = ["keeps 100 last, and this would keep 24 hourly, 7 daily", "--keep-daily 7"];
        let _ = keeper.try_run(words).exits(2).says(&keeps);
    }
    let _ = keeper.run(["prune", "--keep-last", "3"]);
    let status = keeper.run(["status"]);
    assert!(["in 3 h", "in 2 h 59 min"].iter().any(|next| status.stdout().contains(next)), "{status}");
    // Nor does an archive of something else stand for one of the daemon's.
    let whole = format!("{}, ", keeper.archives().remove(0));
    let _ = keeper.run(["backup", "--exclude", "*.jar"]).says(&["does not count for its schedule"]);
    let _ = keeper.run(["status"]).says(&[&whole]);
    let _ = keeper.run(["backup"]).does_not_say("does not count");
    let _ = keeper.run(["status"]).does_not_say(&whole);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let _ = keeper.run(["prune"]);
    let _ = keeper.try_run(["status"]).exits(0).says(&["when `run` is started"]);
}

/// Of two who make archives of different things under one name, the schedule's are those that count.
#[test]
fn an_archive_of_something_else_than_the_daemons_takes_no_place() {
    let (_folder, keeper) = place_with_archive();
    let keeper = keeper.without("KEEP_WITHIN").with("KEEP_LAST", "1");
    let whole = keeper.archives().remove(0);
    let plugins = keeper.world().join("plugins");
    tree::write(&plugins.join("shop.yml"), b"prices");
    let plugins = plugins.to_str().expect("it is text");
    let (by_hand, once) = (["backup", "--source", plugins], ["run", "--once", "--source", plugins]);
    let is_none = ["does not count for its schedule", "nothing is pruned after it", "`worldkeeper run --once`"];
    let mut daemon = keeper.spawn(["run", "--interval", "3h"]);
    let noted = keeper.state().join("daemon.json");
    eventually("the daemon runs", Duration::from_secs(30), || noted.exists().then_some(()));
    let _ = keeper.run(once).says(&is_none);
    let _ = keeper.run(by_hand).says(&is_none);
    assert!(keeper.archives().contains(&whole), "nothing was pruned");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // Nor while the daemon rests.
    let _ = keeper.run(by_hand).says(&is_none);
    assert_eq!(keeper.archives().len(), 4);
    let _ = keeper.run(["status"]).says(&["last good", &whole]);
    let _ = keeper.run(["prune"]);
    assert!(keeper.archives().contains(&whole), "it stays beside the newest");

    // Whoever has a schedule of their own is not held to what a daemon did.
    let _ = keeper.run(["run", "--once"]).does_not_say("something else");
    let _ = keeper.run(once).says(&["is something else than before"]).does_not_say("does not count");
    let _ = keeper.run(once).does_not_say("something else");
    let _ = keeper.run(by_hand).does_not_say("does not count");
    let _ = keeper.run(["backup"]).says(&is_none);
}

/// A lock that nobody gives back, a disk that hangs: the backup waits, and nothing of it is in any record.
#[test]
fn a_backup_that_does_not_end_is_told() {
    let (_folder, keeper) = place_with_archive();
    let history = fs::read_dir(keeper.state().join("history")).unwrap().map(|entry| entry.unwrap().path());
    let history = history.into_iter().find(|path| path.extension().is_some_and(|found| found == "json")).unwrap();
    let mut daemon = keeper.spawn(["run", "--interval", "3h"]);
    let runs = || keeper.run(["status"]).stdout().contains("daemon      running").then_some(());
    eventually("the daemon runs", Duration::from_secs(30), runs);
    let told = |hours| {
        let begun = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        let mut records: serde_json::Value = serde_json::from_slice(&fs::read(&history).unwrap()).unwrap();
        records["begun"] = begun.strftime("%Y-%m-%dT%H:%M:%S.000000").to_string().into();
        fs::write(&history, records.to_string()).unwrap();
        keeper.try_run(["status"])
    };
    // When it starts it takes what was begun before for its predecessor's, once.
    let is_told = || told(7).stdout().contains("has not ended").then_some(());
    eventually("it is told", Duration::from_secs(30), is_told);
    let words = ["the backup that was begun", "has not ended", "a lock that somebody else holds"];
    let _ = told(7).exits(1).says(&words);
    let _ = told(5).does_not_say("has not ended");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let _ = told(7).does_not_say("has not ended");
}
