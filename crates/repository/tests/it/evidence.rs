//! What tells that a commit was lost: any state file, and that segments are missing before the first. Where something
//! does, nobody takes the repository for a new one, and no writer removes what it holds.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use worldkeeper_core::disk;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError};
use worldkeeper_repository::{LocalRepository, Mode};
use worldkeeper_testkit::disk::{Fault, MemoryDisk};

use crate::check::{LOOK, REPAIR, check};
use crate::common::{Process, configure, contents, create, id, object, open, open_as, put};
use crate::oracle::segments;
use crate::repair::{files, write};

const PATH: &str = "/r";

/// Twelve objects, four of them deleted, and compacted: the last commit is the only one that stands alone.
pub(crate) fn compacted() -> MemoryDisk {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    create(&disk, path);
    configure(&disk, path, "max_segment_size", "3000");
    configure(&disk, path, "segments_per_dir", "4");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &(1..=12).map(|number| (id(number), object(number, 1000))).collect::<Vec<_>>());
    let mut transaction = repository.begin().unwrap();
    for number in [1, 4, 7, 10] {
        transaction.delete(id(number)).unwrap();
    }
    transaction.commit_and_compact(10).unwrap();
    drop(repository);
    disk
}

fn segment_file(number: u32) -> PathBuf {
    Path::new(PATH).join(format!("data/{}/{number}", number / 4))
}

fn remove_state_files(disk: &MemoryDisk, is_meant: impl Fn(&str) -> bool) {
    let prefixes = ["index.", "hints.", "integrity."];
    for file in files(disk, Path::new(PATH)) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if prefixes.iter().any(|prefix| name.starts_with(prefix) && is_meant(prefix)) {
            disk.remove_file(&file).unwrap();
        }
    }
}

/// Requires that nobody writes before a repair, and that a repair brings everything back.
fn is_only_mended(disk: &MemoryDisk, expected: &[(ChunkId, Bytes)], context: &str) {
    let path = Path::new(PATH);
    let before = segments(disk, path);
    let repository = open(disk, path, Mode::Exclusive).unwrap();
    let begun = repository.begin().map(drop);
    assert!(matches!(begun, Err(RepositoryError::CheckNeeded(_))), "{context}: {begun:?}");
    drop(repository);
    assert_eq!(segments(disk, path), before, "{context}: nothing is removed");
    let repository = open(disk, path, Mode::Exclusive).unwrap();
    let (outcome, findings) = check(&repository, REPAIR).unwrap();
    assert!(outcome.is_sound(), "{context}: {findings:?}");
    assert_eq!(contents(&repository).unwrap(), expected, "{context}");
    drop(repository.begin().unwrap());
}

#[test]
fn any_state_file_keeps_writers_from_what_a_compaction_has_moved() {
    let sample = compacted();
    let expected = contents(&open(&sample, Path::new(PATH), Mode::Shared).unwrap()).unwrap();
    let last = *segments(&sample, Path::new(PATH)).keys().next_back().unwrap();
    for left in ["index.", "hints.", "integrity."] {
        let disk = sample.after_kill();
        remove_state_files(&disk, |prefix| prefix != left);
        disk.remove_file(&segment_file(last)).unwrap();
        is_only_mended(&disk, &expected, left);
    }
}

#[test]
fn any_state_file_tells_a_repository_without_commits_from_a_new_one() {
    let path = Path::new(PATH);
    for left in ["index.", "hints.", "integrity."] {
        let disk = MemoryDisk::new();
        create(&disk, path);
        put(&open(&disk, path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 100)), (id(2), object(2, 100))]);
        let expected = contents(&open(&disk, path, Mode::Shared).unwrap()).unwrap();
        remove_state_files(&disk, |prefix| prefix != left);
        disk.remove_file(&path.join("data/0/1")).unwrap();
        let read = open(&disk, path, Mode::Shared).unwrap().ids();
        assert!(matches!(read, Err(RepositoryError::CheckNeeded(_))), "{left}: {read:?}");
        is_only_mended(&disk, &expected, left);
    }
}

