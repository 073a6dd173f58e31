//! `check` of some archives, of a part of the repository, and of one that nobody can write to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{peers, strace, tree};

use crate::check::id_of;
use crate::place;

/// By their time; in the order of their letters they would be others.
const ARCHIVES: [&str; 5] = ["web-1", "mc-2", "mc-1", "web-2", "mc-3"];

/// Options that both have, with the same words.
const CHOICES: &[&[&str]] = &[
    &[],
    &["--first", "2"],
    &["--last", "2"],
    &["--first", "9"],
    &["-a", "mc-*"],
    &["--glob-archives", "*-[12]"],
    &["-P", "mc-"],
    &["--prefix", "web", "--last", "1"],
    &["-a", "mc-*", "--first", "2"],
    &["-P", "none"],
    &["-a", "mc"],
];

/// Stock makes [`ARCHIVES`], of a file each.
fn archives(borg: &Borg, keeper: &Worldkeeper) {
    borg.init(&keeper.repository(), "none");
    for (number, name) in ARCHIVES.into_iter().enumerate() {
        let file = keeper.world().join(name);
        tree::write(&file, name.as_bytes());
        let time = format!("2026-11-0{}T12:00:00", number + 1);
        let _ = borg.create(&keeper.repository(), name, &file, &["--timestamp", &time]);
    }
}

/// Every archive has lost something, so that each says whether it was looked at.
#[test]
fn the_archives_that_are_looked_at_are_those_that_stock_looks_at() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (_folder, keeper) = place("none");
    archives(&borg, &keeper);
    let repository = keeper.repository();
    for name in ARCHIVES {
        let chunk = id_of(&borg.items(&repository, name)[0]["chunks"][0][0]);
        let _ = borg.run(["debug", "delete-obj", repository.to_str().expect("a plain name"), &chunk]);
    }
    let looked_at = |outcome: &Outcome, before: &str, behind: &str| {
        let found = ARCHIVES.iter().filter(|name| outcome.stderr().contains(&format!("{before}{name}{behind}")));
        found.copied().collect::<BTreeSet<_>>()
    };
    for options in CHOICES {
        let words = || ["check", "--archives-only"].iter().chain(*options).copied();
        let ours = keeper.try_run(words());
        let theirs = borg.try_run(words().chain([repository.to_str().expect("a plain name")]));
        let found = looked_at(&ours, "archive ", ", path");
        assert_eq!(found, looked_at(&theirs, "", ": "), "{options:?}: {ours}\n{theirs}");
        assert_eq!(ours.code(), theirs.code(), "{options:?}");
        // A misspelt choice must not pass for a check.
        let is_told = ours.stderr().contains("no archive matches");
        assert_eq!(is_told, found.is_empty(), "{options:?}: {ours}");
    }
    for name in ["mc-1", "mc-4"] {
        let ours = keeper.try_run(["check", name]);
        let theirs = borg.try_run(["check", &location(&repository, name)]);
        assert_eq!(looked_at(&ours, "archive ", ", path"), looked_at(&theirs, "", ": "), "{name}");
        assert_eq!((ours.code(), theirs.code()), if name == "mc-1" { (Some(1), Some(1)) } else { (Some(2), Some(1)) });
    }
}

/// The segments of a repository, in order.
fn segments(repository: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository.join("data/0")).expect("there are segments");
    let mut segments: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    segments.sort_by_key(|path| number(path));
    segments
}

fn number(segment: &Path) -> u32 {
    segment.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a segment has a number")
}

/// Where one has ended the other goes on: what lies before that place is not looked at, what lies behind it is.
#[test]
fn a_check_with_a_time_limit_goes_on_where_stock_has_ended() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (_folder, keeper) = place("none");
    archives(&borg, &keeper);
    let repository = keeper.repository();
    let config = || fs::read_to_string(repository.join("config")).expect("there is one");
    let whole = config();
    let damaged = &segments(&repository)[4];
    let mut bytes = fs::read(damaged).expect("it can be read");
    bytes[20] ^= 1;
    fs::write(damaged, bytes).expect("it can be written");
    let at = number(damaged);
    for (ended_at, code) in [(None, 1), (Some(at - 1), 1), (Some(at), 0)] {
        let begin = ended_at.map_or(String::new(), |segment| format!("last_segment_checked = {segment}\n"));
        let begin = whole.trim_end().to_owned() + "\n" + &begin + "\n";
        let words = ["check", "--repository-only", "--max-duration", "1000"];
        let ends = [true, false].map(|is_ours| {
            fs::write(repository.join("config"), &begin).expect("it can be written");
            let outcome = if is_ours {
                keeper.try_run(words)
            } else {
                borg.try_run(words.into_iter().chain([repository.to_str().expect("a plain name")]))
            };
            assert_eq!(outcome.code(), Some(code), "{ended_at:?}: {outcome}");
            config()
        });
        assert_eq!(ends[0], ends[1], "{ended_at:?}");
        assert!(!ends[0].contains("last_segment_checked"), "that was the end");
    }
    let _ = keeper.try_run(["check", "--repository-only"]).exits(1);
}

