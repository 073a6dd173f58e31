//! A run that is told to stop, or that a file system holds up, ends in time, and leaves no lock and nothing to repair.
//! What is killed instead: `gates/kill`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{peers, strace, tree};
use worldkeeper_tests::{copy, eventually, locks};

/// Docker kills what has not stopped after this time.
const GRACE: Duration = Duration::from_secs(10);

#[test]
fn stopped_while_an_archive_is_made() {
    stopped_anywhere(12, another_archive);
}

#[test]
fn stopped_while_pruning() {
    stopped_anywhere(8, prune);
}

/// Mounts a file system whose process answers nothing, then does something; all in a place of its own.
const MOUNT: &str = "set -e
exec 9<> /dev/fuse
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none \"$0\"
exec \"$@\"";

/// What a command line begins with that finds such a file system there; `None` where nobody may mount one.
fn hanging_at(place: &str) -> Option<[&str; 6]> {
    let within = ["unshare", "--mount", "sh", "-c", MOUNT, place];
    let tried = Outcome::of(Command::new(within[0]).args(&within[1..]).arg("true"));
    let may_mount = if tried.code() == Some(0) { Ok(()) } else { Err(tried.to_string()) };
    peers::or_skip("mount", may_mount).map(|()| within)
}

#[test]
fn a_file_system_that_does_not_answer_ends_the_run() {
    let (folder, keeper) = place();
    let first = keeper.backup();
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, PASSPHRASE).expect("a file can be written");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("its mode can be set");
    let passphrase = passphrase.to_str().expect("paths of tests are text");
    // The source itself, which is looked at before anything is opened; and what the walk comes upon.
    for hanging in [keeper.world(), keeper.world().join("region")] {
        let hanging = hanging.to_str().expect("paths of tests are text");
        let Some(within) = hanging_at(hanging) else { return };
        let mut command = keeper.command_under(&within, ["backup", "--read-timeout", "1"]);
        let _ = Outcome::of(&mut command).exits(2).says(&[&format!("has not answered for 1 s about {hanging}")]);
        assert!(locks(&keeper.repository()).is_empty(), "{:?}", locks(&keeper.repository()));
        assert_eq!(keeper.archives(), [first.as_str()]);
        // What is in the archives can be had all the same.
        let mut command = keeper.command_under(&within, ["list", "--passphrase-file", passphrase]);
        let _ = Outcome::of(command.env_remove("BORG_PASSPHRASE")).exits(0).says(&[&first]);
    }
    let _ = keeper.backup();
    is_well(&keeper);
}

#[test]
fn a_repository_that_does_not_answer_is_told_from_one_that_is_not_there() {
    let (_folder, keeper) = place();
    let _ = keeper.backup();
    let hanging = keeper.repository();
    let hanging = hanging.to_str().expect("paths of tests are text");
    let Some(within) = hanging_at(hanging) else { return };
    let keeper = keeper.with("READ_TIMEOUT", "1");
    let status = Outcome::of(&mut keeper.command_under(&within, ["status"])).exits(1);
    let _ = status.says(&[&format!("the repository at {hanging} does not answer: look at what is mounted there")]);
    let backup = Outcome::of(&mut keeper.command_under(&within, ["backup"])).exits(2);
    let _ = backup.says(&["cannot open the repository", &format!("has not answered for 1 s about {hanging}"), "hint"]);
    // It is nothing to one beside it.
    let other = keeper.folder().join("other");
    let keeper = keeper.with("BORG_REPO_PATH", format!("usb={hanging},local={}", other.display()));
    let backup = Outcome::of(&mut keeper.command_under(&within, ["backup"])).exits(2);
    let _ = backup.says(&["1 of 2 repositories failed: usb"]);
    assert_eq!(keeper.run(["list", "--short", "--repository", "local"]).lines().len(), 1);
}

/// A backup that takes its time, stopped after more and more of it is written.
#[test]
fn the_daemon_stops_within_the_grace_of_docker() {
    let (_folder, keeper) = place();
    tree::write(&keeper.world().join("large"), &sha_stream("large", 192 << 20));
    for written in [0, 1 << 20, 64 << 20, 128 << 20] {
        let daemon = keeper.spawn(["run"]);
        eventually("the backup is under way", Duration::from_secs(30), || {
            let locked = keeper.repository().join("lock.exclusive").exists();
            (locked && written <= largest_segment(&keeper)).then_some(())
        });
        let (outcome, took) = stop(daemon, Signal::TERM);
        let _ = outcome.exits(0);
        assert!(took < GRACE, "it took {took:?} to stop");
        assert!(locks(&keeper.repository()).is_empty(), "{:?}", locks(&keeper.repository()));
    }
    let _ = keeper.backup();
    is_well(&keeper);
}

