//! Damage to a repository that stock made: (missing, empty, torn, flipped) × (index, hints, integrity, segments),
//! then reading and writing.

use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_core::{ChunkId, Repository, RepositoryError};
use worldkeeper_repository::{Mode, OsDisk};
use worldkeeper_testkit::repositories::{Copy, NAMES};

use crate::common::{configure, contents, create, id, object, open, put};

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Missing,
    Empty,
    Torn,
    Flipped,
}

const ALL: [Damage; 4] = [Damage::Missing, Damage::Empty, Damage::Torn, Damage::Flipped];

impl Damage {
    fn inflict(self, file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        let len = bytes.len();
        match self {
            Self::Missing => return fs::remove_file(file).unwrap(),
            Self::Empty => bytes.clear(),
            Self::Torn => bytes.truncate(len / 2),
            Self::Flipped => bytes[len / 2] ^= 0x10,
        }
        fs::write(file, bytes).unwrap();
    }
}

/// The segments' files, in their order.
fn segments(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path.join("data/0")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|file| file.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap());
    files
}

/// Requires that the repository still has what it had, and takes more.
fn goes_on(path: &Path, expected: &[(ChunkId, bytes::Bytes)], context: &str) {
    let read =
        |mode| contents(&open(&OsDisk, path, mode).unwrap()).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(read(Mode::WithoutLock), expected, "{context}");
    assert_eq!(read(Mode::Shared), expected, "{context}");
    let repository = open(&OsDisk, path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 10))]);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.commit_and_compact(10).unwrap();
    drop(repository);
    assert_eq!(read(Mode::Shared), expected, "{context}, later");
    for file in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_str().unwrap().contains("index.") {
            fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(read(Mode::Shared), expected, "{context}, replayed");
}

#[test]
fn state_files_can_be_lost_in_any_way() {
    for name in NAMES {
        let expected = contents(&open(&OsDisk, &Copy::of(name).path(), Mode::Shared).unwrap()).unwrap();
        for file in ["index.25", "hints.25", "integrity.25"] {
            for damage in ALL {
                let copy = Copy::of(name);
                damage.inflict(&copy.path().join(file));
                goes_on(&copy.path(), &expected, &format!("{name}, {file} {damage:?}"));
            }
        }
        let copy = Copy::of(name);
        for file in ["index.25", "hints.25", "integrity.25"] {
            Damage::Missing.inflict(&copy.path().join(file));
        }
        goes_on(&copy.path(), &expected, &format!("{name}, all missing"));
    }
}

#[test]
fn what_stands_behind_the_last_commit_does_not_count() {
    let commit = b"BORG_SEG\x40\xf4\x3c\x25\x09\x00\x00\x00\x02";
    let put = fs::read(Copy::of(NAMES[0]).path().join("data/0/24")).unwrap();
    let torn = &put[..put.len() - 1];
    let bait = [torn, commit].concat();
    for tail in [&b""[..], b"BORG_SEG", &commit[..16], torn, &bait, &put, b"what is this?"] {
        let copy = Copy::of(NAMES[0]);
        let path = copy.path();
        let expected = contents(&open(&OsDisk, &path, Mode::Shared).unwrap()).unwrap();
        fs::write(path.join("data/0/26"), tail).unwrap();
        fs::write(path.join("data/0/28"), tail).unwrap();
        goes_on(&path, &expected, &format!("{} bytes", tail.len()));
    }
}

#[test]
fn stray_files_are_passed_over() {
    let copy = Copy::of(NAMES[1]);
    let path = copy.path();
    let expected = contents(&open(&OsDisk, &path, Mode::Shared).unwrap()).unwrap();
    for stray in ["data/.nfs0001", "data/7", "data/0/.nfs0002", "data/0/30.tmp", "data/0/031", "index.99", "index.x"] {
        fs::write(path.join(stray), "").unwrap();
    }
    for stray in ["data/3", "data/0/40", "data/lost+found"] {
        fs::create_dir(path.join(stray)).unwrap();
    }
    // Stock empties a segment before it removes it.
    fs::write(path.join("data/0/1"), "").unwrap();
    goes_on(&path, &expected, "stray files");
    assert!(path.join("data/lost+found").exists() && !path.join("data/3").exists());
}

