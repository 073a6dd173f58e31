//! Archives of a tree whose file system does not always answer.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::{Clock, Disk, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::memory_repository::MemoryRepository;

use super::sealer::UnderWay;
use super::writer::Writer;
use super::*;
use crate::cache::{Bare, Look, Next};
use crate::key_store::NoKeyFiles;
use crate::monitor::Silent;
use crate::session::{Committed, SessionOptions};
use crate::source::{SourceRoot, Stat};
use crate::state::StateDir;

/// A clock on which a second passes whenever somebody looks how much time has passed.
struct Ticking(ManualClock);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.advance(Duration::from_secs(1));
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

/// A file system that does not answer about some paths, until it comes back.
#[derive(Clone, Default)]
struct Mount {
    is_back: Arc<(Mutex<bool>, Condvar)>,
}

impl Mount {
    /// The pulse of a reader that hangs from the `nth` question on, counted from one, that `asked` takes.
    fn hangs(&self, nth: usize, asked: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Pulse {
        let (mount, count) = (self.clone(), Mutex::new(0));
        Pulse::with_hook(move |path| {
            let mut seen = count.lock().unwrap();
            *seen += usize::from(asked(path));
            let is_hanging = asked(path) && *seen >= nth;
            drop(seen);
            if is_hanging {
                let (is_back, changed) = &*mount.is_back;
                drop(changed.wait_while(is_back.lock().unwrap(), |is_back| !*is_back).unwrap());
            }
        })
    }

    fn comes_back(&self) {
        let (is_back, changed) = &*self.is_back;
        *is_back.lock().unwrap() = true;
        changed.notify_all();
    }
}

struct House {
    folder: TempDir,
    repository: MemoryRepository,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

impl House {
    fn new() -> Self {
        let clock = Arc::new(Ticking(ManualClock::at("2030-01-01T00:00:00Z")));
        let (folder, repository) = (TempDir::new().unwrap(), MemoryRepository::new(1));
        let house = Self { folder, repository, clock, stop: Stop::default() };
        fs::create_dir_all(house.world().join("region")).unwrap();
        for name in ["level.dat", "region/a", "region/b"] {
            fs::write(house.world().join(name), name.repeat(1000)).unwrap();
        }
        let repository = Box::new(house.repository.clone());
        house.with_session(|options| Session::initialize(repository, EncryptionMode::RepokeyBlake2, options).unwrap());
        house
    }

    fn world(&self) -> PathBuf {
        self.folder.path().join("world")
    }

    fn with_session(&self, open: impl FnOnce(&SessionOptions<'_>) -> Session) -> Session {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let state = StateDir::open(disk, &self.folder.path().join("state"), "test").unwrap();
        let (clock, passphrase, stop) = (Arc::clone(&self.clock), Some("correct horse"), self.stop.clone());
        open(&SessionOptions { state: &state, key_store: &NoKeyFiles, passphrase, clock, stop })
    }

    fn backup(&self, pulse: &Pulse) -> Result<Created, CreateError> {
        self.backup_after(&LeftBehind::default(), pulse)
    }

    /// A backup of a process in which some threads hang already.
    fn backup_after(&self, left_behind: &LeftBehind, pulse: &Pulse) -> Result<Created, CreateError> {
        let repository = Box::new(self.repository.clone());
        let mut session = self.with_session(|options| Session::open(repository, options).unwrap());
        let limit = Duration::from_secs(3);
        let options = CreateOptions { read_timeout: limit, ..CreateOptions::new("mc", [self.world()]) };
        let watch = Watch::new(&session.clock(), &session.stop(), limit, pulse.clone(), left_behind.clone());
        create_watched(&mut session, &options, &Silent, watch)
    }
}

/// A clock that readers find a second ahead, but for the first time that they ask.
#[derive(Default)]
struct Leaping(AtomicBool);

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        let is_reader = std::thread::current().name() == Some("reader");
        let leaps = is_reader && self.0.swap(true, Ordering::Relaxed);
        Timestamp::now() + Duration::from_secs(leaps.into())
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) {}
}

fn is(path: PathBuf) -> impl Fn(&[u8]) -> bool + Send + Sync + 'static {
    move |asked| asked == path.as_os_str().as_bytes()
}

