//! What a repository and its transactions promise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{Process, configure, contents, create, id, object, open, open_as, options, put};
use bytes::Bytes;
use worldkeeper_core::repository::Room;
use worldkeeper_core::{ChunkId, Disk, MAX_DATA_SIZE, Repository, RepositoryError, RepositoryId};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OsDisk};
use worldkeeper_testkit::disk::MemoryDisk;

const PATH: &str = "/repository";

fn new() -> (MemoryDisk, PathBuf) {
    let disk = MemoryDisk::new();
    create(&disk, Path::new(PATH));
    (disk, PATH.into())
}

/// Numbers and lengths of the segments.
fn segments(disk: &dyn Disk) -> Vec<(u32, u64)> {
    let data = Path::new(PATH).join("data");
    let mut segments = Vec::new();
    for (directory, _) in disk.list(&data).unwrap() {
        for (name, _) in disk.list(&data.join(&directory)).unwrap() {
            let len = disk.metadata(&data.join(&directory).join(&name)).unwrap().len;
            segments.push((name.to_str().unwrap().parse().unwrap(), len));
        }
    }
    segments.sort_unstable();
    segments
}

fn names(disk: &dyn Disk) -> Vec<String> {
    let mut names: Vec<_> =
        disk.list(Path::new(PATH)).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_committed_is_there_and_what_is_not_is_not() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    assert_eq!(contents(&repository).unwrap(), []);
    assert_eq!(repository.id(), RepositoryId([0x11; 32]));
    assert_eq!(repository.location(), PATH);

    let objects = [(ChunkId::MANIFEST, object(1, 100)), (id(2), object(2, 0)), (id(3), object(3, 300_000))];
    put(&repository, &objects);
    assert_eq!(contents(&repository).unwrap(), objects);
    drop(repository);

    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    assert_eq!(contents(&repository).unwrap(), objects);
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(4), object(4, 10)).unwrap();
    transaction.delete(id(3)).unwrap();
    transaction.put(ChunkId::MANIFEST, object(9, 9)).unwrap();
    assert_eq!(repository.get(&id(4)).unwrap(), object(4, 10), "uncommitted, but its own");
    assert!(matches!(repository.get(&id(3)), Err(RepositoryError::ObjectNotFound(_))));
    drop(transaction);
    assert_eq!(contents(&repository).unwrap(), objects, "rolled back");
    drop(repository);
    assert_eq!(contents(&open(&disk, &path, Mode::Shared).unwrap()).unwrap(), objects);
    assert_eq!(
        names(&disk),
        [
            "README",
            "config",
            "data",
            "hints.1",
            "index.1",
            "integrity.1",
            "worldkeeper.reserve",
            "worldkeeper.reserve-small"
        ]
    );
}

/// Memory that somebody used before.
struct Used(Vec<u8>);

impl Room for Used {
    fn of(&mut self, len: usize) -> &mut [u8] {
        self.0 = vec![0xa5; len];
        &mut self.0
    }
}

#[test]
fn an_object_is_read_into_memory_that_was_used_before() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let objects: Vec<_> =
        (1..).zip([0, 1, 100, 5000, 70_000, 300_000]).map(|(n, len)| (id(n), object(n, len))).collect();
    put(&repository, &objects);
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(9), object(9, 1000)).unwrap();
    for (id, object) in [&objects[..], &[(id(9), object(9, 1000))]].concat() {
        let mut room = Used(Vec::new());
        repository.get_into(&id, &mut room).unwrap();
        assert_eq!(room.0, object);
    }
    let missing = repository.get_into(&id(8), &mut Used(Vec::new()));
    assert!(matches!(missing, Err(RepositoryError::ObjectNotFound(_))));
}

#[test]
fn segments_are_laid_out_as_stock_lays_them_out() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 100)), (id(2), object(1, 100)), (ChunkId::MANIFEST, object(2, 50))]);
    assert_eq!(segments(&disk), [(0, 8 + 2 * 141), (1, 8 + 91), (2, 17)]);
    put(&repository, &[(id(3), object(1, 7)), (ChunkId::MANIFEST, object(2, 60))]);
    assert_eq!(segments(&disk)[3..], [(3, 8 + 48), (4, 49), (5, 8 + 101), (6, 17)]);
}

