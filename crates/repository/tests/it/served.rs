//! What a server asks of a repository on behalf of its clients.

use std::path::Path;

use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError, RepositoryId};
use worldkeeper_repository::{CreateOptions, Limits, LocalRepository, Mode, OsDisk};
use worldkeeper_testkit::disk::MemoryDisk;

use crate::common::{Process, contents, create, id, object, open, open_as, put};

const PATH: &str = "/served";

/// A repository of ten objects, which belong to two transactions.
fn new() -> MemoryDisk {
    let disk = MemoryDisk::new();
    create(&disk, Path::new(PATH));
    let repository = open(&disk, Path::new(PATH), Mode::Exclusive).unwrap();
    for objects in [1..6, 6..11] {
        put(&repository, &objects.map(|number| (id(number), object(number, 100))).collect::<Vec<_>>());
    }
    drop(repository);
    disk
}

#[test]
fn a_removal_that_is_cut_off_leaves_a_whole_repository_or_none() {
    let disk = new();
    let whole = contents(&open(&disk, Path::new(PATH), Mode::Shared).unwrap()).unwrap();
    let process = Process::new();
    let repository = open_as(&process, &disk, Path::new(PATH), Mode::Exclusive).unwrap();
    disk.record();
    repository.destroy().unwrap();
    let states = disk.recorded();
    assert!(disk.metadata(Path::new(PATH)).is_err(), "nothing is left");
    let mut gone = 0;
    for (calls, state) in states.iter().enumerate() {
        for left in [state.after_kill(), state.after_power_failure(0), state.after_power_failure(1)] {
            match open_as(&Process::after(&process), &left, Path::new(PATH), Mode::Exclusive) {
                Ok(repository) => assert_eq!(contents(&repository).unwrap(), whole, "after {calls} calls"),
                Err(RepositoryError::DoesNotExist(_) | RepositoryError::NotARepository { .. }) => gone += 1,
                Err(error) => panic!("after {calls} calls: {error}"),
            }
        }
    }
    assert!(gone > states.len(), "{gone} of 3 times {}", states.len());
}

#[test]
fn only_what_is_locked_and_not_append_only_is_removed() {
    let disk = new();
    let refused = |repository: LocalRepository| match repository.destroy() {
        Err(RepositoryError::NotWritable(reason)) => reason,
        other => panic!("{other:?}"),
    };
    for mode in [Mode::Shared, Mode::WithoutLock] {
        refused(open(&disk, Path::new(PATH), mode).unwrap());
    }
    let limits = Limits { append_only: true, ..Limits::default() };
    let reason = refused(open(&disk, Path::new(PATH), Mode::Exclusive).unwrap().limited(&limits));
    assert_eq!(reason, "it is append-only, which its removal cannot respect");
    assert_eq!(open(&disk, Path::new(PATH), Mode::Shared).unwrap().object_count().unwrap(), 10);

    // A link that somebody has put there goes, what it names stays.
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("r"), folder.path().join("other"));
    LocalRepository::create(&OsDisk, &path, &CreateOptions::new(RepositoryId([1; 32]))).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("file"), "").unwrap();
    std::os::unix::fs::symlink(&other, path.join("data/link")).unwrap();
    open(&OsDisk, &path, Mode::Exclusive).unwrap().destroy().unwrap();
    assert!(!path.exists() && other.join("file").exists());
}

#[test]
fn a_reader_becomes_a_writer_when_it_is_the_only_one() {
    let disk = new();
    let mut writer = open(&disk, Path::new(PATH), Mode::Shared).unwrap();
    let reader = open(&disk, Path::new(PATH), Mode::Shared).unwrap();
    assert!(matches!(writer.lock_for_writing(), Err(RepositoryError::LockTimeout { .. })));
    assert!(writer.begin().is_err() && writer.get(&id(1)).is_ok(), "it reads on");
    assert!(open(&disk, Path::new(PATH), Mode::Exclusive).is_err());
    drop(reader);
    writer.lock_for_writing().unwrap();
    writer.lock_for_writing().unwrap();
    put(&writer, &[(id(11), object(11, 10))]);
    assert!(open(&disk, Path::new(PATH), Mode::Shared).is_err());
    drop(writer);
    assert_eq!(open(&disk, Path::new(PATH), Mode::Exclusive).unwrap().object_count().unwrap(), 11);
    let mut unlocked = open(&disk, Path::new(PATH), Mode::WithoutLock).unwrap();
    assert!(matches!(unlocked.lock_for_writing(), Err(RepositoryError::NotWritable(_))));
}

#[test]
fn limits_hold_for_the_session_and_are_written_nowhere() {
    let disk = new();
    let config = || worldkeeper_core::disk::read(&disk, &Path::new(PATH).join("config"), 10_000).unwrap();
    let before = config();
    let limits = Limits { append_only: true, storage_quota: Some(1600), strict_quota: true };
    let repository = open(&disk, Path::new(PATH), Mode::Exclusive).unwrap().limited(&limits);
    // Ten objects take 1410 bytes.
    put(&repository, &[(ChunkId::MANIFEST, object(0, 100))]);
    let mut transaction = repository.begin().unwrap();
    let exceeded = transaction.put(ChunkId::MANIFEST, object(1, 100));
    assert!(
        matches!(exceeded, Err(RepositoryError::QuotaExceeded { quota_bytes: 1600, used_bytes: 1692 })),
        "{exceeded:?}"
    );
    drop(transaction);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    assert_eq!(transaction.commit_and_compact(0).unwrap().segments, 0);
    repository.save_key_unlocked("a key").unwrap();
    repository.save_key_unlocked("a key\n").unwrap();
    for other in ["another", ""] {
        let refused = repository.save_key_unlocked(other).unwrap_err().to_string();
        assert!(refused.contains("keeps the key") && refused.contains("key change-passphrase"), "{refused}");
    }
    assert_eq!(repository.load_key().unwrap().unwrap(), "a key");
    drop(repository);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("key = a key\n", "");
    assert_eq!(text(config()), text(before));
    let trusted = open(&disk, Path::new(PATH), Mode::Exclusive).unwrap();
    trusted.save_key_unlocked("another").unwrap();
    let mut transaction = trusted.begin().unwrap();
    transaction.put(id(12), object(12, 10_000)).unwrap();
    assert!(transaction.commit_and_compact(0).unwrap().segments > 0);
}

#[test]
fn a_lost_commit_is_given_up_by_who_may_write_alone() {
    let disk = new();
    // The last commit stands in a segment of its own.
    let segments = disk.list(&Path::new(PATH).join("data/0")).unwrap();
    let last = segments.iter().filter_map(|(name, _)| name.to_str()?.parse::<u32>().ok()).max().unwrap();
    disk.remove_file(&Path::new(PATH).join(format!("data/0/{last}"))).unwrap();
    let witnesses = || {
        let names = disk.list(Path::new(PATH)).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap());
        names.filter(|name| name.ends_with(&format!(".{last}"))).count()
    };
    let reader = open(&disk, Path::new(PATH), Mode::Shared).unwrap();
    assert_eq!((reader.give_up_lost_commit().unwrap(), reader.object_count().unwrap(), witnesses()), (None, 5, 3));
    drop(reader);
    let writer = open(&disk, Path::new(PATH), Mode::Exclusive).unwrap();
    assert_eq!((writer.give_up_lost_commit().unwrap(), witnesses()), (Some(last), 0));
    assert_eq!((writer.give_up_lost_commit().unwrap(), writer.object_count().unwrap()), (None, 5));
    let check = writer.check(&worldkeeper_core::repository::CheckOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(check.problems, 0);
}