#[test]
fn a_lost_commit_falls_back_to_the_one_before() {
    // Of the last transaction, `delete third`, these are the segments.
    for damage in ALL {
        let copy = Copy::of("none-borg1.4.5");
        let path = copy.path();
        damage.inflict(&path.join("data/0/25"));
        let now = contents(&open(&OsDisk, &path, Mode::Shared).unwrap()).unwrap();
        let before = Copy::of("none-borg1.4.5");
        for segment in 22..=25 {
            fs::remove_file(before.path().join(format!("data/0/{segment}"))).unwrap();
        }
        for file in ["index.25", "hints.25", "integrity.25"] {
            fs::remove_file(before.path().join(file)).unwrap();
        }
        let expected = contents(&open(&OsDisk, &before.path(), Mode::Shared).unwrap()).unwrap();
        assert_eq!(now, expected, "{damage:?}");
        goes_on(&path, &expected, &format!("{damage:?}"));
    }
}

#[test]
fn the_index_of_a_lost_commit_is_not_taken_for_the_one_that_gets_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(2), object(2, 10))]);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(3), object(3, 10))]);
    Damage::Flipped.inflict(&path.join("data/0/3"));
    // For some reason the replayed index cannot be saved.
    fs::create_dir_all(path.join("hints.1.tmp/in the way")).unwrap();
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(4), object(4, 20))]);
    assert!(path.join("data/0/3").exists() && !path.join("data/0/4").exists());
    fs::remove_dir_all(path.join("hints.1.tmp")).ok();
    goes_on(&path, &[(id(2), object(2, 10)), (id(4), object(4, 20))], "the second transaction 3");
}

#[test]
fn a_compaction_whose_commit_is_lost_is_not_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    configure(&OsDisk, &path, "max_segment_size", "3000");
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    let objects: Vec<_> = (1..=12).map(|number| (id(number), object(number, 1000))).collect();
    put(&repository, &objects);
    let mut transaction = repository.begin().unwrap();
    for number in [1, 4, 7, 10] {
        transaction.delete(id(number)).unwrap();
    }
    transaction.commit_and_compact(10).unwrap();
    let expected = contents(&repository).unwrap();
    assert_eq!(expected.len(), 8);
    drop(repository);
    let last = segments(&path).pop().unwrap();
    assert_eq!(fs::metadata(&last).unwrap().len(), 17, "the final commit");
    let whole = fs::read(&last).unwrap();
    Damage::Flipped.inflict(&last);
    let before = segments(&path);

    // What the commit in the middle of the compaction left can be read; its sources are gone, so nothing is removed.
    let repository = open(&OsDisk, &path, Mode::Shared).unwrap();
    assert!(repository.ids().unwrap().len() < expected.len());
    drop(repository);
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    for _ in 0..2 {
        let error = repository.begin().map(drop).unwrap_err();
        assert!(matches!(&error, RepositoryError::CheckNeeded(_)), "{error}");
    }
    drop(repository);
    assert_eq!(segments(&path), before);
    fs::write(&last, whole).unwrap();
    goes_on(&path, &expected, "mended");
}

/// As above, with a commit before the compaction that survives it, since little of its segment can be freed; and with the manifest,
/// which tells that nothing else was stored since.
#[test]
fn a_compaction_whose_only_commit_is_lost_is_not_taken_back() {
    for is_manifest_moved in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r");
        create(&OsDisk, &path);
        configure(&OsDisk, &path, "max_segment_size", "3000");
        let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
        let objects: Vec<_> = (2..=7).map(|number| (id(number), object(number, 1000))).collect();
        put(&repository, &objects);
        let mut transaction = repository.begin().unwrap();
        transaction.put(ChunkId::MANIFEST, object(0, 100)).unwrap();
        if is_manifest_moved {
            // It shares a segment with what is not needed, and nothing goes before it.
            transaction.put(id(20), object(20, 2600)).unwrap();
            transaction.delete(id(20)).unwrap();
        } else {
            for number in [2, 3, 5, 6] {
                transaction.delete(id(number)).unwrap();
            }
        }
        transaction.commit_and_compact(60).unwrap();
        let expected = contents(&repository).unwrap();
        assert_eq!(expected.len(), if is_manifest_moved { 7 } else { 3 });
        drop(repository);
        let before = segments(&path);
        let last = before.last().unwrap();
        assert_eq!(fs::metadata(last).unwrap().len(), 17, "the final commit");
        let whole = fs::read(last).unwrap();
        Damage::Flipped.inflict(last);
        let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
        let error = repository.begin().map(drop).unwrap_err();
        assert!(matches!(&error, RepositoryError::CheckNeeded(text) if text.contains("just before")), "{error}");
        assert_eq!(repository.get(&ChunkId::MANIFEST).is_err(), is_manifest_moved);
        drop(repository);
        assert_eq!(segments(&path), before);
        fs::write(last, whole).unwrap();
        goes_on(&path, &expected, "mended");
    }
}