#[test]
fn a_full_segment_is_followed_by_another() {
    let (disk, path) = new();
    configure(&disk, &path, "max_segment_size", "1K");
    configure(&disk, &path, "segments_per_dir", "2");
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let objects: Vec<_> = (1..=10).map(|number| (id(number), object(number, 400))).collect();
    put(&repository, &objects);
    // Three entries of 441 bytes pass the limit of 1000.
    assert_eq!(segments(&disk), [(0, 1331), (1, 1331), (2, 1331), (3, 449), (4, 17)]);
    assert_eq!(disk.list(&path.join("data")).unwrap().len(), 3);
    assert_eq!(contents(&repository).unwrap(), objects);
}

#[test]
fn reading_goes_on_while_a_transaction_writes() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 5000))]);
    std::thread::scope(|scope| {
        let mut transaction = repository.begin().unwrap();
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..500 {
                        assert_eq!(repository.get(&id(1)).unwrap(), object(1, 5000));
                    }
                })
            })
            .collect();
        for number in 2..250 {
            transaction.put(id(number), object(number, 3000)).unwrap();
            assert_eq!(repository.get(&id(number)).unwrap(), object(number, 3000));
        }
        for reader in readers {
            reader.join().unwrap();
        }
        transaction.commit().unwrap();
    });
    assert_eq!(repository.ids().unwrap().len(), 249);
}

#[test]
fn there_is_one_transaction_at_a_time_and_only_with_the_exclusive_lock() {
    let (disk, path) = new();
    let not_writable = |result: Result<(), RepositoryError>| {
        assert!(matches!(result, Err(RepositoryError::NotWritable(_))), "{result:?}");
    };
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let transaction = repository.begin().unwrap();
    not_writable(repository.begin().map(drop));
    drop(transaction);
    drop(repository.begin().unwrap());
    drop(repository);
    for mode in [Mode::Shared, Mode::WithoutLock] {
        let repository = open(&disk, &path, mode).unwrap();
        not_writable(repository.begin().map(drop));
        not_writable(repository.save_key("key"));
        not_writable(repository.reserve_nonce(1, None));
    }
}

#[test]
fn an_empty_transaction_leaves_no_trace() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    repository.begin().unwrap().commit().unwrap();
    assert_eq!(repository.begin().unwrap().commit_and_compact(10).unwrap().segments, 0);
    assert_eq!(segments(&disk), []);
    put(&repository, &[(id(1), object(1, 10))]);
    let before = segments(&disk);
    repository.begin().unwrap().commit().unwrap();
    assert_eq!(repository.begin().unwrap().commit_and_compact(10).unwrap().segments, 0);
    assert_eq!(segments(&disk), before);
}

#[test]
fn an_object_has_its_limit_and_a_wrong_one_changes_nothing() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let mut transaction = repository.begin().unwrap();
    let largest = object(1, MAX_DATA_SIZE);
    let error = transaction.put(id(1), object(1, MAX_DATA_SIZE + 1)).unwrap_err();
    assert!(matches!(error, RepositoryError::ObjectTooLarge(20_971_480)));
    assert!(matches!(transaction.delete(id(1)), Err(RepositoryError::ObjectNotFound(_))));
    transaction.put(id(1), largest.clone()).unwrap();
    transaction.commit().unwrap();
    assert_eq!(repository.get(&id(1)).unwrap(), largest);
}

#[test]
fn a_quota_dooms_the_transaction_that_passes_it() {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    let options = CreateOptions { storage_quota: 1000, ..CreateOptions::new(RepositoryId([1; 32])) };
    LocalRepository::create(&disk, path, &options).unwrap();
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 500))]);
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(2), object(2, 418)).unwrap();
    let error = transaction.put(id(3), Bytes::new()).unwrap_err();
    assert!(matches!(error, RepositoryError::QuotaExceeded { quota_bytes: 1000, used_bytes: 1041 }), "{error}");
    assert!(transaction.put(id(4), Bytes::new()).is_err());
    assert!(transaction.commit().is_err());
    assert_eq!(repository.ids().unwrap(), [id(1)]);
    // Up to the last byte it is no more than was allowed.
    put(&repository, &[(id(2), object(2, 418))]);
    // A manifest that names fewer archives passes it: that is how room is made.
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(2)).unwrap();
    transaction.put(ChunkId::MANIFEST, object(3, 300)).unwrap();
    transaction.commit().unwrap();
    repository.begin().unwrap().commit_and_compact(10).unwrap();
    put(&repository, &[(id(4), object(4, 50))]);
}