/// What a lack of memory does. It must not begin anew without end, and not without a word.
#[test]
fn a_daemon_that_is_killed_in_a_backup_says_so_when_it_is_back_and_waits_at_the_second_time() {
    let (_folder, keeper) = place();
    tree::write(&keeper.world().join("large"), &sha_stream("large", 192 << 20));
    for _ in 0..2 {
        let before = largest_segment(&keeper);
        let daemon = keeper.spawn(["run"]);
        eventually("the backup is under way", Duration::from_secs(30), || {
            let locked = keeper.repository().join("lock.exclusive").exists();
            (locked && largest_segment(&keeper) != before).then_some(())
        });
        let _ = stop(daemon, Signal::KILL);
    }
    let daemon = keeper.spawn(["run"]);
    let failed = "the last backup failed";
    let history = keeper.state().join("history");
    let records = || fs::read_dir(&history).expect("it is there").map(|entry| entry.expect("it can be listed").path());
    eventually("both are recorded", Duration::from_secs(30), || {
        let texts = records().filter_map(|path| fs::read_to_string(path).ok());
        (texts.map(|text| text.matches("was cut off").count()).sum::<usize>() == 2).then_some(())
    });
    let _ = keeper.try_run(["status"]).exits(1).says(&[failed, "was cut off: its process was killed"]);
    // It says next what it makes of that.
    thread::sleep(Duration::from_millis(500));
    let (outcome, _) = stop(daemon, Signal::TERM);
    let _ = outcome.exits(0).says(&[
        "was cut off: its process was killed",
        "the last 2 backups were cut off",
        "is in 1 min",
    ]);
    let _ = keeper.backup();
    let _ = keeper.run(["status"]);
    is_well(&keeper);
}

#[test]
fn the_daemon_stops_while_it_waits_for_its_time() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (_folder, keeper) = place();
        let daemon = keeper.spawn(["run"]);
        eventually("the first archive", Duration::from_secs(30), || {
            let listed = keeper.try_run(["list"]);
            (listed.code() == Some(0) && !listed.stdout().is_empty()).then_some(())
        });
        let (outcome, took) = stop(daemon, signal);
        let _ = outcome.exits(0);
        assert!(took < Duration::from_secs(2), "it took {took:?} to stop");
    }
}

/// The terminal is closed, or the connection to it is lost: as if it was told to stop. Under `nohup` it goes on.
#[test]
fn a_backup_by_hand_ends_in_order_when_its_terminal_goes() {
    let (_folder, keeper) = place();
    tree::write(&keeper.world().join("large"), &sha_stream("large", 192 << 20));
    let nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "nohup"];
    for (wrapper, code) in [(&[][..], 2), (&nohup[..], 0)] {
        let mut command = match wrapper {
            [] => keeper.command(["backup"]),
            wrapper => keeper.command_under(wrapper, ["backup"]),
        };
        let backup = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");
        eventually("the backup is under way", Duration::from_secs(30), || {
            (keeper.repository().join("lock.exclusive").exists() && largest_segment(&keeper) > 1 << 20).then_some(())
        });
        let (outcome, _) = stop(backup, Signal::HUP);
        let _ = outcome.exits(code).says(if code == 2 { &["no archive was made", "begins anew"] } else { &[] });
        assert!(locks(&keeper.repository()).is_empty(), "{:?}", locks(&keeper.repository()));
    }
    is_well(&keeper);
}

#[test]
fn a_restore_that_is_stopped_says_that_it_is_not_complete() {
    let (folder, keeper) = place();
    for name in ["a", "b", "c"] {
        tree::write(&keeper.world().join(name), &sha_stream(name, 128 << 20));
    }
    let _ = keeper.backup();
    let target = folder.path().join("target");
    let words = ["restore", "latest", "--to", target.to_str().expect("paths of tests are text")];
    let restore = keeper.spawn(words);
    // All that is large is still to come.
    let begun = below(&target, &keeper.world());
    eventually("the restore has begun", Duration::from_secs(30), || begun.exists().then_some(()));
    let (outcome, took) = stop(restore, Signal::TERM);
    assert!(took < GRACE, "it took {took:?} to stop");
    let _ = outcome.exits(2).says(&["is not complete", "--overwrite", "stopped on request"]);
    let _ = keeper.run(words.into_iter().chain(["--overwrite"]));
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

fn stop(daemon: std::process::Child, signal: Signal) -> (Outcome, Duration) {
    let start = Instant::now();
    kill_process(Pid::from_child(&daemon), signal).expect("it runs");
    let output = daemon.wait_with_output().expect("it can be waited for");
    (Outcome::from_output(&Command::new("worldkeeper"), output), start.elapsed())
}

fn place() -> (TempDir, Worldkeeper) {
    let folder = tempfile::tempdir().expect("temporary directories can be made");
    // A lock that nobody clears must fail the test, not stall it.
    let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "5s");
    tree::sample(&keeper.world(), "killed");
    (folder, keeper)
}