/// The time is up on a disk that takes a second for one segment.
#[test]
fn stock_goes_on_where_a_check_with_a_time_limit_has_ended() {
    let Some(borg) = Borg::newest().filter(|_| strace::is_there()).map(Borg::warmed) else { return };
    let (_folder, keeper) = place("none");
    archives(&borg, &keeper);
    let repository = keeper.repository();
    let slow = &segments(&repository)[4];
    let trace = ["trace=open,openat", "inject=open,openat:delay_enter=1050000:when=1"].map(str::to_owned);
    let slow_path = slow.to_str().expect("a plain name");
    let log = keeper.folder().join("strace.log").display().to_string();
    let strace = ["strace", "-f", "-qq", "-o", &log, "-P", slow_path, "-e", &trace[0], "-e", &trace[1]];
    let words = ["check", "--repository-only", "--max-duration", "1"];
    let _ = Outcome::of(&mut keeper.command_under(&strace, words)).exits(0).says(&["the time was up"]);
    let ended = format!("last_segment_checked = {}\n", number(slow));
    assert!(fs::read_to_string(repository.join("config")).expect("there is one").contains(&ended));
    // What lies before is damaged since, and not looked at; then it is.
    let first = &segments(&repository)[0];
    let mut bytes = fs::read(first).expect("it can be read");
    bytes[20] ^= 1;
    fs::write(first, bytes).expect("it can be written");
    let words = || words.into_iter().chain([repository.to_str().expect("a plain name")]);
    let _ = borg.run(words());
    let _ = borg.try_run(words()).exits(1);
}

/// A mount that nobody can write to is read without a lock, which stock cannot do; nobody else can write there either.
#[test]
fn read_only_media_are_checked_without_a_lock() {
    let (folder, keeper) = place("repokey-blake2");
    let repository = keeper.repository().display().to_string();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let read_only = ["unshare", "--mount", "sh", "-c", mount, &repository];
    let possible =
        Outcome::of(Command::new(read_only[0]).args(["--mount", "sh", "-c"]).args([
            "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"".as_ref(),
            folder.path().as_os_str(),
        ]));
    let possible = if possible.code() == Some(0) { Ok(()) } else { Err(possible.to_string()) };
    if peers::or_skip("mount", possible).is_none() {
        return;
    }
    tree::sample(&keeper.world(), "read-only");
    let archive = keeper.backup();
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    let before = tree::listing(&keeper.repository());
    let run = |words: &[&str]| Outcome::of(&mut keeper.command_under(&read_only, words));
    for words in [&[][..], &["--repository-only"], &["--verify-data"], &["--archives-only", &archive]] {
        let _ = run(&[&["check"], words].concat()).exits(0).says(&["read-only media", "found nothing wrong"]);
    }
    // What would have to write says what is the matter, and what works all the same.
    let limited = ["check", "--repository-only", "--max-duration", "60"];
    for words in [&["check", "--repair"][..], &limited, &["compact"], &["delete", &archive], &["backup"]] {
        let _ = run(words).exits(2).says(&["the repository is mounted read-only", "list, restore and check"]);
    }
    assert_eq!(tree::listing(&keeper.repository()), before);

    // Damage is found there as anywhere.
    let damaged =
        segments(&keeper.repository()).into_iter().max_by_key(|path| fs::metadata(path).map_or(0, |it| it.len()));
    let damaged = damaged.expect("there are segments");
    let mut bytes = fs::read(&damaged).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).expect("it can be written");
    let _ = run(&["check"]).exits(1).says(&["checksum", "check --repair"]);
}
