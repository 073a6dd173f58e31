//! Crashes, power failures, full disks and failing calls: afterwards the repository is what it was, or what it was
//! to become, and can be written again.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError, RepositoryId};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode};
use worldkeeper_testkit::disk::{Fault, MemoryDisk};

use crate::common::{Process, configure, contents, create, id, object, open_as, put};

const PATH: &str = "/r";

type Content = BTreeMap<ChunkId, Bytes>;

/// A repository with small segments and a few commits behind it, all durable.
fn start() -> (MemoryDisk, Content) {
    let disk = MemoryDisk::new();
    let path = Path::new(PATH);
    create(&disk, path);
    configure(&disk, path, "max_segment_size", "2K");
    configure(&disk, path, "segments_per_dir", "3");
    let repository = open_as(&Process::new(), &disk, path, Mode::Exclusive).unwrap();
    let objects: Vec<_> = (1..=6).map(|number| (id(number), object(number, 700))).collect();
    put(&repository, &objects);
    // An object whose end looks like a COMMIT, as the file of somebody who backs up a repository does.
    let bait = [&[7; 900][..], b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02"].concat();
    put(&repository, &[(id(7), bait.into()), (ChunkId::MANIFEST, object(0xf0, 300))]);
    let content = contents(&repository).unwrap().into_iter().collect();
    drop(repository);
    (disk.after_power_failure(0), content)
}

type Step = fn(&LocalRepository) -> Result<(), RepositoryError>;

/// What is done to the repository, commit by commit.
const STEPS: [Step; 4] = [
    |repository| {
        let mut transaction = repository.begin()?;
        for number in 10..16 {
            transaction.put(id(number), object(number, 650))?;
        }
        let bait = [&[16; 400][..], b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02"].concat();
        transaction.put(id(16), bait.into())?;
        transaction.put(ChunkId::MANIFEST, object(0xf1, 301))?;
        transaction.commit()
    },
    |repository| {
        let mut transaction = repository.begin()?;
        for number in [1, 2, 4, 5, 6, 11, 12, 14] {
            match transaction.delete(id(number)) {
                Ok(()) | Err(RepositoryError::ObjectNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        transaction.put(id(10), object(0x10, 20))?;
        transaction.put(ChunkId::MANIFEST, object(0xf2, 302))?;
        transaction.commit_and_compact(10).map(drop)
    },
    |repository| {
        let mut transaction = repository.begin()?;
        transaction.put(id(1), object(0xa1, 90_000))?;
        transaction.put(ChunkId::MANIFEST, object(0xf3, 303))?;
        transaction.commit()
    },
    |repository| repository.begin()?.commit_and_compact(0).map(drop),
];

/// What the repository contains before the first step and after each.
fn states(mut content: Content) -> Vec<Content> {
    let mut states = vec![content.clone()];
    content.extend((10..16).map(|number| (id(number), object(number, 650))));
    content.insert(id(16), [&[16; 400][..], b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02"].concat().into());
    content.insert(ChunkId::MANIFEST, object(0xf1, 301));
    states.push(content.clone());
    for number in [1, 2, 4, 5, 6, 11, 12, 14] {
        content.remove(&id(number));
    }
    content.insert(id(10), object(0x10, 20));
    content.insert(ChunkId::MANIFEST, object(0xf2, 302));
    states.push(content.clone());
    content.insert(id(1), object(0xa1, 90_000));
    content.insert(ChunkId::MANIFEST, object(0xf3, 303));
    states.push(content.clone());
    states.push(content);
    states
}

/// Runs the steps until one fails; returns how many did not.
fn run(process: &Arc<Process>, disk: &MemoryDisk) -> usize {
    let Ok(repository) = open_as(process, disk, Path::new(PATH), Mode::Exclusive) else { return 0 };
    STEPS.iter().take_while(|step| step(&repository).is_ok()).count()
}

fn content(repository: &LocalRepository, context: &str) -> Content {
    contents(repository).unwrap_or_else(|error| panic!("{context}: {error}")).into_iter().collect()
}

/// Requires that the repository holds one of two states and goes on to work. Returns which.
fn survives(disk: &MemoryDisk, dead: &Process, states: &[Content], context: &str) -> usize {
    let path = Path::new(PATH);
    let reader = Process::after(dead);
    let open = |process: &Arc<Process>, mode| {
        open_as(process, disk, path, mode).unwrap_or_else(|error| panic!("{context}: {error}"))
    };
    let before = content(&open(&reader, Mode::WithoutLock), context);
    let found = states.iter().position(|state| *state == before);
    let found = found.unwrap_or_else(|| panic!("{context}: neither old nor new, but {:?}", before.keys()));
    assert_eq!(content(&open(&reader, Mode::Shared), context), before, "{context}");

    // The next writer goes on, compacts, and what is left replays to the same.
    let writer = open(&Process::after(dead), Mode::Exclusive);
    let mut expected = before;
    let extra = (id(200), object(200, 1000));
    let mut transaction = writer.begin().unwrap_or_else(|error| panic!("{context}: {error}"));
    transaction.put(extra.0, extra.1.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    transaction.commit_and_compact(10).unwrap_or_else(|error| panic!("{context}: {error}"));
    expected.extend([extra]);
    assert_eq!(content(&writer, context), expected, "{context}");
    drop(writer);
    // What it found it has made durable, whatever became of the sync of whoever wrote it.
    for disk in [disk.clone(), disk.after_power_failure(0), disk.after_power_failure(1)] {
        for (name, _) in disk.list(path).unwrap() {
            if name.to_str().is_some_and(|name| name.starts_with("index.")) {
                disk.remove_file(&path.join(name)).unwrap();
            }
        }
        let reader = open_as(&Process::after(&reader), &disk, path, Mode::Shared);
        let reader = reader.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(content(&reader, context), expected, "{context}, replayed");
    }
    found
}

#[test]
fn killed_or_without_power_at_any_call() {
    let (start, content) = start();
    let states = states(content);
    let calls = {
        let disk = start.after_kill();
        disk.fail(None);
        assert_eq!(run(&Process::new(), &disk), STEPS.len());
        disk.calls()
    };
    assert!(calls > 150, "{calls} calls are too few to be the whole story");
    let mut outcomes = [0; 2];
    for call in 1..=calls {
        let (disk, process) = (start.after_kill(), Process::new());
        disk.fail(Some(Fault { call, kind: ErrorKind::Other, for_ever: true }));
        let reached = run(&process, &disk);
        let possible = &states[reached..=(reached + 1).min(STEPS.len())];
        survives(&disk.after_kill(), &process, possible, &format!("killed at call {call}"));
        for seed in 0..12 {
            let context = format!("power failed at call {call}, seed {seed}");
            let left = disk.after_power_failure(seed + 1000 * call as u64);
            outcomes[survives(&left, &process, possible, &context)] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 50), "both states must have been seen: {outcomes:?}");
}

#[test]
fn any_call_fails_once() {
    let (start, content_before) = start();
    let states = states(content_before);
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for call in 1.. {
            let context = format!("call {call} fails once with {kind}");
            let (disk, process) = (start.after_kill(), Process::new());
            disk.fail(Some(Fault { call, kind, for_ever: false }));
            let mut reached = 0;
            if let Ok(repository) = open_as(&process, &disk, Path::new(PATH), Mode::Exclusive) {
                while reached < STEPS.len() {
                    if STEPS[reached](&repository).is_err() {
                        // The same handle shows the old state or the new one, and the step can be taken again.
                        let now = content(&repository, &context);
                        assert!(states[reached..=reached + 1].contains(&now), "{context}");
                        STEPS[reached](&repository).unwrap_or_else(|error| panic!("{context}, again: {error}"));
                    }
                    reached += 1;
                }
            }
            let finished = disk.calls() < call;
            survives(&disk.after_kill(), &process, &states[reached..=reached], &context);
            for seed in 0..3 {
                let left = disk.after_power_failure(seed + 1000 * call as u64);
                survives(
                    &left,
                    &process,
                    &states[reached..=reached],
                    &format!("{context}, then the power, seed {seed}"),
                );
            }
            if finished {
                assert!(call > 150, "{call} calls are too few to be the whole story");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_is_rolled_back_wherever_it_fills() {
    let (start, content_before) = start();
    let states = states(content_before);
    let used = start.used_bytes();
    for room in (0..400_000).step_by(1999) {
        let context = format!("{room} bytes free");
        let (disk, process) = (start.after_kill(), Process::new());
        disk.set_capacity(Some(used + room));
        let reached = run(&process, &disk);
        // What the failed step wrote is gone again, so that the room is there for somebody else.
        let left = disk.after_kill();
        left.set_capacity(None);
        let possible = &states[reached..=(reached + 1).min(STEPS.len())];
        survives(&left, &process, possible, &context);
        if reached == 0 {
            assert!(disk.used_bytes() <= used, "{context}: {} bytes are left behind", disk.used_bytes() - used);
        }
    }
}

#[test]
fn creating_a_repository_is_interrupted_at_any_call() {
    let path = Path::new("/backups/world");
    let options = CreateOptions { make_parent_dirs: true, ..CreateOptions::new(RepositoryId([3; 32])) };
    for call in 1.. {
        let disk = MemoryDisk::new();
        disk.fail(Some(Fault { call, kind: ErrorKind::StorageFull, for_ever: true }));
        let created = LocalRepository::create(&disk, path, &options).is_ok();
        let process = Process::new();
        for seed in 0..20 {
            let left = disk.after_power_failure(seed);
            match LocalRepository::create(&left, path, &options) {
                Ok(()) => assert!(!created, "seed {seed}"),
                // The power failed, or the call, when all was there already.
                Err(RepositoryError::AlreadyExists(_)) => {}
                Err(error) => panic!("call {call}, seed {seed}: {error}"),
            }
            let repository = open_as(&process, &left, path, Mode::Exclusive).unwrap();
            put(&repository, &[(id(1), object(1, 10))]);
        }
        if created {
            assert!(call > 10);
            break;
        }
        // Without a crash nothing is left of it at all, if it can be removed.
        let disk = MemoryDisk::new();
        disk.fail(Some(Fault { call, kind: ErrorKind::StorageFull, for_ever: false }));
        if LocalRepository::create(&disk, path, &options).is_err() {
            assert!(disk.metadata(path).is_err(), "call {call}");
        }
    }
}