/// Two archives and a world that has changed since; the command is a third.
fn another_archive(keeper: &Worldkeeper) -> Vec<String> {
    for seed in ["first", "second"] {
        tree::sample(&keeper.world(), seed);
        let _ = keeper.backup();
    }
    tree::sample(&keeper.world(), "third");
    words(&["backup"])
}

fn prune(keeper: &Worldkeeper) -> Vec<String> {
    another_archive(keeper);
    words(&["prune", "--keep-last", "1"])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Asks the command that `prepare` returns to stop, at an even sample of the calls with which it changes something, each
/// time from the same beginning.
#[track_caller]
fn stopped_anywhere(sample: usize, prepare: fn(&Worldkeeper) -> Vec<String>) {
    if !strace::is_there() {
        return;
    }
    let (_folder, keeper) = place();
    let args = prepare(&keeper);
    // Backups in these tests keep every archive; prune is to delete some.
    let pruner = keeper.clone().without("KEEP_WITHIN");
    let runner = if args[0] == "prune" { &pruner } else { &keeper };
    let beginning = Beginning::of(&keeper);
    let calls = strace::mutating_calls(runner, &args);
    assert!(calls.len() >= sample, "there are {} points only", calls.len());
    for index in 0..sample {
        let call = &calls[index * calls.len() / sample];
        beginning.restore();
        // What the key seals from here on, in one of many courses that things may take from there.
        let counters = Counters::default();
        counters.directory(&keeper.repository());
        let before = keeper.archives();
        println!("asked to stop at {call} of {args:?}");
        let strace = strace::at(call, Signal::TERM, Path::new("/dev/null"));
        let start = Instant::now();
        let outcome = Outcome::of(&mut runner.command_under(&strace, &args));
        // Done before it was told, or stopped before it was done.
        assert!(matches!(outcome.code(), Some(0 | 2)), "{outcome}");
        assert!(start.elapsed() < GRACE, "it took {:?} to stop", start.elapsed());
        assert!(locks(&keeper.repository()).is_empty(), "a lock is left: {outcome}");
        counters.directory(&keeper.repository());
        goes_on(&keeper, &before, args[0] != "backup");
        counters.directory(&keeper.repository());
    }
}

/// What must hold after any end: the next run needs no help, and the archives are the old or the new ones. `deletes`
/// says that some of the old ones may be gone.
#[track_caller]
fn goes_on(keeper: &Worldkeeper, before: &[String], deletes: bool) {
    let added = keeper.backup();
    let mut after = keeper.archives();
    let kept = before.iter().filter(|name| after.contains(name)).count();
    assert!(deletes || kept == before.len(), "{before:?} became {after:?}");
    after.retain(|name| !before.contains(name) && *name != added);
    assert!(after.len() <= usize::from(!deletes), "{after:?} came from nowhere");
    is_well(keeper);
}

/// The last archive is what the world is, no lock is left, and stock has nothing to say.
#[track_caller]
fn is_well(keeper: &Worldkeeper) {
    assert!(locks(&keeper.repository()).is_empty());
    let target = keeper.folder().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
    fs::remove_dir_all(target).expect("what was restored can be removed");
    if let Some(borg) = Borg::newest() {
        borg.with_passphrase(PASSPHRASE).check(&keeper.repository());
    }
}

/// The repository and the state as they were before a run.
struct Beginning {
    kept: [PathBuf; 2],
    copies: PathBuf,
}

impl Beginning {
    fn of(keeper: &Worldkeeper) -> Self {
        let beginning = Self { kept: [keeper.repository(), keeper.state()], copies: keeper.folder().join("beginning") };
        fs::create_dir(&beginning.copies).expect("folders can be made");
        for (kept, copied) in beginning.pairs().filter(|(kept, _)| kept.exists()) {
            copy(kept, &copied);
        }
        beginning
    }

    fn restore(&self) {
        for (kept, copied) in self.pairs() {
            let _ = fs::remove_dir_all(kept);
            if copied.exists() {
                copy(&copied, kept);
            }
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&PathBuf, PathBuf)> {
        self.kept.iter().map(|kept| (kept, self.copies.join(kept.file_name().expect("it has a name"))))
    }
}

fn largest_segment(keeper: &Worldkeeper) -> u64 {
    let segments = fs::read_dir(keeper.repository().join("data/0")).into_iter().flatten().filter_map(Result::ok);
    segments.filter_map(|entry| Some(entry.metadata().ok()?.len())).max().unwrap_or(0)
}