#[test]
fn a_run_ends_if_the_file_system_does_not_answer_and_the_next_one_goes_on() {
    let house = House::new();
    let before = house.repository.chunk_ids();
    // The source itself, before and in the walk; a directory; a file, when it is looked at and when it is opened.
    let cases = [("", 1), ("", 2), ("region", 1), ("region/b", 1), ("region/b", 2)];
    let mount = Mount::default();
    for (name, nth) in cases {
        let path = if name.is_empty() { house.world() } else { house.world().join(name) };
        let error = house.backup(&mount.hangs(nth, is(path.clone()))).unwrap_err();
        let CreateError::Hangs { path: told, seconds: 3 } = &error else { panic!("{name}, {nth}: {error:?}") };
        assert_eq!(Path::new(std::ffi::OsStr::from_bytes(told)), path, "{nth}");
        assert_eq!(house.repository.chunk_ids(), before, "{name}, {nth}: nothing was committed");
    }
    let created = house.backup(&Pulse::default()).unwrap();
    assert_eq!((created.stats.files(), created.stats.warnings()), (3, 0));
    // Whoever hung gets his answer, when all is long over, and touches nothing.
    let after = house.repository.chunk_ids();
    mount.comes_back();
    assert_eq!(house.backup(&Pulse::default()).unwrap().stats.files_unchanged, 3);
    assert!(house.repository.chunk_ids().is_superset(&after));
}

#[test]
fn a_stop_ends_a_run_that_hangs() {
    let house = House::new();
    let mount = Mount::default();
    let (stop, hangs) = (house.stop.clone(), mount.hangs(2, is(house.world().join("level.dat"))));
    let is_asked = is(house.world().join("level.dat"));
    let pulse = Pulse::with_hook(move |path| {
        if is_asked(path) {
            stop.request();
        }
        hangs.at(path);
    });
    let error = house.backup(&pulse).unwrap_err();
    assert!(matches!(&error, CreateError::Session(error) if error.is_stopped()), "{error:?}");
    mount.comes_back();
}

#[test]
fn a_process_in_which_too_many_threads_hang_asks_no_more_until_one_is_answered() {
    let house = House::new();
    let (left_behind, mount) = (LeftBehind::default(), Mount::default());
    let path = house.world().join("region");
    for _ in 0..LeftBehind::MAX {
        let error = house.backup_after(&left_behind, &mount.hangs(1, is(path.clone()))).unwrap_err();
        assert!(matches!(error, CreateError::Hangs { .. }), "{error}");
    }
    let not_asked = Pulse::with_hook(|path| panic!("{} is asked about", path.escape_ascii()));
    let error = house.backup_after(&left_behind, &not_asked).unwrap_err();
    let CreateError::Stuck { count: LeftBehind::MAX, path: told, since } = &error else { panic!("{error}") };
    assert_eq!(Path::new(std::ffi::OsStr::from_bytes(told)), path);
    // From when it was asked, not from when nobody wanted to wait any longer.
    let begun: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    assert!((0..=3).contains(&(*since - begun).get_seconds()), "{since}");

    mount.comes_back();
    while left_behind.require_few().is_err() {
        std::thread::yield_now();
    }
    assert_eq!(house.backup_after(&left_behind, &Pulse::default()).unwrap().stats.files(), 3);
}

#[test]
fn a_question_that_hangs_is_given_up() {
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let clock: Arc<dyn Clock> = Arc::new(Ticking(ManualClock::at("2030-01-01T00:00:00Z")));
    let answer = |work: Box<dyn FnOnce() -> u8 + Send>, limit, stop: &Stop| {
        ask(Path::new("/mnt"), &clock, stop, Duration::from_secs(limit), work)
    };
    let hangs = || {
        let held = held.clone();
        Box::new(move || {
            _ = held.recv();
            0
        })
    };
    assert_eq!(answer(Box::new(|| 7), 1, &Stop::default()).unwrap(), 7);
    let error = answer(hangs(), 2, &Stop::default()).unwrap_err();
    assert_eq!(error.to_string(), "the file system has not answered for 2 s about /mnt");
    let stop = Stop::default();
    stop.request();
    let error = answer(hangs(), 0, &stop).unwrap_err();
    assert!(matches!(&error, CreateError::Session(error) if error.is_stopped()), "{error}");
    drop(hold);
}

