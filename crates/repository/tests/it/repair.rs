//! Repair: whatever happened to the files, every object that verifies is kept, the repository works again, and a
//! repair that is interrupted is taken up by the next.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::repository::{CheckEvent, CheckOptions, RepositoryCheck};
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError};
use worldkeeper_repository::{LocalRepository, Mode};
use worldkeeper_testkit::disk::{Fault, MemoryDisk, ReadFault};
use worldkeeper_testkit::gate;
use worldkeeper_testkit::random::Random;

use crate::check::{LOOK, REPAIR, check};
use crate::common::{Process, configure, contents, create, id, object, open, open_as, options, put};
use crate::evidence::compacted;
use crate::oracle::{segments, survivors};

const PATH: &str = "/r";

type Content = BTreeMap<ChunkId, Bytes>;

/// A repository with a history: small segments, superseded and deleted objects, several commits, all durable.
pub(crate) fn sample() -> MemoryDisk {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    create(&disk, path);
    configure(&disk, path, "max_segment_size", "3K");
    configure(&disk, path, "segments_per_dir", "4");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    for round in 0..4u8 {
        let objects: Vec<_> = (0..6).map(|number| (id(round * 6 + number + 1), object(number, 700))).collect();
        put(&repository, &objects);
        put(&repository, &[(ChunkId::MANIFEST, object(round, 300)), (id(40), object(round, 50))]);
        let mut transaction = repository.begin().unwrap();
        transaction.delete(id(round * 6 + 2)).unwrap();
        transaction.commit().unwrap();
    }
    drop(repository);
    // That the lock was given back is not durable by itself.
    disk.sync_dir(path).unwrap();
    disk
}

/// Writes a file anew, durably.
pub(crate) fn write(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    disk::remove_if_there(disk, path).unwrap();
    let mut file = disk.create(path).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// All files below a directory that say something, in order: the reserve is noise.
pub(crate) fn files(disk: &MemoryDisk, directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut names = disk.list(directory).unwrap();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let path = directory.join(name);
        match kind {
            EntryKind::Directory => files.extend(self::files(disk, &path)),
            _ if path.to_string_lossy().contains("reserve") => {}
            _ => files.push(path),
        }
    }
    files
}

fn segment_file(disk: &MemoryDisk, number: u32) -> PathBuf {
    let path = Path::new(PATH).join(format!("data/{}/{number}", number / 4));
    assert!(disk.metadata(&path).is_ok(), "there is a segment {number}");
    path
}

fn change(disk: &MemoryDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk::read(disk, path, 1 << 20).unwrap();
    change(&mut bytes);
    write(disk, path, &bytes);
}

fn repair(disk: &MemoryDisk, context: &str) -> RepositoryCheck {
    let repository = open(disk, Path::new(PATH), Mode::Exclusive).unwrap();
    let (outcome, findings) = check(&repository, REPAIR).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(outcome.is_sound(), "{context}: {findings:?}");
    outcome
}

fn content(repository: &LocalRepository, context: &str) -> Content {
    contents(repository).unwrap_or_else(|error| panic!("{context}: {error}")).into_iter().collect()
}

/// Requires that the repository holds what it should, that there is nothing left to find, and that it can be written
/// to, compacted and replayed.
fn works(disk: &MemoryDisk, expected: &Content, context: &str) {
    let path = Path::new(PATH);
    let repository = open(disk, path, Mode::Exclusive).unwrap();
    let (_, mut findings) = check(&repository, LOOK).unwrap();
    // What nothing says was ever committed is left to the next writer.
    findings.retain(|finding| !finding.what.contains("belong to no commit"));
    assert_eq!(findings, [], "{context}");
    assert_eq!(content(&repository, context), *expected, "{context}");
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(99), object(99, 500)).unwrap();
    for number in expected.keys().take(3) {
        transaction.delete(*number).unwrap();
    }
    transaction.commit_and_compact(0).unwrap();
    drop(repository);
    let mut expected: Content = expected.iter().skip(3).map(|(id, object)| (*id, object.clone())).collect();
    expected.insert(id(99), object(99, 500));
    for file in files(disk, path) {
        if file.to_str().unwrap().contains("/index.") {
            disk.remove_file(&file).unwrap();
        }
    }
    let repository = open(disk, path, Mode::Exclusive).unwrap();
    assert_eq!(content(&repository, context), expected, "{context}, compacted and replayed");
    let (outcome, findings) = check(&repository, LOOK).unwrap();
    assert_eq!(outcome.problems, 0, "{context}, compacted and replayed: {findings:?}");
}