#[test]
fn an_append_only_repository_keeps_everything_and_a_log() {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    let options = CreateOptions { append_only: true, ..CreateOptions::new(RepositoryId([1; 32])) };
    LocalRepository::create(&disk, path, &options).unwrap();
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    assert!(repository.is_append_only());
    put(&repository, &[(id(1), object(1, 5000))]);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    let stats = transaction.commit_and_compact(0).unwrap();
    assert_eq!((stats.segments, segments(&disk).len()), (0, 4));
    let log = worldkeeper_core::disk::read(&disk, &path.join("transactions"), 1000).unwrap();
    assert_eq!(
        String::from_utf8(log).unwrap(),
        "transaction 1, UTC time 2026-11-06T12:00:00.000000\ntransaction 3, UTC time 2026-11-06T12:00:00.000000\n"
    );
}

#[test]
fn a_replay_after_a_compaction_counts_what_is_there_and_no_more() {
    let disk = MemoryDisk::new();
    let path = Path::new("/r");
    let options = CreateOptions { storage_quota: 20_000, ..CreateOptions::new(RepositoryId([1; 32])) };
    LocalRepository::create(&disk, path, &options).unwrap();
    configure(&disk, path, "max_segment_size", "3000");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    put(&repository, &(1..=15).map(|number| (id(number), object(number, 1000))).collect::<Vec<_>>());
    let mut transaction = repository.begin().unwrap();
    for number in [1, 2, 5, 6, 9, 10, 13] {
        transaction.delete(id(number)).unwrap();
    }
    transaction.commit().unwrap();
    // The state that was saved before the compaction is what a crash at its end leaves.
    let before = disk.after_kill();
    repository.begin().unwrap().commit_and_compact(10).unwrap();
    drop(repository);
    let is_state = |name: &str| ["index.", "hints.", "integrity."].iter().any(|prefix| name.starts_with(prefix));
    for (here, is_there) in [(&disk, false), (&before, true)] {
        for (name, _) in here.list(path).unwrap() {
            let file = path.join(&name);
            if !is_state(name.to_str().unwrap()) {
                continue;
            }
            if is_there {
                disk.create(&file)
                    .unwrap()
                    .append(&worldkeeper_core::disk::read(&before, &file, 1 << 20).unwrap())
                    .unwrap();
            } else {
                disk.remove_file(&file).unwrap();
            }
        }
    }
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    assert_eq!(repository.ids().unwrap().len(), 8);
    put(&repository, &(20..=30).map(|number| (id(number), object(number, 1000))).collect::<Vec<_>>());
    let mut transaction = repository.begin().unwrap();
    let error = transaction.put(id(31), object(31, 1000)).unwrap_err();
    assert!(matches!(error, RepositoryError::QuotaExceeded { .. }), "{error}");
}

#[test]
fn compaction_frees_what_is_superseded_and_keeps_the_rest() {
    let (disk, path) = new();
    configure(&disk, &path, "max_segment_size", "20K");
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let objects: Vec<_> = (1..=50).map(|number| (id(number), object(number, 3000))).collect();
    put(&repository, &objects);
    let full: u64 = segments(&disk).iter().map(|(_, len)| len).sum();
    let mut transaction = repository.begin().unwrap();
    for number in (1..=50).filter(|number| number % 5 != 0) {
        transaction.delete(id(number)).unwrap();
    }
    let stats = transaction.commit_and_compact(10).unwrap();
    let left: Vec<_> = objects.into_iter().filter(|(id, _)| id.0[0] % 5 == 0).collect();
    assert_eq!(contents(&repository).unwrap(), left);
    let after: u64 = segments(&disk).iter().map(|(_, len)| len).sum();
    assert!(stats.segments >= 8 && after < full / 3, "{stats:?}, {after} of {full} bytes");
    drop(repository);

    // The files agree with what a replay finds.
    let names_before = names(&disk);
    for name in names_before.iter().filter(|name| name.starts_with("index.")) {
        disk.remove_file(&path.join(name)).unwrap();
    }
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    assert_eq!(contents(&repository).unwrap(), left);
    // A DELETE that came with its PUTs is dropped only when the index on the disk knows of both.
    let stats = repository.begin().unwrap().commit_and_compact(10).unwrap();
    assert!(stats.freed_bytes > 0);
    assert_eq!(contents(&repository).unwrap(), left);
    assert_eq!(repository.begin().unwrap().commit_and_compact(10).unwrap().segments, 0, "nothing is left to do");
}

#[test]
fn a_delete_outlives_the_put_it_takes_back() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    // Segment 0: one small object among much that stays, so that compaction never touches it.
    put(&repository, &[(id(1), object(1, 10)), (id(2), object(2, 100_000))]);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.commit().unwrap();
    for _ in 0..3 {
        repository.begin().unwrap().commit_and_compact(10).unwrap();
    }
    drop(repository);
    for name in names(&disk).iter().filter(|name| name.starts_with("index.")) {
        disk.remove_file(&path.join(name)).unwrap();
    }
    assert_eq!(open(&disk, &path, Mode::Shared).unwrap().ids().unwrap(), [id(2)], "a replay must not bring it back");
}

