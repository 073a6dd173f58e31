//! Stock borg as the oracle: it opens what we wrote without a replay, and finds nothing wrong; and the other way round.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Repository, RepositoryId, Stop};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OpenOptions, OsDisk};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::process::Process;

fn open(path: &Path) -> LocalRepository {
    let options = OpenOptions {
        mode: Mode::Exclusive,
        wait: Some(Duration::ZERO),
        on_wait: None,
        identity: Process::new(),
        clock: Arc::new(ManualClock::at("2026-11-06T12:00:00Z")),
        stop: Stop::default(),
    };
    LocalRepository::open(Arc::new(OsDisk), path, &options).unwrap()
}

fn id(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

fn object(number: u8) -> Bytes {
    Bytes::from(vec![number; 1000 * usize::from(number)])
}

/// Runs a subcommand on the repository, which must succeed and have nothing to say of replays, indices or hints.
fn quiet(borg: &Borg, words: &[&str], path: &Path) -> Outcome {
    let mut command: Command = borg.command();
    command.args(words).arg(path);
    let outcome = Outcome::of(&mut command).exits(0);
    let said = outcome.stderr().to_lowercase();
    assert!(!["replay", "corrupt", "missing", "recover", "error"].iter().any(|word| said.contains(word)), "{outcome}");
    outcome
}

/// Requires that stock finds the segments and the index in order, and uses the index as it is.
fn check(borg: &Borg, path: &Path) {
    let _ = quiet(borg, &["check", "--repository-only"], path);
}

#[test]
fn stock_accepts_what_we_created_and_goes_on_with_it() {
    for borg in Borg::all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r");
        LocalRepository::create(&OsDisk, &path, &CreateOptions::new(RepositoryId([9; 32]))).unwrap();
        let repository = open(&path);
        let mut transaction = repository.begin().unwrap();
        for number in 1..=50 {
            transaction.put(id(number), object(number)).unwrap();
        }
        transaction.commit().unwrap();
        drop(repository);
        check(&borg, &path);

        let repository = open(&path);
        let mut transaction = repository.begin().unwrap();
        for number in (1..=50).filter(|number| number % 3 != 0) {
            transaction.delete(id(number)).unwrap();
        }
        transaction.put(id(3), object(4)).unwrap();
        let stats = transaction.commit_and_compact(10).unwrap();
        assert!(stats.freed_bytes > 700_000, "{stats:?}");
        drop(repository);
        check(&borg, &path);
    }
}

#[test]
fn stock_and_we_change_one_repository_in_turn() {
    for borg in Borg::all() {
        let directory = tempfile::tempdir().unwrap();
        let (path, source) = (directory.path().join("r"), directory.path().join("source"));
        std::fs::create_dir(&source).unwrap();
        borg.init(&path, "none");
        for round in 0..3u8 {
            std::fs::write(source.join("file"), vec![round; 100_000 + usize::from(round)]).unwrap();
            let _ = borg.create(&path, &format!("archive-{round}"), &source, &[]);

            // Objects that no archive refers to come, change and go.
            let repository = open(&path);
            let before = repository.ids().unwrap().len();
            let mut transaction = repository.begin().unwrap();
            for number in 1..=20 {
                transaction.put(id(number), object(number)).unwrap();
            }
            transaction.commit().unwrap();
            let mut transaction = repository.begin().unwrap();
            for number in 1..=10 {
                transaction.put(id(number), object(number + 1)).unwrap();
            }
            transaction.commit_and_compact(10).unwrap();
            drop(repository);
            check(&borg, &path);
            assert_eq!(quiet(&borg, &["list", "--short"], &path).lines().len(), usize::from(round) + 1);

            let repository = open(&path);
            let mut transaction = repository.begin().unwrap();
            for number in 1..=20 {
                transaction.delete(id(number)).unwrap();
            }
            transaction.commit_and_compact(if round % 2 == 0 { 0 } else { 10 }).unwrap();
            assert_eq!(repository.ids().unwrap().len(), before);
            drop(repository);
            check(&borg, &path);
            if round == 1 {
                let _ = quiet(&borg, &["compact", "--threshold", "0"], &path);
                check(&borg, &path);
            }
            // From scratch, stock finds the same: nothing comes back.
            if round == 2 {
                for entry in std::fs::read_dir(&path).unwrap().map(Result::unwrap) {
                    let name = entry.file_name().into_string().unwrap();
                    if ["index.", "hints.", "integrity."].iter().any(|prefix| name.starts_with(prefix)) {
                        std::fs::remove_file(entry.path()).unwrap();
                    }
                }
                let _ = borg.run([std::ffi::OsStr::new("list"), path.as_os_str()]);
                assert_eq!(open(&path).ids().unwrap().len(), before);
            }
        }
        borg.check(&path);
    }
}

#[test]
fn stock_and_we_exclude_each_other() {
    for borg in Borg::all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r");
        borg.init(&path, "none");
        let repository = open(&path);
        let words = ["--lock-wait", "0", "list"].map(Into::into);
        let outcome = borg.try_run(words.into_iter().chain([path.clone().into_os_string()]));
        assert_eq!(outcome.code(), Some(2), "{outcome}");
        assert!(outcome.stderr().contains("lock"), "{outcome}");
        drop(repository);
        let _ = borg.run([std::ffi::OsStr::new("list"), path.as_os_str()]);
        assert!(!path.join("lock.roster").exists());
    }
}