/// Does one of the things that happen to files; says which.
fn damage(disk: &MemoryDisk, random: &mut Random) -> String {
    let path = Path::new(PATH);
    let is_small = |file: &PathBuf| ["config", "README"].iter().any(|name| file.ends_with(name));
    let files: Vec<_> = files(disk, path).into_iter().filter(|file| !is_small(file)).collect();
    let file = &files[random.below(files.len())];
    let mut bytes = disk::read(disk, file, 1 << 20).unwrap();
    let at = random.below(bytes.len().max(1));
    let len = random.below(bytes.len() - at + 1);
    let what = match random.below(8) {
        0 | 1 if !bytes.is_empty() => {
            bytes[at] ^= 1 << random.below(8);
            "a bit flipped"
        }
        2 => {
            bytes.truncate(at);
            "truncated"
        }
        3 => {
            bytes[at..at + len].fill(0);
            "zeroed"
        }
        4 => {
            let again = bytes[at..at + len].to_vec();
            bytes.splice(at..at, again);
            "doubled"
        }
        5 => {
            bytes.drain(at..at + len);
            "cut out"
        }
        6 => {
            bytes.splice(at..at, std::iter::repeat_n(0xa5, len.min(50)));
            "inserted"
        }
        _ => {
            disk.remove_file(file).unwrap();
            return format!("{} removed", file.display());
        }
    };
    write(disk, file, &bytes);
    format!("{} {what} at {at}, {len} bytes", file.display())
}

#[test]
fn gate_repair_keeps_every_object_that_verifies() {
    let sample = sample();
    let seed = gate::seed();
    for case in 0..gate::amount(1000, 50_000) {
        let mut random = Random::new(seed.wrapping_add(case as u64));
        let disk = sample.after_kill();
        let damages: Vec<_> = (0..=random.below(4)).map(|_| damage(&disk, &mut random)).collect();
        let context = format!("seed {seed}, case {case}: {}", damages.join("; "));
        let expected = survivors(&disk, Path::new(PATH));
        let before = segments(&disk, Path::new(PATH));
        let looked = check(&open(&disk, Path::new(PATH), Mode::WithoutLock).unwrap(), LOOK).unwrap().0;
        assert_eq!(segments(&disk, Path::new(PATH)), before, "{context}: looking changes nothing");
        let outcome = repair(&disk, &context);
        assert_eq!(outcome.problems, looked.problems, "{context}");
        works(&disk, &expected, &context);
    }
}

/// Damages the sample in all the ways a repair acts on; with or without its last COMMIT.
fn damaged(has_commit: bool) -> MemoryDisk {
    let disk = sample();
    let last = *segments(&disk, Path::new(PATH)).keys().next_back().unwrap();
    change(&disk, &segment_file(&disk, 0), |bytes| bytes[900] ^= 1);
    change(&disk, &segment_file(&disk, 1), |bytes| bytes.truncate(bytes.len() - 100));
    change(&disk, &segment_file(&disk, 5), |bytes| bytes.fill(0));
    change(&disk, &segment_file(&disk, 6), Vec::clear);
    if !has_commit {
        change(&disk, &segment_file(&disk, last), |bytes| bytes[12] ^= 1);
    }
    disk
}

/// Requires that nobody who opens the repository is told what is not so.
fn reads_nothing_wrong(disk: &MemoryDisk, expected: &Content, context: &str) {
    let repository = open(disk, Path::new(PATH), Mode::WithoutLock).unwrap();
    let ids = match repository.ids() {
        Ok(ids) => ids,
        Err(RepositoryError::CheckNeeded(_) | RepositoryError::Damaged { .. }) => return,
        Err(error) => panic!("{context}: {error}"),
    };
    for id in ids {
        match repository.get(&id) {
            Ok(object) => {
                // Before the repair, readers may fall back to an older state; they never read what was never stored.
                let is_known = expected.get(&id) == Some(&object) || object.windows(2).all(|pair| pair[0] == pair[1]);
                assert!(is_known, "{context}: {id}");
            }
            Err(RepositoryError::Damaged { .. }) => {}
            Err(error) => panic!("{context}: {error}"),
        }
    }
}