/// Where something else was stored since, the commit before is as good as it was.
#[test]
fn a_transaction_whose_commit_is_lost_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 100)), (ChunkId::MANIFEST, object(0, 100))]);
    let expected = contents(&repository).unwrap();
    put(&repository, &[(id(2), object(2, 100)), (ChunkId::MANIFEST, object(3, 100))]);
    drop(repository);
    Damage::Flipped.inflict(segments(&path).last().unwrap());
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    drop(repository.begin().unwrap());
    assert_eq!(contents(&repository).unwrap(), expected);
}

#[test]
fn a_newer_commit_than_the_index_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 10)), (id(2), object(2, 10))]);
    let old: Vec<_> =
        ["index.1", "hints.1", "integrity.1"].map(|name| (name, fs::read(path.join(name)).unwrap())).into();
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    transaction.put(id(2), object(3, 30)).unwrap();
    transaction.commit_and_compact(0).unwrap();
    let expected = contents(&repository).unwrap();
    drop(repository);
    for (name, bytes) in &old {
        fs::write(path.join(name), bytes).unwrap();
    }
    for entry in fs::read_dir(&path).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let is_new =
            ["index.", "hints.", "integrity."].iter().any(|prefix| name.starts_with(prefix)) && !name.ends_with(".1");
        if is_new {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    goes_on(&path, &expected, "old index");
}

#[test]
fn without_any_commit_nothing_is_guessed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 10))]);
    fs::remove_file(path.join("data/0/1")).unwrap();
    let check_needed = |expected: &str| {
        let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
        for error in [repository.ids().unwrap_err(), repository.begin().map(drop).unwrap_err()] {
            assert!(matches!(&error, RepositoryError::CheckNeeded(reason) if reason.contains(expected)), "{error}");
        }
        assert_eq!(repository.load_key().unwrap(), None, "what does not need the segments works");
    };
    check_needed("state files of transaction 1");
    // Without state files, too, a damaged segment that was committed once is not taken for an aborted one: the next
    // writer would remove it.
    for name in ["index.1", "hints.1", "integrity.1"] {
        fs::remove_file(path.join(name)).unwrap();
    }
    let segment = path.join("data/0/0");
    let put = fs::read(&segment).unwrap();
    let mut bytes = [&put[..], b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02"].concat();
    bytes[20] ^= 1;
    fs::write(&segment, bytes).unwrap();
    check_needed("ends with a commit but is damaged");
    // One without a COMMIT is what a first transaction leaves when it is killed.
    fs::write(&segment, put).unwrap();
    goes_on(&path, &[], "killed in its first transaction");
}

