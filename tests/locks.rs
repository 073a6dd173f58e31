//! Borg's locks, between stock and us, and between two of ours: nobody writes while somebody else does.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};
use worldkeeper_testkit::{peers, tree};
use worldkeeper_tests::{eventually, locks};

#[test]
fn we_wait_for_stock_and_say_for_whom() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "1s");
    tree::sample(&keeper.world(), "waits");
    let _ = keeper.backup();

    let holder = hold(&borg, &keeper.repository());
    let refused = keeper.try_run(["backup"]).exits(2).says(&["lock"]);
    let lock = fs::read_dir(keeper.repository().join("lock.exclusive")).unwrap().next().unwrap().unwrap().file_name();
    let host = lock.to_string_lossy().split('@').next().unwrap().to_owned();
    let _ = refused.says(&[&host]);
    release(holder);
    let _ = keeper.backup();
    borg.check(&keeper.repository());
}

#[test]
fn we_go_on_once_stock_is_done() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "60s");
    tree::sample(&keeper.world(), "waits");
    let _ = keeper.backup();

    let holder = hold(&borg, &keeper.repository());
    let mut waiting = keeper.spawn(["backup"]);
    let mut said = String::new();
    let stderr = waiting.stderr.as_mut().unwrap();
    while !said.contains("lock") && !said.contains("wait") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("it says what it waits for before it ends");
        said.push(char::from(byte[0]));
    }
    release(holder);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(keeper.archives().len(), 2);
}

#[test]
fn stock_waits_for_us() {
    let borgs = Borg::all();
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::sample(&keeper.world(), "first");
    let _ = keeper.backup();
    for (number, borg) in borgs.into_iter().enumerate() {
        let borg = borg.with_passphrase(PASSPHRASE);
        tree::write(&keeper.world().join("large"), &sha_stream(&format!("{number}"), 128 << 20));
        let ours = keeper.spawn(["backup"]);
        let pid = Pid::from_child(&ours);
        eventually("the repository is locked", Duration::from_secs(20), || {
            keeper.repository().join("lock.exclusive").exists().then_some(())
        });
        kill_process(pid, Signal::STOP).unwrap();
        let location = format!("{}::stock", keeper.repository().display());
        let refused = borg.try_run(["create", &location, &keeper.world().display().to_string()]);
        kill_process(pid, Signal::CONT).unwrap();
        let _ = refused.exits(2).says(&["lock"]);
        let output = ours.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        borg.check(&keeper.repository());
    }
}

#[test]
fn two_of_ours_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::sample(&keeper.world(), "shared");
    let _ = keeper.backup();
    let ours = (0..4).map(|_| keeper.spawn(["backup"])).collect::<Vec<_>>();
    for child in ours {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(keeper.archives().len(), 5);
}

/// A holder on another machine may be alive: only its user can say that it is not.
#[test]
fn a_foreign_lock_stays_until_break_lock() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "1s");
    tree::sample(&keeper.world(), "foreign");
    let _ = keeper.backup();
    let lock = keeper.repository().join("lock.exclusive");
    fs::create_dir(&lock).unwrap();
    fs::write(lock.join("otherhost@123456789.42-0"), "").unwrap();

    let _ = keeper.try_run(["backup"]).exits(2).says(&["otherhost", "break-lock"]);
    assert!(lock.exists());
    let _ = keeper.run(["break-lock"]).says(&["not locked any more", "watch the next backup"]);
    assert!(locks(&keeper.repository()).is_empty());
    let _ = keeper.run(["break-lock"]).says(&["was not locked"]).does_not_say("watch the next backup");
    let _ = keeper.backup();
}

/// Whoever wants the world back now need not break the lock of somebody who may be alive.
#[test]
fn who_reads_may_pass_over_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "1s");
    tree::sample(&keeper.world(), "passed over");
    let archive = keeper.backup();
    let lock = keeper.repository().join("lock.exclusive");
    fs::create_dir(&lock).unwrap();
    fs::write(lock.join("otherhost@123456789.42-0"), "").unwrap();

    let path = |name: &str| folder.path().join(name).display().to_string();
    for words in [
        &["list"][..],
        &["find", "hello.txt"],
        &["info"],
        &["diff", &archive, "latest"],
        &["restore", "latest", "--to", &path("target")],
        &["export-tar", "latest", &path("a.tar")],
    ] {
        let _ = keeper.try_run(words).exits(2).says(&["otherhost", "--bypass-lock"]);
        let _ = keeper.run(words.iter().chain(&["--bypass-lock"])).says(&["read without a lock"]);
    }
    assert!(lock.join("otherhost@123456789.42-0").exists());
    let _ = keeper.try_run(["backup", "--bypass-lock"]).exits(2).says(&["unexpected argument"]);

    let read_only = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let under = |script: &str, words: &[&str]| {
        let (repository, state) = (keeper.repository().display().to_string(), path("other"));
        let words = [&["--state-dir", &state], words].concat();
        Outcome::of(&mut keeper.command_under(&["unshare", "--mount", "sh", "-c", script, &repository], words))
    };
    let mounts = Outcome::of(std::process::Command::new("unshare").args(["--mount", "true"]));
    let may_mount = if mounts.code() == Some(0) { Ok(()) } else { Err(mounts.to_string()) };
    if peers::or_skip("mount", may_mount).is_none() {
        return;
    }
    let words = ["restore", "latest", "--to", &path("rescued")];
    let _ = under(read_only, &words).exits(0).says(&["may only be read", "without a lock"]);

    // A disk that is full has no room for a lock; nothing of stock's is kept for that.
    fs::remove_dir_all(&lock).unwrap();
    let full = "cp -a \"$0\" \"$0-copy\" && mount -t tmpfs -o size=8m none \"$0\" && cp -a \"$0-copy/.\" \"$0\" && \
                rm -f \"$0\"/worldkeeper.reserve* && \
                { cat /dev/zero > \"$0/filler\" 2> /dev/null; exec \"$@\"; }";
    let words = ["restore", "latest", "--to", &path("made-room")];
    let _ = under(full, &words).exits(0).says(&["no space left", "without a lock"]);
}

/// Nobody knows who a torn roster named: only its user can say that they are gone. Ours are never torn, whatever fails;
/// stock writes its own without care.
#[test]
fn an_unreadable_roster_stays_until_break_lock() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "1s");
    tree::sample(&keeper.world(), "torn");
    let _ = keeper.backup();
    let roster = keeper.repository().join("lock.roster");
    for torn in ["", r#"{"shared": [["otherhost@1234", 42"#] {
        fs::write(&roster, torn).unwrap();
        for args in [&["backup"][..], &["list"]] {
            let _ = keeper.try_run(args).exits(2).says(&["lock.roster is unreadable", "worldkeeper break-lock"]);
        }
        assert_eq!(fs::read_to_string(&roster).unwrap(), torn);
        assert_eq!(locks(&keeper.repository()), [roster.as_path()], "nothing else is left lying");
        let _ = keeper.run(["break-lock"]).says(&["not locked any more"]);
        let _ = keeper.backup();
    }
}

/// Starts stock as the holder of the repository's lock.
fn hold(borg: &Borg, repository: &Path) -> Child {
    let mut command = borg.command();
    command.arg("with-lock").arg(repository).args(["sh", "-c", "echo held; read release"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut word = [0; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"held\n");
    holder
}

/// Lets the holder end.
fn release(mut holder: Child) {
    holder.stdin.take().unwrap().write_all(b"now\n").unwrap();
    let output = holder.wait_with_output().unwrap();
    let _ = Outcome::from_output(&std::process::Command::new("borg"), output).exits(0);
}