#[test]
fn gate_repair_is_interrupted_at_any_call_and_taken_up_again() {
    let seed = gate::seed();
    for has_commit in [true, false] {
        let start = damaged(has_commit);
        let path = Path::new(PATH);
        let expected = survivors(&start, path);
        assert!(expected.len() > 12, "{}", expected.len());
        let calls = {
            let disk = start.after_kill();
            disk.fail(None);
            repair(&disk, "without interruption");
            let calls = disk.calls();
            works(&disk, &expected, "without interruption");
            calls
        };
        assert!(calls > 30, "{calls} calls are too few to be the whole story");
        for call in 1..=calls {
            for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
                let context = format!("commit {has_commit}, call {call} of {calls} fails for ever with {kind}");
                let (disk, process) = (start.after_kill(), Process::new());
                disk.fail(Some(Fault { call, kind, for_ever: true }));
                if let Ok(repository) = open_as(&process, &disk, path, Mode::Exclusive) {
                    // Giving back the lock may be what fails.
                    let _ = check(&repository, REPAIR);
                }
                let mut states = vec![(disk.after_kill(), context.clone())];
                for number in 0..gate::amount(2, 40) as u64 {
                    let power = seed.wrapping_add(1000 * call as u64 + number);
                    states.push((disk.after_power_failure(power), format!("{context}, then the power, seed {power}")));
                }
                for (left, context) in states {
                    reads_nothing_wrong(&left, &expected, &context);
                    let again = open_as(&Process::after(&process), &left, path, Mode::Exclusive);
                    let again = again.unwrap_or_else(|error| panic!("{context}: {error}"));
                    let (outcome, findings) =
                        check(&again, REPAIR).unwrap_or_else(|error| panic!("{context}: {error}"));
                    assert!(outcome.is_sound(), "{context}: {findings:?}");
                    drop(again);
                    works(&left, &expected, &context);
                }
            }
        }
    }
}

#[test]
fn a_call_that_fails_once_fails_the_repair_and_the_next_one_succeeds() {
    let start = damaged(false);
    let path = Path::new(PATH);
    let expected = survivors(&start, path);
    for call in 1.. {
        let context = format!("call {call} fails once");
        let disk = start.after_kill();
        let repository = open(&disk, path, Mode::Exclusive).unwrap();
        disk.fail(Some(Fault { call, kind: ErrorKind::Other, for_ever: false }));
        let first = check(&repository, REPAIR);
        let finished = disk.calls() < call;
        disk.fail(None);
        assert!(first.is_ok() || !finished, "{context}");
        let (outcome, findings) = check(&repository, REPAIR).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(outcome.is_sound(), "{context}: {findings:?}");
        assert_eq!(content(&repository, &context), expected, "{context}");
        drop(repository);
        works(&disk, &expected, &context);
        if finished {
            assert!(call > 20, "{call} calls are too few to be the whole story");
            break;
        }
    }
}

#[test]
fn what_cannot_be_read_is_never_taken_for_damage() {
    let start = damaged(true);
    let path = Path::new(PATH);
    let expected = survivors(&start, path);
    for for_ever in [false, true] {
        for call in 1.. {
            let context = format!("read {call} fails, for ever {for_ever}");
            let disk = start.after_kill();
            let repository = open(&disk, path, Mode::Exclusive).unwrap();
            let below = path.join("data");
            disk.fail_reads(Some(ReadFault { call, below, kind: ErrorKind::Other, for_ever }));
            let looked = check(&repository, LOOK);
            assert!(looked.is_err() || !looked.unwrap().0.is_sound(), "{context}");
            disk.fail_reads(Some(ReadFault { call, below: path.join("data"), kind: ErrorKind::Other, for_ever }));
            let repaired = check(&repository, REPAIR);
            let finished = disk.reads() < call;
            disk.fail_reads(None);
            let (outcome, findings) = check(&repository, REPAIR).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(outcome.is_sound(), "{context}: {findings:?}");
            assert_eq!(content(&repository, &context), expected, "{context}");
            if finished {
                assert!(repaired.is_ok(), "{context}");
                assert!(call > 30, "{call} reads are too few to be the whole story");
                break;
            }
        }
    }
}