#[test]
fn a_repository_whose_first_segments_are_gone_is_not_new() {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    create(&disk, path);
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 100)), (id(2), object(2, 100))]);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.commit_and_compact(0).unwrap();
    drop(repository);
    let expected = contents(&open(&disk, path, Mode::Shared).unwrap()).unwrap();
    remove_state_files(&disk, |_| true);
    let (first, last) = {
        let segments = segments(&disk, path);
        (*segments.keys().next().unwrap(), *segments.keys().next_back().unwrap())
    };
    assert!(0 < first && first < last, "{first} to {last}");
    disk.remove_file(&path.join(format!("data/0/{last}"))).unwrap();
    is_only_mended(&disk, &expected, "without state files");
}

#[test]
fn a_state_file_of_a_number_that_no_segment_can_have_tells_nothing() {
    let (disk, path) = (compacted(), Path::new(PATH));
    let expected = contents(&open(&disk, path, Mode::Shared).unwrap()).unwrap();
    for name in ["index.4294967295", "hints.4294967294"] {
        write(&disk, &path.join(name), b"nothing");
    }
    let (outcome, findings) = check(&open(&disk, path, Mode::Shared).unwrap(), LOOK).unwrap();
    assert_eq!(outcome.problems, 0, "{findings:?}");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    let (outcome, findings) = check(&repository, REPAIR).unwrap();
    assert!(outcome.is_sound(), "{findings:?}");
    assert_eq!(contents(&repository).unwrap(), expected);
    put(&repository, &[(id(60), object(60, 10))]);
    drop(repository);
    let names = disk.list(path).unwrap();
    assert!(names.iter().all(|(name, _)| !name.to_str().unwrap().contains(".42949")), "{names:?}");
}

/// Puts an object; what there is then, or why there is none.
fn written(repository: &LocalRepository) -> Result<Vec<(ChunkId, Bytes)>, String> {
    let put = || {
        let mut transaction = repository.begin()?;
        transaction.put(id(30), object(30, 10))?;
        transaction.commit()
    };
    put().and_then(|()| contents(repository)).map_err(|error| error.to_string())
}

/// Whoever had read before a repair that failed, and goes on, finds what everybody else does.
#[test]
fn a_repair_that_fails_leaves_nothing_in_memory_that_is_not_so() {
    let (start, path) = (compacted(), Path::new(PATH));
    let first = *segments(&start, path).keys().next_back().unwrap() + 1;
    let repository = open(&start, path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(20), object(20, 1000)), (id(21), object(21, 50))]);
    put(&repository, &[(id(22), object(22, 1000)), (id(23), object(23, 1000))]);
    drop(repository);
    let mut bytes = disk::read(&start, &segment_file(first + 2), 10_000).unwrap();
    bytes[60] ^= 1;
    write(&start, &segment_file(first + 2), &bytes);
    for loses_commit in [false, true] {
        if loses_commit {
            start.remove_file(&segment_file(first + 3)).unwrap();
        }
        for call in 1.. {
            let context = format!("loses commit: {loses_commit}, call {call}");
            let (disk, process) = (start.after_kill(), Process::new());
            let repository = open_as(&process, &disk, path, Mode::Exclusive).unwrap();
            if loses_commit {
                repository.ids().unwrap();
            } else {
                drop(repository.begin().unwrap());
            }
            disk.fail(Some(Fault { call, kind: ErrorKind::Other, for_ever: false }));
            let _ = check(&repository, REPAIR);
            let finished = disk.calls() < call;
            disk.fail(None);
            let left = disk.after_kill();
            let found = written(&repository);
            drop(repository);
            let expected = written(&open_as(&Process::after(&process), &left, path, Mode::Exclusive).unwrap());
            assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{context}: {found:?}");
            if finished {
                assert!(call > 10 && found.is_ok(), "{context}: {found:?}");
                break;
            }
        }
    }
}
