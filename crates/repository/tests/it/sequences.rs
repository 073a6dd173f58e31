//! Random histories: after every step the repository holds what a map holds, and so does what a replay finds.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use worldkeeper_core::{ChunkId, Disk, Repository};
use worldkeeper_repository::{LocalRepository, Mode};
use worldkeeper_testkit::disk::MemoryDisk;

use crate::check::{LOOK, check};
use crate::common::{configure, contents, create, id, object, open};

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Changes, then what becomes of them.
    Transaction(Vec<Change>, End),
    /// The repository is closed and opened again.
    Reopen,
    /// Closed, robbed of one of its state files, and opened again.
    Lose(&'static str),
}

#[derive(Clone, Debug)]
enum Change {
    Put(u8, u8, u16),
    Delete(u8),
}

#[derive(Clone, Copy, Debug)]
enum End {
    RollBack,
    Commit,
    Compact(u8),
}

fn change() -> impl Strategy<Value = Change> {
    // Id 0 is the manifest.
    let put = (0u8..12, any::<u8>(), 0u16..900).prop_map(|(id, byte, len)| Change::Put(id, byte, len));
    prop_oneof![3 => put, 2 => (0u8..12).prop_map(Change::Delete)]
}

fn step() -> impl Strategy<Value = Step> {
    let percent = prop_oneof![Just(0), Just(10), Just(50), Just(100)];
    let end = prop_oneof![1 => Just(End::RollBack), 2 => Just(End::Commit), 2 => percent.prop_map(End::Compact)];
    let transaction =
        (proptest::collection::vec(change(), 0..8), end).prop_map(|(changes, end)| Step::Transaction(changes, end));
    let lose = prop_oneof![Just("index."), Just("hints."), Just("integrity.")].prop_map(Step::Lose);
    prop_oneof![8 => transaction, 1 => Just(Step::Reopen), 1 => lose]
}

fn chunk(number: u8) -> ChunkId {
    if number == 0 { ChunkId::MANIFEST } else { id(number) }
}

fn lose(disk: &MemoryDisk, path: &Path, prefix: &str) {
    for (name, _) in disk.list(path).unwrap() {
        if name.to_str().is_some_and(|name| name.starts_with(prefix)) {
            disk.remove_file(&path.join(name)).unwrap();
        }
    }
}

fn apply(repository: &LocalRepository, changes: &[Change], end: End, model: &mut BTreeMap<ChunkId, Bytes>) {
    let mut changed = model.clone();
    let mut transaction = repository.begin().unwrap();
    for change in changes {
        match *change {
            Change::Put(number, byte, len) => {
                let object = object(byte, len.into());
                transaction.put(chunk(number), object.clone()).unwrap();
                changed.insert(chunk(number), object);
            }
            Change::Delete(number) => {
                assert_eq!(transaction.delete(chunk(number)).is_ok(), changed.remove(&chunk(number)).is_some());
            }
        }
    }
    match end {
        End::RollBack => return,
        End::Commit => transaction.commit().unwrap(),
        End::Compact(percent) => drop(transaction.commit_and_compact(percent).unwrap()),
    }
    *model = changed;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_repository_is_a_map(steps in proptest::collection::vec(step(), 1..25)) {
        let (disk, path) = (MemoryDisk::new(), Path::new("/sequence"));
        create(&disk, path);
        configure(&disk, path, "max_segment_size", "1500");
        configure(&disk, path, "segments_per_dir", "4");
        let mut model = BTreeMap::new();
        let mut repository = Some(open(&disk, path, Mode::Exclusive).unwrap());
        for step in steps {
            match &step {
                Step::Transaction(changes, end) => apply(repository.as_ref().unwrap(), changes, *end, &mut model),
                Step::Reopen | Step::Lose(_) => {
                    drop(repository.take());
                    if let Step::Lose(prefix) = step {
                        lose(&disk, path, prefix);
                    }
                    repository = Some(open(&disk, path, Mode::Exclusive).unwrap());
                }
            }
            let live: BTreeMap<_, _> = contents(repository.as_ref().unwrap()).unwrap().into_iter().collect();
            prop_assert_eq!(&live, &model);
            let writer = repository.as_ref().unwrap();
            if !model.is_empty() {
                let (outcome, findings) = check(writer, LOOK).unwrap();
                prop_assert!(outcome.is_sound(), "{:?}", findings);
            }
            let copy = disk.after_kill();
            lose(&copy, path, "index.");
            let replayed: BTreeMap<_, _> =
                contents(&open(&copy, path, Mode::WithoutLock).unwrap()).unwrap().into_iter().collect();
            prop_assert_eq!(&replayed, &model);
        }
    }
}
