//! Locks: who may come in, who waits, who is cleared away.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use worldkeeper_core::disk::{self, Disk};
use worldkeeper_core::lock::LockIdentity;
use worldkeeper_core::{Clock, Repository, RepositoryError, Stop};
use worldkeeper_repository::{Holder, LocalRepository, Mode, OpenOptions, OsDisk, break_lock};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::{Fault, MemoryDisk};

use crate::common::{Process, create, id, object, open, open_as, options, put};

const PATH: &str = "/locked";

/// A lock of stock borg on some host.
const FOREIGN: &str = "myhost@3281355014145.15207-0";

fn new() -> MemoryDisk {
    let disk = MemoryDisk::new();
    create(&disk, Path::new(PATH));
    disk
}

fn write(disk: &MemoryDisk, name: &str, content: &str) {
    disk::replace(disk, &Path::new(PATH).join(name), content.as_bytes()).unwrap();
}

fn roster(disk: &MemoryDisk) -> Option<String> {
    let bytes = disk::read_if_there(disk, &Path::new(PATH).join("lock.roster"), 10_000).unwrap();
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn lock_files(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(Path::new(PATH)).unwrap();
    names.into_iter().filter_map(|(name, _)| name.into_string().ok().filter(|name| name.starts_with("lock"))).collect()
}

/// Opens without waiting; `None` if the lock is held, with the holder.
fn try_open(disk: &MemoryDisk, process: &Arc<Process>, mode: Mode) -> Result<LocalRepository, String> {
    match open_as(process, disk, Path::new(PATH), mode) {
        Ok(repository) => Ok(repository),
        Err(RepositoryError::LockTimeout { holder, waited_seconds: 0 }) => Err(holder),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    let disk = new();
    let [a, b, c] = [(); 3].map(|()| Process::new());
    let readers = [&a, &b].map(|process| try_open(&disk, process, Mode::Shared).unwrap());
    let own = a.own();
    let listed = format!("[\"{}\",{},{}]", own.host_id, own.process, own.thread);
    assert!(roster(&disk).unwrap().contains(&listed));
    let held = try_open(&disk, &c, Mode::Exclusive).err().unwrap();
    assert_eq!(held, "test@0a1b-2c3d (process 7), test@0a1b-2c3d (process 7), all reading");
    drop(readers);
    assert_eq!(lock_files(&disk), [""; 0]);

    let writer = try_open(&disk, &c, Mode::Exclusive).unwrap();
    assert_eq!(lock_files(&disk), ["lock.exclusive", "lock.roster"]);
    let file = format!("test@0a1b-2c3d.7-{:x}", c.own().thread);
    assert_eq!(disk.list(&Path::new(PATH).join("lock.exclusive")).unwrap()[0].0, *file);
    for mode in [Mode::Shared, Mode::Exclusive] {
        assert_eq!(try_open(&disk, &a, mode).err().unwrap(), "test@0a1b-2c3d (process 7)");
    }
    assert!(try_open(&disk, &a, Mode::WithoutLock).is_ok());
    drop(writer);
    assert_eq!(lock_files(&disk), [""; 0]);
}

#[test]
fn handles_of_one_process_are_told_apart() {
    let disk = new();
    let process = Process::new();
    let first = try_open(&disk, &process, Mode::Shared).unwrap();
    let second = try_open(&disk, &process, Mode::Shared).unwrap();
    drop(first);
    assert!(try_open(&disk, &process, Mode::Exclusive).is_err(), "the second one still reads");
    assert!(try_open(&disk, &Process::new(), Mode::Exclusive).is_err());
    drop(second);
    let writer = try_open(&disk, &process, Mode::Exclusive).unwrap();
    assert!(try_open(&disk, &process, Mode::Exclusive).is_err());
    assert!(try_open(&disk, &process, Mode::Shared).is_err());
    drop(writer);
    assert_eq!(lock_files(&disk), [""; 0]);
}

#[test]
fn what_our_dead_have_left_is_cleared() {
    let disk = new();
    let dead = Process::new();
    let repository = try_open(&disk, &dead, Mode::Exclusive).unwrap();
    let after_writer = disk.after_kill();
    drop(repository);
    let repository = try_open(&disk, &dead, Mode::Shared).unwrap();
    let after_reader = disk.after_kill();
    drop(repository);
    for (disk, mode) in
        [(&after_writer, Mode::Shared), (&after_writer, Mode::Exclusive), (&after_reader, Mode::Exclusive)]
    {
        let disk = disk.after_kill();
        assert!(try_open(&disk, &Process::new(), mode).is_err(), "a stranger does not judge");
        drop(try_open(&disk, &Process::after(&dead), mode).unwrap());
        assert_eq!(lock_files(&disk), [""; 0]);
    }
}

#[test]
fn strangers_are_never_judged() {
    for name in [FOREIGN, "myhost@1.15207-zz", "no lock at all", "test@0a1b-2c3d.7-0"] {
        let disk = new();
        let directory = Path::new(PATH).join("lock.exclusive");
        disk.create_dir(&directory).unwrap();
        disk.create(&directory.join(name)).unwrap();
        for mode in [Mode::Shared, Mode::Exclusive] {
            assert!(try_open(&disk, &Process::new(), mode).is_err(), "{name}");
        }
        assert!(disk.metadata(&directory.join(name)).is_ok());
        assert!(break_lock(&disk, Path::new(PATH)).unwrap());
        drop(try_open(&disk, &Process::new(), Mode::Exclusive).unwrap());
    }
    let disk = new();
    write(&disk, "lock.roster", r#"{"shared": [["myhost@1", 15207, 0]], "exclusive": [["other@2", 1, 0]]}"#);
    assert_eq!(try_open(&disk, &Process::new(), Mode::Exclusive).err().unwrap(), "myhost@1 (process 15207), reading");
    drop(try_open(&disk, &Process::new(), Mode::Shared).unwrap());
    let kept = roster(&disk).unwrap();
    assert_eq!(kept, r#"{"exclusive":[["other@2",1,0]],"shared":[["myhost@1",15207,0]]}"#);
}

#[test]
fn an_empty_lock_directory_belongs_to_nobody() {
    let disk = new();
    disk.create_dir(&Path::new(PATH).join("lock.exclusive")).unwrap();
    drop(try_open(&disk, &Process::new(), Mode::Exclusive).unwrap());
    assert_eq!(lock_files(&disk), [""; 0]);
}

#[test]
fn an_unreadable_roster_stands_for_readers_nobody_knows() {
    let whole = r#"{"shared": [["myhost@1", 15207, 0]]}"#;
    let torn = (0..whole.len()).map(|len| whole[..len].to_owned());
    for content in torn.chain(["[]".into(), r#"{"readers": []}"#.into(), "\u{0}\u{0}\u{0}".into()]) {
        let disk = new();
        write(&disk, "lock.roster", &content);
        for mode in [Mode::Shared, Mode::Exclusive] {
            let holder = try_open(&disk, &Process::new(), mode).err().unwrap();
            assert!(holder.contains("unknown readers") && holder.contains("break-lock"), "{content:?}: {holder}");
        }
        assert_eq!(roster(&disk).unwrap(), content, "left as it was");
        assert!(break_lock(&disk, Path::new(PATH)).unwrap());
        drop(try_open(&disk, &Process::new(), Mode::Exclusive).unwrap());
    }
    // Nobody at all, and as stock leaves it.
    let disk = new();
    assert!(!break_lock(&disk, Path::new(PATH)).unwrap());
    write(&disk, "lock.roster", r#"{"shared": [], "exclusive": []}"#);
    assert!(!break_lock(&disk, Path::new(PATH)).unwrap() && roster(&disk).is_none());
}

/// Waits for the lock while something happens as soon as a holder is named. Returns how it ended, how long it took,
/// and who was named.
fn wait(
    disk: &MemoryDisk,
    limit: Option<Duration>,
    stop: &Stop,
    happens: impl FnOnce() + Send + 'static,
) -> (Result<LocalRepository, RepositoryError>, Duration, Vec<Holder>) {
    let clock = Arc::new(ManualClock::at("2026-11-06T12:00:00Z"));
    let (told, happens) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(Some(happens)));
    let tell = Arc::clone(&told);
    let on_wait = move |holder: &Holder| {
        tell.lock().unwrap().push(holder.clone());
        if let Some(happens) = happens.lock().unwrap().take() {
            happens();
        }
    };
    let options = OpenOptions {
        mode: Mode::Exclusive,
        wait: limit,
        on_wait: Some(Arc::new(on_wait)),
        identity: Process::new(),
        clock: Arc::<ManualClock>::clone(&clock),
        stop: stop.clone(),
    };
    let result = LocalRepository::open(Arc::new(disk.clone()), Path::new(PATH), &options);
    let told = told.lock().unwrap().clone();
    (result, clock.monotonic(), told)
}

#[test]
fn a_wait_ends_when_the_lock_is_free_or_time_is_up_or_a_stop_is_asked_for() {
    let disk = new();
    let holder = Process::new();
    let held = || try_open(&disk, &holder, Mode::Exclusive).unwrap();
    let named = [Holder::Exclusive(holder.own())];
    let poll = Duration::from_millis(200);

    let repository = held();
    let (result, waited, told) = wait(&disk, None, &Stop::default(), move || drop(repository));
    assert!(result.is_ok());
    assert_eq!((waited, &told[..]), (poll, &named[..]));
    drop(result);

    let repository = held();
    let (result, waited, told) = wait(&disk, Some(Duration::from_millis(2500)), &Stop::default(), || {});
    match result {
        Err(RepositoryError::LockTimeout { holder, waited_seconds: 2 }) => assert_eq!(holder, named[0].to_string()),
        other => panic!("{:?}", other.map(drop)),
    }
    assert_eq!((waited, &told[..]), (Duration::from_millis(2500), &named[..]));

    let stop = Stop::default();
    let request = stop.clone();
    let (result, waited, _) = wait(&disk, None, &stop, move || request.request());
    assert!(matches!(result, Err(RepositoryError::Stopped)));
    assert_eq!(waited, poll);
    drop(repository);
    assert_eq!(lock_files(&disk), [""; 0]);
}

#[test]
fn a_holder_who_stays_is_named_every_hour() {
    let disk = new();
    let holder = Process::new();
    let _held = try_open(&disk, &holder, Mode::Exclusive).unwrap();
    let (result, _, told) = wait(&disk, Some(Duration::from_mins(150)), &Stop::default(), || {});
    assert!(matches!(result, Err(RepositoryError::LockTimeout { .. })));
    assert_eq!(told, [(); 3].map(|()| Holder::Exclusive(holder.own())));
}

#[test]
fn a_new_holder_is_named_again() {
    let disk = new();
    let [first, second] = [(); 2].map(|()| Process::new());
    let repository = try_open(&disk, &first, Mode::Exclusive).unwrap();
    let (disk_then, second_then) = (disk.clone(), Arc::clone(&second));
    let (result, _, told) = wait(&disk, Some(Duration::from_secs(6)), &Stop::default(), move || {
        drop(repository);
        std::mem::forget(try_open(&disk_then, &second_then, Mode::Shared).unwrap());
    });
    assert!(matches!(result, Err(RepositoryError::LockTimeout { .. })));
    assert_eq!(told, [Holder::Exclusive(first.own()), Holder::Readers(vec![second.own()])]);
}

#[test]
fn a_replay_by_a_reader_is_saved_if_it_is_alone() {
    let disk = new();
    put(&open(&disk, Path::new(PATH), Mode::Exclusive).unwrap(), &[(id(1), object(1, 10))]);
    let index = Path::new(PATH).join("index.1");
    let there = || disk.metadata(&index).is_ok();
    disk.remove_file(&index).unwrap();

    let others = try_open(&disk, &Process::new(), Mode::Shared).unwrap();
    let reader = try_open(&disk, &Process::new(), Mode::Shared).unwrap();
    assert_eq!(reader.ids().unwrap(), [id(1)], "in memory, beside others");
    assert!(!there());
    drop((others, reader));
    let without = try_open(&disk, &Process::new(), Mode::WithoutLock).unwrap();
    assert_eq!(without.ids().unwrap(), [id(1)]);
    assert!(!there());

    let reader = try_open(&disk, &Process::new(), Mode::Shared).unwrap();
    assert_eq!(reader.ids().unwrap(), [id(1)]);
    assert!(there());
    // It has become a reader again, beside whom others may read.
    drop(try_open(&disk, &Process::new(), Mode::Shared).unwrap());
    assert!(try_open(&disk, &Process::new(), Mode::Exclusive).is_err());
    drop(reader);
    assert_eq!(lock_files(&disk), [""; 0]);
}

#[test]
fn taking_a_lock_fails_at_any_call_and_leaves_none() {
    for mode in [Mode::Shared, Mode::Exclusive] {
        for call in 1.. {
            let disk = new();
            let process = Process::new();
            disk.fail(Some(Fault { call, kind: std::io::ErrorKind::StorageFull, for_ever: false }));
            let result = open_as(&process, &disk, Path::new(PATH), mode);
            let (failed, calls) = (result.is_err(), disk.calls());
            drop(result);
            // The same process is not locked out by what it left behind, and nobody else is in the end.
            drop(try_open(&disk, &process, Mode::Exclusive).unwrap_or_else(|holder| panic!("call {call}: {holder}")));
            drop(try_open(&disk, &Process::after(&process), Mode::Exclusive).unwrap());
            if !failed && calls < call {
                assert!(call > 6);
                break;
            }
        }
    }
}

#[test]
fn who_dies_while_taking_a_lock_leaves_nothing_that_is_not_cleared() {
    for call in 1..=8 {
        let disk = new();
        let dead = Process::new();
        disk.fail(Some(Fault { call, kind: std::io::ErrorKind::Other, for_ever: true }));
        drop(open_as(&dead, &disk, Path::new(PATH), Mode::Exclusive));
        let disk = disk.after_kill();
        drop(try_open(&disk, &Process::after(&dead), Mode::Exclusive).unwrap());
        assert_eq!(lock_files(&disk), [""; 0], "call {call}");
    }
}

#[test]
fn stock_reads_our_names_as_another_hosts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    let process = Process::new();
    let options = options(Mode::Exclusive, &process);
    let repository = LocalRepository::open(Arc::new(OsDisk), &path, &options).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(path.join("lock.exclusive")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [std::ffi::OsString::from(format!("test@0a1b-2c3d.7-{:x}", process.own().thread))]);
    drop(repository);
    assert!(!path.join("lock.exclusive").exists() && !path.join("lock.roster").exists());
}

#[test]
fn nothing_is_locked_or_broken_where_no_repository_is() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    assert!(matches!(break_lock(&OsDisk, &missing), Err(RepositoryError::DoesNotExist(_))));
    assert!(matches!(open(&OsDisk, directory.path(), Mode::Exclusive), Err(RepositoryError::DoesNotExist(_))));
    std::fs::write(directory.path().join("world.dat"), "x").unwrap();
    assert!(matches!(open(&OsDisk, directory.path(), Mode::Exclusive), Err(RepositoryError::NotARepository { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
