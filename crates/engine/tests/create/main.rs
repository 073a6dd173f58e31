//! Making archives: what is committed on the way, and what the game does to the tree meanwhile.

mod broken;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod live_tree;
mod planned;
mod roots;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::{Clock, Disk, FileFormat, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::{
    CreateError, CreateOptions, Created, Destination, ExtractOptions, Monitor, NoKeyFiles, Session, SessionOptions,
    Silent, StateDir, create, delete, extract,
};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::weak_key::weaken;

use crate::common::referenced;

/// A file that nobody can read, root included: it can only be written to.
const UNREADABLE: &str = "/sys/bus/platform/drivers_probe";

/// A world and a repository in memory.
struct House {
    folder: TempDir,
    repository: MemoryRepository,
    clock: Arc<ManualClock>,
    formats: &'static [&'static dyn FileFormat],
    cuts: &'static [&'static dyn FileFormat],
    chunker_params: ChunkerParams,
}

impl House {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z").ticking());
        let chunker_params = "fixed,65536".parse().unwrap();
        let house =
            Self { folder, repository: MemoryRepository::new(1), clock, formats: &[], cuts: &[], chunker_params };
        tree::world(&house.world(), 40, "checkpoints");
        tree::write(&house.world().join("region/long"), &sha_stream("long", 1_500_000));
        let repository = Box::new(house.repository.clone());
        Session::initialize(repository, EncryptionMode::RepokeyBlake2, &house.options(&house.state())).unwrap();
        // It is opened very often.
        let mut store = house.repository.store();
        store.key = weaken(store.key.as_deref().unwrap(), "correct horse");
        drop(store);
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
        self.watched_backup(interval, &Silent)
    }

    fn watched_backup(&self, interval: u64, monitor: &dyn Monitor) -> Result<Created, CreateError> {
        self.backup_of(vec![self.world()], interval, monitor)
    }

    fn backup_of(&self, sources: Vec<PathBuf>, interval: u64, monitor: &dyn Monitor) -> Result<Created, CreateError> {
        self.clock.advance(Duration::from_hours(1));
        let options = CreateOptions {
            checkpoint_interval: Duration::from_secs(interval),
            chunker_params: self.chunker_params,
            sealers: 2,
            formats: self.formats,
            cuts: self.cuts,
            ..CreateOptions::new("mc", sources)
        };
        create(&mut self.open(), &options, monitor)
    }

    fn names(&self) -> Vec<String> {
        self.open().archives().iter().map(|archive| archive.name.to_string()).collect()
    }

    /// What an archive remarks on itself.
    fn comment(&self, created: &Created) -> String {
        let session = self.open();
        let archive = session.open_archive(&session.archive_info(&created.name).unwrap()).unwrap();
        String::from_utf8(archive.metadata.comment.clone().unwrap()).unwrap()
    }

    /// Requires that the repository holds what its archives refer to, and nothing else.
    #[track_caller]
    fn assert_nothing_missing_or_left_over(&self, case: &str) {
        let referenced = referenced(&self.open());
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
        let stats =
            extract(&session, &archive, Destination::Directory(target.path()), &ExtractOptions::default(), &Silent)
                .unwrap();
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