#[test]
fn a_damaged_object_is_named_and_the_others_are_read() {
    let copy = Copy::of("none-borg1.4.5");
    let path = copy.path();
    let segment = path.join("data/0/2");
    let mut bytes = fs::read(&segment).unwrap();
    // In the middle of the second object, whose entry begins at 19822.
    bytes[19_822 + 45] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let repository = open(&OsDisk, &path, Mode::Shared).unwrap();
    let (mut damaged, mut whole) = (0, 0);
    for id in repository.ids().unwrap() {
        match repository.get(&id) {
            Ok(_) => whole += 1,
            Err(RepositoryError::Damaged { segment: 2, offset: 19_822, reason }) => {
                assert!(reason.contains(&id.to_string()), "{reason}");
                damaged += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((damaged, whole > 10), (1, true));
    drop(repository);

    fs::remove_file(&segment).unwrap();
    let repository = open(&OsDisk, &path, Mode::Shared).unwrap();
    let results = repository.ids().unwrap().into_iter().map(|id| repository.get(&id));
    let missing = results.filter(|result| matches!(result, Err(RepositoryError::Damaged { segment: 2, .. }))).count();
    assert_eq!(missing, 10);
}

#[test]
fn compaction_does_not_remove_a_segment_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    put(&repository, &[(id(1), object(1, 1000)), (id(2), object(2, 1000)), (id(3), object(3, 1000))]);
    let segment = path.join("data/0/0");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8 + 1041 + 500] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(1)).unwrap();
    let error = transaction.commit_and_compact(10).unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged { segment: 0, offset: 1049, .. }), "{error}");
    drop(repository);
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn a_directory_that_is_elsewhere_and_not_to_be_had_is_not_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (directory.path().join("r"), directory.path().join("elsewhere"));
    create(&OsDisk, &path);
    configure(&OsDisk, &path, "segments_per_dir", "2");
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(2), object(2, 10))]);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(3), object(3, 10))]);
    fs::rename(path.join("data/1"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path.join("data/1")).unwrap();
    let expected = contents(&open(&OsDisk, &path, Mode::Shared).unwrap()).unwrap();
    assert_eq!(expected.len(), 2);

    let gone = directory.path().join("gone");
    fs::rename(&elsewhere, &gone).unwrap();
    let error = open(&OsDisk, &path, Mode::Exclusive).unwrap().begin().map(drop).unwrap_err();
    assert!(matches!(&error, RepositoryError::Disk(_)), "{error}");
    fs::rename(&gone, &elsewhere).unwrap();
    goes_on(&path, &expected, "back again");
}

#[test]
fn numbers_no_segment_can_have_stop_everything() {
    for number in [u32::MAX, u32::MAX - 1, u32::MAX - 1023] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r");
        create(&OsDisk, &path);
        put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 10))]);
        let beyond = path.join("data").join((number / 1000).to_string());
        fs::create_dir(&beyond).unwrap();
        fs::copy(path.join("data/0/1"), beyond.join(number.to_string())).unwrap();
        let error = open(&OsDisk, &path, Mode::Exclusive).unwrap().begin().map(drop).unwrap_err();
        assert!(
            matches!(&error, RepositoryError::CheckNeeded(reason) if reason.contains(&number.to_string())),
            "{error}"
        );
        assert!(path.join("data/0/0").exists() && path.join("data/0/1").exists(), "{number}");
    }
}

#[test]
fn an_index_that_points_ahead_is_no_reason_to_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 10))]);
    // The next segment will be 2; at 49 its first object begins, which looks like the head of a longer one.
    let mut index = fs::read(path.join("index.1")).unwrap();
    let at = index.windows(32).position(|key| key == id(1).0).unwrap() + 32;
    index[at..at + 4].copy_from_slice(&2u32.to_le_bytes());
    index[at + 4..at + 8].copy_from_slice(&49u32.to_le_bytes());
    fs::write(path.join("index.1"), index).unwrap();
    fs::remove_file(path.join("integrity.1")).unwrap();
    let head = [&b"\0\0\0\0\xe8\x03\0\0\0"[..], &id(1).0].concat();

    let repository = open(&OsDisk, &path, Mode::Exclusive).unwrap();
    let mut transaction = repository.begin().unwrap();
    transaction.put(id(2), head.into()).unwrap();
    let error = repository.get(&id(1)).unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged { segment: 2, offset: 49, .. }), "{error}");
}

#[test]
fn segments_in_the_wrong_directory_stop_everything() {
    let copy = Copy::of(NAMES[1]);
    let path = copy.path();
    let config = fs::read_to_string(path.join("config")).unwrap();
    fs::write(path.join("config"), config.replace("segments_per_dir = 1000", "segments_per_dir = 10")).unwrap();
    let error = open(&OsDisk, &path, Mode::Exclusive).unwrap().begin().map(drop).unwrap_err();
    assert!(
        matches!(&error, RepositoryError::CheckNeeded(reason) if reason.contains("segments_per_dir = 10 ")),
        "{error}"
    );
}
