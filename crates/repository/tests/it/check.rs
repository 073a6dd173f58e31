//! Checking without repair: what is sound is found sound, what is not is named with its place, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use worldkeeper_core::repository::{CheckEvent, CheckOptions, Finding, RepositoryCheck, Severity};
use worldkeeper_core::{ChunkId, Clock, Repository, RepositoryError};
use worldkeeper_repository::{LocalRepository, Mode, OsDisk};
use worldkeeper_testkit::disk::{MemoryDisk, ReadFault};
use worldkeeper_testkit::repositories::{Copy, NAMES};

use crate::common::{Process, configure, contents, create, id, object, open, options, put};

pub(crate) const LOOK: CheckOptions = CheckOptions { repair: false, max_duration: None };
pub(crate) const REPAIR: CheckOptions = CheckOptions { repair: true, max_duration: None };

/// Checks, and gathers what is found.
pub(crate) fn check(
    repository: &LocalRepository,
    options: CheckOptions,
) -> Result<(RepositoryCheck, Vec<Finding>), RepositoryError> {
    let mut findings = Vec::new();
    let outcome = repository.check(&options, &mut |event| {
        if let CheckEvent::Found(finding) = event {
            findings.push(finding.clone());
        }
    })?;
    let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    assert_eq!(problems as u64, outcome.problems, "{findings:?}");
    Ok((outcome, findings))
}

/// Checks without repair as somebody who takes no lock.
fn look(path: &Path) -> (RepositoryCheck, Vec<Finding>) {
    check(&open(&OsDisk, path, Mode::WithoutLock).unwrap(), LOOK).unwrap()
}

/// Every file below a directory, with its content.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(snapshot(&entry));
        } else {
            files.insert(entry.clone(), fs::read(&entry).unwrap());
        }
    }
    files
}

#[test]
fn what_is_sound_is_found_sound_and_left_alone() {
    for name in NAMES {
        let copy = Copy::of(name);
        let before = snapshot(&copy.path());
        for (mode, options) in [(Mode::WithoutLock, LOOK), (Mode::Shared, LOOK), (Mode::Exclusive, REPAIR)] {
            let repository = open(&OsDisk, &copy.path(), mode).unwrap();
            let (outcome, findings) = check(&repository, options).unwrap();
            assert_eq!(findings, [], "{name}");
            assert!(outcome.is_sound() && outcome.segments > 10 && outcome.objects > 10, "{name}: {outcome:?}");
            drop(repository);
            assert_eq!(snapshot(&copy.path()), before, "{name}");
        }
    }
}

#[test]
fn a_flipped_bit_is_found_where_it_is() {
    let copy = Copy::of("none-borg1.4.5");
    let segment = copy.path().join("data/0/2");
    let mut bytes = fs::read(&segment).unwrap();
    // In the middle of the second object, whose entry begins at 19822.
    bytes[19_822 + 45] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let before = snapshot(&copy.path());
    let (outcome, findings) = look(&copy.path());
    assert_eq!((outcome.problems, outcome.remaining, findings.len()), (2, 2, 2), "{findings:?}");
    assert!(findings.iter().all(|finding| (finding.segment, finding.offset) == (Some(2), Some(19_822))));
    let lost = findings[1].id.unwrap();
    let error = open(&OsDisk, &copy.path(), Mode::WithoutLock).unwrap().get(&lost).unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged { segment: 2, offset: 19_822, .. }), "{error}");
    assert_eq!(snapshot(&copy.path()), before);
}

/// Each look at it is a second later.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn sleep(&self, _: Duration) {}
}

#[test]
fn a_check_with_a_time_limit_goes_on_where_the_last_one_ended() {
    let copy = Copy::of("none-borg1.4.5");
    let path = copy.path();
    let segments = fs::read_dir(path.join("data/0")).unwrap().count() as u64;
    let config = fs::read(path.join("config")).unwrap();
    let mut open_options = options(Mode::Exclusive, &Process::new());
    open_options.clock = Arc::new(Ticking(AtomicU64::new(0)));
    let limited = CheckOptions { max_duration: Some(Duration::from_secs(7)), ..LOOK };
    let (mut seen, mut rounds) = (0, 0);
    loop {
        let repository = LocalRepository::open(Arc::new(OsDisk), &path, &open_options).unwrap();
        let (outcome, findings) = check(&repository, limited).unwrap();
        assert_eq!(findings, []);
        (seen, rounds) = (seen + outcome.segments, rounds + 1);
        let text = fs::read_to_string(path.join("config")).unwrap();
        assert_eq!(text.contains("last_segment_checked = "), outcome.unfinished, "{text}");
        if !outcome.unfinished {
            break;
        }
    }
    assert_eq!((seen, rounds > 2), (segments, true));
    assert_eq!(fs::read(path.join("config")).unwrap().trim_ascii(), config.trim_ascii());
}

