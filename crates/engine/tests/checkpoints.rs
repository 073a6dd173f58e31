//! What is committed while an archive is made: a run may end anywhere, and nothing is lost, left over or counted wrongly.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use worldkeeper_core::{Clock, Disk, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::{
    CreateError, CreateOptions, Created, ExtractOptions, NoKeyFiles, Session, SessionOptions, Silent, StateDir, create,
    delete, extract, series,
};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;

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

/// A world and a repository in memory.
struct House {
    folder: TempDir,
    repository: MemoryRepository,
    clock: Arc<Ticking>,
}

impl House {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(Ticking(ManualClock::at("2030-01-01T00:00:00Z")));
        let house = Self { folder, repository: MemoryRepository::new(1), clock };
        tree::world(&house.world(), 40, "checkpoints");
        tree::write(&house.world().join("region/long"), &sha_stream("long", 1_500_000));
        let repository = Box::new(house.repository.clone());
        Session::initialize(repository, EncryptionMode::RepokeyBlake2, &house.options(&house.state())).unwrap();
        house
    }

    fn world(&self) -> PathBuf {
        self.folder.path().join("world")
    }

    fn state(&self) -> StateDir {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        StateDir::open(disk, &self.folder.path().join("state"), "test").unwrap()
    }

    fn options<'a>(&self, state: &'a StateDir) -> SessionOptions<'a> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        SessionOptions {
            state,
            key_store: &NoKeyFiles,
            passphrase: Some("correct horse"),
            clock,
            stop: Stop::default(),
        }
    }

    fn open(&self) -> Session {
        Session::open(Box::new(self.repository.clone()), &self.options(&self.state())).unwrap()
    }

    /// Makes an archive; a checkpoint is due whenever `interval` looks at the clock are over.
    fn backup(&self, interval: u64) -> Result<Created, CreateError> {
        self.clock.0.advance(Duration::from_hours(1));
        let options = CreateOptions {
            checkpoint_interval: Duration::from_secs(interval),
            chunker_params: "fixed,65536".parse().unwrap(),
            sealers: 2,
            ..CreateOptions::new("mc", [self.world()])
        };
        create(&mut self.open(), &options, &Silent)
    }

    fn names(&self) -> Vec<String> {
        self.open().archives().iter().map(|archive| archive.name.to_string()).collect()
    }

    /// Requires that the repository holds what its archives refer to, and nothing else.
    #[track_caller]
    fn assert_nothing_missing_or_left_over(&self, case: &str) {
        let session = self.open();
        let mut referenced = BTreeSet::new();
        for archive in session.archives() {
            let open = session.open_archive(&archive).unwrap();
            referenced.insert(archive.id);
            referenced.extend(open.metadata.items.iter().copied());
            for item in session.items(&open) {
                referenced.extend(item.unwrap().chunks.iter().flatten().map(|chunk| chunk.id));
            }
        }
        assert!(
            self.repository.chunk_ids() == referenced,
            "{case}: the repository holds other chunks than its archives"
        );
    }

    /// Restores an archive and compares it with the world, byte by byte.
    #[track_caller]
    fn assert_restores(&self, created: &Created) {
        let session = self.open();
        let target = TempDir::new().unwrap();
        let archive = session.open_archive(&session.archive_info(&created.name).unwrap()).unwrap();
        let stats = extract(&session, &archive, target.path(), &ExtractOptions::default(), &Silent).unwrap();
        assert!(!stats.has_warnings(), "{stats:?}");
        tree::assert_same(&self.world(), &target.path().join(self.world().strip_prefix("/").unwrap()));
    }

    /// Requires that the counts of references are right: when all archives are gone, nothing is left.
    #[track_caller]
    fn assert_all_can_go(&self, case: &str) {
        let mut session = self.open();
        let names: Vec<_> = session.archives().into_iter().map(|archive| archive.name).collect();
        delete(&mut session, &names, &Silent).unwrap();
        assert!(self.repository.chunk_ids().is_empty(), "{case}");
    }
}

#[test]
fn checkpoints_leave_no_trace_in_the_archive() {
    let (plain, saved) = (House::new(), House::new());
    let expected = plain.backup(0).unwrap();
    let created = saved.backup(1).unwrap();
    assert_eq!(saved.names(), [created.name.to_string()]);
    assert_eq!((created.stats.size, created.stats.files()), (expected.stats.size, expected.stats.files()));
    assert!(saved.repository.store().put.len() > plain.repository.store().put.len() + 50, "there were checkpoints");
    let session = saved.open();
    let archive = session.open_archive(&session.archives()[0]).unwrap();
    assert!(session.items(&archive).all(|item| item.unwrap().part.is_none()));
    saved.assert_nothing_missing_or_left_over("after the archive");
    saved.assert_restores(&created);
    // The next run knows all: it reads no file, and saves nothing on the way.
    let again = saved.backup(1).unwrap();
    assert_eq!((again.stats.files_unchanged, again.stats.read_bytes), (again.stats.files(), 0));
    saved.assert_all_can_go("after two archives");
}

#[test]
fn gate_a_run_that_is_cut_off_loses_what_came_after_the_last_checkpoint() {
    let whole = {
        let house = House::new();
        let _ = house.backup(3).unwrap();
        house.repository.store().put.len() as u64
    };
    let samples = gate::amount(6, 400) as u64;
    let mut resumed = 0;
    for cut in (1..=samples).map(|sample| sample * whole / (samples + 1)) {
        let case = format!("cut off after {cut} changes");
        let house = House::new();
        house.repository.store().restart_counting();
        house.repository.store().fail_after = Some(cut);
        let Err(_) = house.backup(3) else { panic!("{case}: it ended well") };
        house.repository.store().fail_after = None;
        let names = house.names();
        assert!(names.len() <= 1 && names.iter().all(|name| series::is_checkpoint_of(name, "mc")), "{case}: {names:?}");
        house.assert_nothing_missing_or_left_over(&case);

        let before = house.repository.store().put.len();
        let created = house.backup(0).unwrap();
        if !names.is_empty() {
            resumed += 1;
            // A file whose content a checkpoint had is not stored again.
            let again = (house.repository.store().put.len() - before) as u64;
            assert!(again + 8 < whole, "{case}: {again} of {whole} objects were put");
        }
        assert_eq!(house.names(), [created.name.to_string()], "{case}");
        house.assert_nothing_missing_or_left_over(&case);
        house.assert_restores(&created);
        house.assert_all_can_go(&case);
    }
    assert!(resumed * 2 > samples, "only {resumed} of {samples} runs had a checkpoint");
}
