//! One bit in every byte of every file of a repository is flipped: that is found, or does no harm, and whatever is not
//! hit reads as before.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError, disk};
use worldkeeper_repository::Mode;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::random::Random;

use crate::check::{LOOK, REPAIR, check};
use crate::common::{configure, contents, create, id, open, put};
use crate::repair::{files, write};

const PATH: &str = "/r";

/// A repository of about 1 MiB, most of it in small objects, as worlds are.
fn start() -> MemoryDisk {
    let (disk, path) = (MemoryDisk::new(), Path::new(PATH));
    create(&disk, path);
    configure(&disk, path, "max_segment_size", "200K");
    let repository = open(&disk, path, Mode::Exclusive).unwrap();
    repository.reserve_nonce(0x1234, None).unwrap();
    let mut random = Random::new(1);
    for round in 0..4u8 {
        let objects: Vec<_> = (1..=50u8)
            .map(|number| {
                let len = random.below(9000) + 1;
                let content: Vec<_> = (0..len).map(|_| random.below(256) as u8).collect();
                (id(round * 50 + number), Bytes::from(content))
            })
            .collect();
        put(&repository, &objects);
        put(&repository, &[(ChunkId::MANIFEST, Bytes::from(vec![round; 500]))]);
    }
    let mut transaction = repository.begin().unwrap();
    (1..10).for_each(|number| transaction.delete(id(number * 7)).unwrap());
    transaction.commit().unwrap();
    disk
}

/// What came of a flip.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Found,
    Harmless,
}

/// Flips one bit; says what came of it.
fn flip(start: &MemoryDisk, file: &Path, at: usize, bit: usize, content: &BTreeMap<ChunkId, Bytes>) -> Outcome {
    let context = format!("{}, byte {at}, bit {bit}", file.display());
    let (disk, path) = (start.after_kill(), Path::new(PATH));
    let mut bytes = disk::read(&disk, file, 1 << 22).unwrap();
    bytes[at] ^= 1 << bit;
    write(&disk, file, &bytes);
    let Ok(repository) = open(&disk, path, Mode::Exclusive) else { return Outcome::Refused };
    let (looked, findings) = match check(&repository, LOOK) {
        Ok(result) => result,
        Err(RepositoryError::CheckNeeded(_) | RepositoryError::NotARepository { .. }) => return Outcome::Refused,
        Err(error) => panic!("{context}: {error}"),
    };
    // Whatever is read, is right.
    let missing = match repository.ids() {
        Ok(ids) => {
            for id in &ids {
                match (repository.get(id), content.get(id)) {
                    (Ok(object), Some(expected)) => assert_eq!(object, expected, "{context}: {id}"),
                    (Err(RepositoryError::Damaged { .. }), Some(_)) => {}
                    // The last commit may be what was hit, and took these away.
                    (Ok(_), None) => assert!(looked.problems > 0, "{context}: {id}: {findings:?}"),
                    (Err(error), _) => panic!("{context}: {id}: {error}"),
                }
            }
            content.iter().any(|(id, object)| repository.get(id).ok().as_ref() != Some(object))
        }
        Err(RepositoryError::CheckNeeded(_) | RepositoryError::Damaged { .. }) => true,
        Err(error) => panic!("{context}: {error}"),
    };
    assert!(!missing || looked.problems > 0, "{context}: objects are lost, and nothing was found");
    if looked.problems == 0 {
        return Outcome::Harmless;
    }
    // What was not hit comes back.
    if let Ok((repaired, findings)) = check(&repository, REPAIR) {
        let is_misplaced = findings.iter().any(|finding| finding.what.contains("segments_per_dir"));
        assert!(repaired.is_sound() || is_misplaced, "{context}: {findings:?}");
        if repaired.is_sound() {
            let now: BTreeMap<_, _> = contents(&repository).unwrap().into_iter().collect();
            let lost = content.iter().filter(|(id, object)| now.get(*id) != Some(*object)).count();
            // A flip in a DELETE brings back what it took away.
            let back = now.keys().filter(|id| !content.contains_key(*id)).count();
            assert!(lost + back <= 1, "{context}: {lost} lost, {back} back");
        }
    }
    Outcome::Found
}

#[test]
fn gate_bit_flips() {
    let start = start();
    let content: BTreeMap<_, _> =
        contents(&open(&start, Path::new(PATH), Mode::Shared).unwrap()).unwrap().into_iter().collect();
    let files: Vec<_> = files(&start, Path::new(PATH))
        .into_iter()
        .map(|file| (start.metadata(&file).unwrap().len as usize, file))
        .collect();
    let whole: usize = files.iter().map(|(len, _)| len).sum();
    assert!((900_000..1_300_000).contains(&whole), "{whole} bytes");
    let seed = gate::seed();
    let mut random = Random::new(seed);
    let mut outcomes = BTreeMap::new();
    let mut try_one = |file: &Path, at: usize, random: &mut Random| {
        let outcome = flip(&start, file, at, random.below(8), &content);
        *outcomes.entry(outcome).or_insert(0) += 1;
    };
    if gate::is_nightly() {
        for (len, file) in &files {
            (0..*len).for_each(|at| try_one(file, at, &mut random));
        }
    } else {
        // Of the small files as much as of the large ones: they have more that can go wrong.
        for number in 0..1000 {
            let (len, file) = &files[number % files.len()];
            try_one(file, random.below(*len), &mut random);
        }
    }
    println!("seed {seed}: {outcomes:?}");
    assert!(outcomes.len() == 3, "seed {seed}: {outcomes:?}");
}