#[test]
fn an_overwritten_object_does_not_come_back_when_it_is_deleted_later() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 10)), (id(9), object(9, 100_000))]);
    put(&repository, &[(id(1), object(2, 5000))]);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.commit().unwrap();
    for _ in 0..3 {
        repository.begin().unwrap().commit_and_compact(10).unwrap();
    }
    drop(repository);
    for name in names(&disk).iter().filter(|name| name.starts_with("index.")) {
        disk.remove_file(&path.join(name)).unwrap();
    }
    assert_eq!(open(&disk, &path, Mode::Shared).unwrap().ids().unwrap(), [id(9)]);
}

#[test]
fn a_stop_ends_compaction_between_segments() {
    let (disk, path) = new();
    let process = Process::new();
    let options = options(Mode::Exclusive, &process);
    let stop = options.stop.clone();
    let repository = LocalRepository::open(Arc::new(disk.clone()), &path, &options).unwrap();
    put(&repository, &[(id(1), object(1, 5000))]);
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(1), object(2, 10)).unwrap();
    stop.request();
    assert!(matches!(transaction.commit_and_compact(10), Err(RepositoryError::Stopped)));
    assert_eq!(contents(&repository).unwrap(), [(id(1), object(2, 10))]);
    drop(repository);
    assert_eq!(contents(&open(&disk, &path, Mode::Shared).unwrap()).unwrap(), [(id(1), object(2, 10))]);
}

#[test]
fn a_lock_that_was_broken_is_noticed_before_the_commit() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 10))]);
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(2), object(2, 10)).unwrap();
    worldkeeper_repository::break_lock(&disk, &path).unwrap();
    let other = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&other, &[(id(3), object(3, 10))]);
    let before = segments(&disk);
    assert!(matches!(transaction.commit(), Err(RepositoryError::LockLost(_))));
    assert!(matches!(repository.reserve_nonce(1, None), Err(RepositoryError::LockLost(_))));
    assert_eq!(segments(&disk), before, "what the other one wrote is not touched");
    drop(repository);
    put(&other, &[(id(4), object(4, 10))]);
    assert_eq!(other.ids().unwrap().len(), 3);
}

#[test]
fn too_little_space_is_found_before_the_commit_and_rolled_back() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 1000))]);
    let used = disk.used_bytes();
    disk.set_capacity(Some(used + 100_000));
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(2), object(2, 10_000)).unwrap();
    match transaction.commit() {
        Err(RepositoryError::InsufficientSpace { available_bytes, required_bytes, .. }) => {
            assert_eq!(available_bytes, 100_000 - 3 * 4096, "8 + 10 041 bytes in whole blocks");
            assert_eq!(required_bytes, 4 * 41_258 + 4096 + 10 * (3 + 1) + 8);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.used_bytes(), used);

    assert_eq!(contents(&repository).unwrap(), [(id(1), object(1, 1000))]);
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_told_and_rolled_back() {
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 1000))]);
    let used = disk.used_bytes();
    let mut transaction = repository.begin().unwrap();
    // The disk was asked.
    transaction.put(id(2), object(2, 10)).unwrap();
    disk.set_capacity(Some(used + 100_000));
    let error = transaction.put(id(2), object(2, 200_000)).unwrap_err();
    match &error {
        // The magic number, the first entry, the DELETE of what it stored, and the entry that did not fit.
        RepositoryError::DiskFull { source, required_bytes, .. } if source.is_out_of_space() => {
            assert_eq!(*required_bytes, 8 + (41 + 10) + 41 + (41 + 200_000));
        }
        other => panic!("{other:?}"),
    }
    assert!(transaction.put(id(3), object(3, 1)).is_err(), "the transaction is over");
    drop(transaction);
    assert_eq!(disk.used_bytes(), used);
    assert_eq!(contents(&repository).unwrap(), [(id(1), object(1, 1000))]);
}