#[test]
fn a_stop_ends_a_check_and_a_repair_that_has_changed_nothing() {
    let disk = damaged(true);
    let path = Path::new(PATH);
    let options = options(Mode::Exclusive, &Process::new());
    let repository = LocalRepository::open(Arc::new(disk.clone()), path, &options).unwrap();
    let before = segments(&disk, path);
    let outcome = repository.check(&REPAIR, &mut |event| {
        if matches!(event, CheckEvent::Progress { done: 5, .. }) {
            options.stop.request();
        }
    });
    assert!(matches!(outcome, Err(RepositoryError::Stopped)), "{outcome:?}");
    assert_eq!(segments(&disk, path), before);
}

#[test]
fn a_segment_that_lies_twice_is_for_a_person_to_judge() {
    let disk = sample();
    let path = Path::new(PATH);
    let twin = disk::read(&disk, &segment_file(&disk, 2), 1 << 20).unwrap();
    write(&disk, &path.join("data/1/2"), &twin);
    let before = files(&disk, path);
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    let (outcome, findings) = check(&repository, REPAIR).unwrap();
    assert_eq!((outcome.problems, outcome.remaining), (1, 1), "{findings:?}");
    assert!(findings[0].what.contains("data/1"), "{findings:?}");
    drop(repository);
    assert_eq!(files(&disk, path), before);
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let disk = damaged(true);
    let path = Path::new(PATH);
    let content_of = |disk: &MemoryDisk| -> Vec<_> {
        files(disk, path).into_iter().map(|file| (disk::read(disk, &file, 1 << 20).unwrap(), file)).collect()
    };
    let before = content_of(&disk);
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 500));
    let error = check(&repository, REPAIR).unwrap_err();
    assert!(matches!(&error, RepositoryError::Disk(error) if error.is_out_of_space()), "{error}");
    drop(repository);
    assert_eq!(content_of(&disk), before);
}

#[test]
fn each_file_and_each_directory_may_be_lost() {
    let sample = sample();
    let path = Path::new(PATH);
    let mut lost: Vec<Vec<PathBuf>> = files(&sample, path).into_iter().map(|file| vec![file]).collect();
    for (directory, _) in sample.list(&path.join("data")).unwrap() {
        lost.push(files(&sample, &path.join("data").join(directory)));
    }
    for gone in lost {
        let context = format!("without {}", gone[0].display());
        let disk = sample.after_kill();
        for file in &gone {
            disk.remove_file(file).unwrap();
        }
        if gone.len() > 1 {
            disk.remove_dir(gone[0].parent().unwrap()).unwrap();
        }
        if gone[0].ends_with("config") {
            let error = open(&disk, path, Mode::Exclusive).unwrap_err();
            assert!(matches!(error, RepositoryError::NotARepository { .. }), "{error}");
            continue;
        }
        let expected = survivors(&disk, path);
        let (outcome, findings) = check(&open(&disk, path, Mode::Shared).unwrap(), LOOK).unwrap();
        let is_segment = gone[0].starts_with(path.join("data"));
        let lost_something = expected != survivors(&sample, path);
        assert!(!lost_something || outcome.problems > 0, "{context}: {findings:?}");
        // What a crash leaves, too, is noted, and nothing to worry about.
        assert!(is_segment || outcome.problems == 0, "{context}: {findings:?}");
        repair(&disk, &context);
        works(&disk, &expected, &context);
    }
}

#[test]
fn without_any_valid_data_nothing_is_changed() {
    let disk = sample();
    let path = Path::new(PATH);
    for file in files(&disk, &path.join("data")) {
        disk.remove_file(&file).unwrap();
    }
    let before = files(&disk, path);
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    let (outcome, findings) = check(&repository, REPAIR).unwrap();
    assert!(!outcome.is_sound() && findings[0].what.contains("no valid data"), "{findings:?}");
    drop(repository);
    // Perhaps the data is on a disk that is not mounted: the index is kept.
    assert_eq!(files(&disk, path), before);
    let directories = disk.list(&path.join("data")).unwrap();
    for (name, _) in directories {
        disk.remove_dir(&path.join("data").join(name)).unwrap();
    }
    disk.remove_dir(&path.join("data")).unwrap();
    let (outcome, _) = check(&open(&disk, path, Mode::Shared).unwrap(), LOOK).unwrap();
    assert_eq!((outcome.problems, outcome.remaining), (1, 1));
}