#[test]
fn strays_are_named_and_left_where_they_are() {
    let copy = Copy::of("none-borg1.4.5");
    let path = copy.path();
    let strays = ["data/.nfs0001", "data/7", "data/0/.nfs0002", "data/0/30.tmp", "data/0/031"];
    for stray in strays {
        fs::write(path.join(stray), "").unwrap();
    }
    fs::create_dir(path.join("data/lost+found")).unwrap();
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    for options in [LOOK, REPAIR] {
        let (outcome, findings) = check(&repository, options).unwrap();
        assert!(outcome.is_sound(), "{findings:?}");
        for stray in strays.iter().chain(&["data/lost+found"]) {
            assert!(findings.iter().any(|finding| finding.what.starts_with(&format!("{stray} "))), "{stray}");
        }
        assert_eq!(findings.len(), 6, "{findings:?}");
    }
    assert!(strays.iter().all(|stray| path.join(stray).exists()));
    let left = path.join("data/0/3.repair");
    fs::write(&left, "BORG_").unwrap();
    let (_, findings) = check(&repository, REPAIR).unwrap();
    assert!(findings.iter().any(|finding| finding.what.contains("left by a repair")), "{findings:?}");
    assert!(!left.exists());
}

#[test]
fn a_damaged_nonce_is_told_and_left_to_the_keys_owner() {
    let copy = Copy::of("repokey-blake2-borg1.4.5");
    let nonce = copy.path().join("nonce");
    fs::write(&nonce, "BORG_SEG").unwrap();
    let repository = open(&OsDisk, &copy.path(), Mode::Exclusive).unwrap();
    for options in [LOOK, REPAIR] {
        let (outcome, findings) = check(&repository, options).unwrap();
        assert!(outcome.is_sound(), "no object is worse for it: {findings:?}");
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert!(finding.what.contains("nonce") && finding.what.contains("check of the archives"), "{finding}");
    }
    assert_eq!(fs::read(&nonce).unwrap(), b"BORG_SEG");
}

#[test]
fn what_does_not_count_any_more_can_be_read_until_it_is_compacted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    configure(&OsDisk, &path, "max_segment_size", "3000");
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    put(&repository, &(1..=9).map(|number| (id(number), object(number, 1000))).collect::<Vec<_>>());
    assert_eq!(repository.earlier_ids().unwrap(), []);
    put(&repository, &[(id(3), object(33, 900)), (ChunkId::MANIFEST, object(0, 10))]);
    let mut transaction = repository.begin().unwrap();
    for number in [3, 4, 5] {
        transaction.delete(id(number)).unwrap();
    }
    transaction.put(id(6), object(66, 10)).unwrap();
    transaction.commit().unwrap();
    let before = contents(&repository).unwrap();
    let versions = |repository: &LocalRepository, id: &ChunkId| {
        let mut versions = Vec::new();
        let none = repository.find_earlier(id, &mut |object| {
            versions.push(object.clone());
            false
        });
        assert!(none.unwrap().is_none());
        versions
    };
    let earlier = |repository: &LocalRepository| {
        let mut ids = repository.earlier_ids().unwrap();
        ids.sort_unstable();
        ids.into_iter().map(|id| (id, versions(repository, &id))).collect::<Vec<_>>()
    };
    let expected = [
        (id(3), vec![object(33, 900), object(3, 1000)]),
        (id(4), vec![object(4, 1000)]),
        (id(5), vec![object(5, 1000)]),
        (id(6), vec![object(6, 1000)]),
    ];
    assert_eq!(earlier(&repository), expected, "the newest of several first");
    assert_eq!(earlier(&open(&OsDisk, &path, Mode::WithoutLock).unwrap()), expected);
    let first = repository.find_earlier(&id(3), &mut |object| object.len() == 1000).unwrap();
    assert_eq!(first, Some(object(3, 1000)), "the one that is wanted");
    assert_eq!(versions(&repository, &id(7)), Vec::<bytes::Bytes>::new(), "it is what it was");

    // One is put back, the others go.
    put(&repository, &[(id(4), object(4, 1000))]);
    assert_eq!(earlier(&repository), expected, "the first one of it is still there, too");
    repository.begin().unwrap().commit_and_compact(0).unwrap();
    assert!(versions(&repository, &id(3)).is_empty(), "nobody knows where it lies");
    assert_eq!(earlier(&repository), []);
    assert_eq!(contents(&repository).unwrap().len(), before.len() + 1);
}

#[test]
fn what_the_disk_does_not_give_is_passed_over_where_earlier_versions_are_looked_for() {
    let (disk, path) = (MemoryDisk::new(), Path::new("/r"));
    create(&disk, path);
    configure(&disk, path, "max_segment_size", "3000");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &(1..=9).map(|number| (id(number), object(number, 1000))).collect::<Vec<_>>());
    let mut transaction = repository.begin().unwrap();
    (1..=9).for_each(|number| transaction.delete(id(number)).unwrap());
    transaction.commit().unwrap();
    let found = || (1..=9).filter(|number| repository.find_earlier(&id(*number), &mut |_| true).unwrap().is_some());
    assert_eq!(repository.earlier_ids().unwrap().len(), 9);
    assert_eq!(found().count(), 9);
    let below = path.join("data/0/0");
    disk.fail_reads(Some(ReadFault { call: 1, below, kind: ErrorKind::Other, for_ever: true }));
    let rest: Vec<_> = found().collect();
    assert!(rest.len() < 9 && rest.ends_with(&[7, 8, 9]), "{rest:?}");
    assert_eq!(repository.earlier_ids().unwrap().len(), rest.len());
    assert!(matches!(repository.earlier_unread(), Some(RepositoryError::Disk(_))), "it is told why");
    disk.fail_reads(None);
    assert_eq!(repository.earlier_ids().unwrap().len(), 9);
    assert!(repository.earlier_unread().is_none());
}