/// A game that saves beside a backup that does not fit always finds room.
#[test]
fn what_does_not_fit_leaves_room_to_others_at_every_moment() {
    let (disk, path) = new();
    for (free, additional) in [(288 << 20, 0), (142 << 20, 20 << 20)] {
        configure(&disk, &path, "additional_free_space", &additional.to_string());
        let repository = open(&disk, &path, Mode::Exclusive).unwrap();
        let used = disk.used_bytes();
        disk.set_capacity(Some(used + free));
        let mut transaction = repository.begin().unwrap();
        let mut least = free;
        let error = (0..=u8::MAX).find_map(|number| {
            let error = transaction.put(id(number), object(1, 2 << 20)).err();
            least = least.min(free - (disk.used_bytes() - used));
            error
        });
        let error = error.unwrap();
        assert!(matches!(error, RepositoryError::InsufficientSpace { .. }), "{error}");
        let left = (64 << 20).min((free - additional) / 4);
        assert!((left + additional..left + additional + (12 << 20)).contains(&least), "{least}");
        drop(transaction);
        assert_eq!(disk.used_bytes(), used);
        disk.set_capacity(None);
    }
}

/// Checkpoints of one backup are transactions, one after the other.
#[test]
fn each_transaction_leaves_as_much_room_as_the_first() {
    const FREE: u64 = 100 << 20;
    let (disk, path) = new();
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let used = disk.used_bytes();
    disk.set_capacity(Some(used + FREE));
    let mut numbers = 0..=u8::MAX;
    for _ in 0..3 {
        let mut transaction = repository.begin().unwrap();
        let puts = numbers.by_ref().take(10);
        if puts.map(|number| transaction.put(id(number), object(1, 2 << 20))).all(|put| put.is_ok()) {
            transaction.commit().unwrap();
        }
    }
    let free = FREE - (disk.used_bytes() - used);
    let mut transaction = repository.begin().unwrap();
    let error = numbers.find_map(|number| transaction.put(id(number), object(1, 2 << 20)).err()).unwrap();
    assert!(matches!(error, RepositoryError::InsufficientSpace { .. }), "{error}");
    let left = FREE - (disk.used_bytes() - used);
    assert!(free < FREE / 2 && left >= FREE / 4, "{left} of {free}");
}

#[test]
fn additional_free_space_is_left_to_what_deletes() {
    const ADDITIONAL: u64 = 1_000_000;
    let (disk, path) = new();
    configure(&disk, &path, "additional_free_space", &ADDITIONAL.to_string());
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 1000))]);
    let used = disk.used_bytes();
    let put_with = |spare: u64| {
        disk.set_capacity(Some(used + spare));
        let mut transaction = repository.begin().unwrap();
        transaction.put(id(2), object(2, 10_000)).unwrap();
        transaction.commit()
    };
    let taken = 3 * 4096;
    let enough = taken + 4 * 41_258 + 4096 + 10 * (3 + 1) + 8 + ADDITIONAL;
    match put_with(enough - 1) {
        Err(RepositoryError::InsufficientSpace { available_bytes, required_bytes, .. }) => {
            assert_eq!((available_bytes, required_bytes), (enough - 1 - taken, enough - taken));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.used_bytes(), used);
    put_with(enough).unwrap();

    disk.set_capacity(Some(disk.used_bytes() + ADDITIONAL / 2));
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.commit_and_compact(10).unwrap();
    assert_eq!(contents(&repository).unwrap(), [(id(2), object(2, 10_000))]);
}

#[test]
fn more_space_than_can_be_counted_is_never_there() {
    let (disk, path) = new();
    configure(&disk, &path, "additional_free_space", "18446744073709551615");
    let repository = open(&disk, &path, Mode::Exclusive).unwrap();
    let mut transaction = repository.begin().unwrap();
    let error = transaction.put(id(1), object(1, 10)).unwrap_err();
    drop(transaction);
    assert!(matches!(error, RepositoryError::InsufficientSpace { required_bytes: u64::MAX, .. }), "{error}");
    assert_eq!(segments(&disk), []);
}

#[test]
fn keys_and_nonces_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("repository");
    create(&OsDisk, &path);
    let process = Process::new();
    let repository = open_as(&process, &OsDisk, &path, Mode::Exclusive).unwrap();
    assert_eq!(repository.load_key().unwrap(), None);
    repository.save_key("line one\nline two\n").unwrap();
    repository.reserve_nonce(0x20, None).unwrap();
    drop(repository);
    let config = std::fs::read_to_string(path.join("config")).unwrap();
    assert!(config.ends_with("key = line one\n\tline two\n\n"), "{config}");
    let repository = open(&OsDisk, &path, Mode::Shared).unwrap();
    assert_eq!(repository.load_key().unwrap().as_deref(), Some("line one\nline two"));
    assert_eq!(repository.free_nonce().unwrap(), Some(0x20));
}