/// Where clocks of file systems tick slowly, it may have got attributes since, and its ctime does not show it.
#[test]
fn a_file_that_was_written_to_just_before_it_was_asked_for_attributes_is_not_remembered_as_bare() {
    let mut house = House::new();
    let path = house.world().join("level.dat");
    fs::remove_dir_all(house.world().join("region")).unwrap();
    house.clock = Arc::new(Leaping::default());
    let (is_it, file) = (is(path.clone()), path.clone());
    let is_first = AtomicBool::new(true);
    let written_to = Pulse::with_hook(move |asked| {
        if is_it(asked) && is_first.swap(false, Ordering::Relaxed) {
            fs::write(&file, "new").unwrap();
        }
    });
    house.backup(&written_to).unwrap();

    let repository = Box::new(house.repository.clone());
    let session = house.with_session(|options| Session::open(repository, options).unwrap());
    let files = FilesCache::load(session.state(), session.key(), "mc").unwrap();
    let path = path.as_os_str().as_bytes();
    let key = FilesCache::key_of(session.key(), &SourceRoot::new(path).archive_path(path));
    let stat = Stat::of(rustix::fs::CWD, path).unwrap();
    let look = Look { inode: stat.id.ino, size: stat.size, ctime_ns: stat.ctime_ns };
    assert_eq!(files.unchanged(&key, look, &mut Next::default()).map(|(_, bare, _)| bare), Some(Bare::No));
}

/// Makes checkpoints by hand; `work` has the writer, and says what is there at the end.
fn with_writer<T>(house: &House, work: impl FnOnce(Writer<'_>) -> T) -> (T, Option<Committed>) {
    let repository = Box::new(house.repository.clone());
    let session = house.with_session(|options| Session::open(repository, options).unwrap());
    let options = CreateOptions::new("mc", [house.world()]);
    let name: ArchiveName = "mc-new".parse().unwrap();
    let shared = Shared::new(&session, ChunkIndex::default(), FilesCache::default(), Pulse::default());
    let mut saved = None;
    let checkpoints = Checkpoints::new(&session, Duration::from_secs(1), &name, &shared, &mut saved);
    let archive = Archive { name, start: house.clock.now() };
    let begun = Writer::begin(&session, &options, &shared.index, &shared.budget, &Silent, archive, checkpoints);
    (work(begun.unwrap()), saved)
}

/// Long runs of equal chunks make pieces of the list that are equal, too.
#[test]
fn a_checkpoint_that_refers_to_one_piece_of_its_list_many_times_is_taken_away_once() {
    let house = House::new();
    with_writer(&house, |mut writer| {
        let zeros = ChunkRef { id: ChunkId([7; 32]), size: 65_536, csize: 400 };
        (writer.begun, writer.chunks) = (Some(Box::default()), vec![zeros; 200_000]);
        let mut writer = writer.checkpoint().unwrap();
        (writer.begun, writer.chunks) = (None, Vec::new());
        drop(writer.checkpoint().unwrap());
    });
    let ids = house.repository.chunk_ids();
    assert_eq!(ids.len(), 1, "what the second one refers to, which has no items: {ids:?}");
}

#[test]
fn a_checkpoint_that_was_committed_is_known_even_if_nothing_can_follow_it() {
    let house = House::new();
    let ((), saved) = with_writer(&house, |writer| {
        house.repository.store().begins_none = true;
        assert!(writer.checkpoint().is_err());
    });
    assert!(saved.is_some());
}

#[test]
fn nothing_is_compressed_that_nobody_wants_any_more() {
    let house = House::new();
    let repository = Box::new(house.repository.clone());
    let session = house.with_session(|options| Session::open(repository, options).unwrap());
    let shared = Shared::new(&session, ChunkIndex::default(), FilesCache::default(), Pulse::default());
    let (steps, _done) = crossbeam_channel::unbounded();
    let mut sealer = Sealer::new(&session, &CreateOptions::new("mc", [house.world()]), &shared, steps, 100);
    assert!(matches!(sealer.by_hand(UnderWay::named(0)), Ok(Some(_))), "its MAC is to be made");
    shared.jobs.close();
    assert!(sealer.by_hand(UnderWay::named(1)).is_err());
}