#[test]
fn repair_is_refused_where_it_cannot_be() {
    let disk = sample();
    let path = Path::new(PATH);
    let refused = |mode, options| {
        let error = check(&open(&disk, path, mode).unwrap(), options).unwrap_err();
        assert!(matches!(error, RepositoryError::NotWritable(_)), "{error}");
    };
    refused(Mode::Shared, REPAIR);
    refused(Mode::WithoutLock, REPAIR);
    let limit = Some(Duration::ZERO);
    refused(Mode::Shared, CheckOptions { max_duration: limit, ..LOOK });
    refused(Mode::Exclusive, CheckOptions { max_duration: limit, ..REPAIR });
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    let transaction = repository.begin().unwrap();
    assert!(matches!(check(&repository, REPAIR), Err(RepositoryError::NotWritable(_))));
    drop(transaction);
    assert!(check(&repository, REPAIR).unwrap().0.is_sound());
    drop(repository);
    configure(&disk, path, "append_only", "1");
    refused(Mode::Exclusive, REPAIR);
    assert!(check(&open(&disk, path, Mode::Exclusive).unwrap(), LOOK).unwrap().0.is_sound());
}

#[test]
fn a_lost_commit_is_brought_back_even_after_somebody_has_read() {
    let disk = sample();
    let path = Path::new(PATH);
    let expected = survivors(&disk, path);
    let last = *segments(&disk, path).keys().next_back().unwrap();
    disk.remove_file(&segment_file(&disk, last)).unwrap();
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    assert_ne!(content(&repository, "read"), expected, "readers fall back");
    drop(repository);
    let (outcome, findings) = check(&open(&disk, path, Mode::Shared).unwrap(), LOOK).unwrap();
    assert!(outcome.problems > 0 && findings[0].what.contains("is lost"), "{findings:?}");
    repair(&disk, "lost commit");
    works(&disk, &expected, "lost commit");
}

#[test]
fn a_compaction_whose_commit_is_lost_is_completed() {
    let (disk, path) = (compacted(), Path::new(PATH));
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    let expected = content(&repository, "compacted");
    drop(repository);
    let last = *segments(&disk, path).keys().next_back().unwrap();
    change(&disk, &segment_file(&disk, last), |bytes| bytes[10] ^= 1);
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    assert!(matches!(repository.begin().map(drop), Err(RepositoryError::CheckNeeded(_))));
    drop(repository);
    repair(&disk, "a lost commit");
    works(&disk, &expected, "a lost commit");
}

/// Hints as they were before the last transaction, under its name, with nothing to verify them by: they name segments
/// that are gone, and do not know of others.
#[test]
fn hints_that_disagree_are_noted_and_written_anew() {
    let (disk, path) = (sample(), Path::new(PATH));
    let name = |disk: &MemoryDisk, prefix: &str| {
        let file = files(disk, path).into_iter().find(|file| file.to_str().unwrap().contains(prefix));
        file.unwrap()
    };
    let old = disk::read(&disk, &name(&disk, "/hints."), 1 << 20).unwrap();
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(50), object(50, 900)), (id(51), object(51, 900))]);
    repository.begin().unwrap().commit_and_compact(0).unwrap();
    drop(repository);
    let expected = survivors(&disk, path);
    write(&disk, &name(&disk, "/hints."), &old);
    disk.remove_file(&name(&disk, "/integrity.")).unwrap();
    let compacted = disk.after_kill();
    let repository = open(&compacted, path, Mode::Exclusive).unwrap();
    repository.begin().unwrap().commit_and_compact(0).unwrap();
    assert_eq!(content(&repository, "compacted without repair"), expected);

    let (outcome, findings) = check(&open(&disk, path, Mode::Shared).unwrap(), LOOK).unwrap();
    assert!(outcome.is_sound(), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.contains("the hints name it, but it is missing")));
    repair(&disk, "old hints");
    works(&disk, &expected, "old hints");
}
