//! The operations over a repository in memory: what stays, what goes, what is noticed.

#[path = "../common/mod.rs"]
mod common;
mod trust;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use worldkeeper_archive::ArchiveName;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::{Clock, Disk, RepositoryError, Stop};
use worldkeeper_crypto::{EncryptionMode, KeyBlobError};
use worldkeeper_engine::prune::{self, Count, Period, Rules};
use worldkeeper_engine::{
    CreateError, CreateOptions, Created, DeleteError, Destination, ExtractError, ExtractOptions, ExtractStats, Monitor,
    NoKeyFiles, Notice, Progress, Rebuilding, RestoreOptions, Session, SessionError, SessionOptions, Silent, StateDir,
    Suspicion, Trust, create, delete, extract,
};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::{Fault, MemoryDisk};
use worldkeeper_testkit::memory_repository::{Connection, MemoryRepository};
use worldkeeper_testkit::tree;

use crate::common::referenced;

const PASSPHRASE: &str = "correct horse";

/// A world, a state directory and a repository in memory.
struct House {
    folder: TempDir,
    repository: MemoryRepository,
    clock: Arc<ManualClock>,
    stop: Stop,
}

impl House {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        tree::world(&folder.path().join("world"), 40, "operations");
        let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00.123456789Z"));
        Self { folder, repository: MemoryRepository::new(1), clock, stop: Stop::default() }
    }

    /// A house whose repository is initialised.
    fn ready(mode: EncryptionMode) -> Self {
        let house = Self::new();
        let state = house.state();
        Session::initialize(Box::new(house.repository.clone()), mode, &house.options(&state)).unwrap();
        house
    }

    fn world(&self) -> PathBuf {
        self.folder.path().join("world")
    }

    fn state(&self) -> StateDir {
        self.state_at("state")
    }

    fn state_at(&self, name: &str) -> StateDir {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        StateDir::open(disk, &self.folder.path().join(name), "test").unwrap()
    }

    fn options<'a>(&self, state: &'a StateDir) -> SessionOptions<'a> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        SessionOptions { state, key_store: &NoKeyFiles, passphrase: Some(PASSPHRASE), clock, stop: self.stop.clone() }
    }

    fn open(&self) -> Session {
        self.try_open(&self.repository).unwrap()
    }

    fn try_open(&self, repository: &MemoryRepository) -> Result<Session, SessionError> {
        Session::open(Box::new(repository.clone()), &self.options(&self.state()))
    }

    fn create_options(&self) -> CreateOptions {
        CreateOptions {
            left_out_names: vec!["session.lock".into()],
            cmdline: vec![b"worldkeeper".to_vec()],
            hostname: "host".into(),
            sealers: 2,
            ..CreateOptions::new("mc", [self.world()])
        }
    }

    /// Makes an archive an hour after the last one.
    fn backup(&self) -> Created {
        self.clock.advance(Duration::from_hours(1));
        create(&mut self.open(), &self.create_options(), &Silent).unwrap()
    }

    /// Restores an archive and compares it with the world.
    fn assert_restores(&self, archive: &ArchiveName, expected: &Path) {
        let session = self.open();
        let target = TempDir::new().unwrap();
        let archive = session.open_archive(&session.archive_info(archive).unwrap()).unwrap();
        let options = ExtractOptions {
            openers: 2,
            restore: RestoreOptions { devices: true, setuid: true, ..RestoreOptions::default() },
            ..ExtractOptions::default()
        };
        let stats = extract(&session, &archive, Destination::Directory(target.path()), &options, &Silent).unwrap();
        assert!(!stats.has_warnings(), "{stats:?}");
        tree::assert_same(expected, &target.path().join(expected.strip_prefix("/").unwrap()));
    }

    /// Requires that the repository holds what its archives refer to, and nothing else.
    fn assert_nothing_missing_or_left_over(&self) {
        let referenced = referenced(&self.open());
        assert_eq!(self.repository.chunk_ids(), referenced);
    }
}

/// Collects notices as text.
#[derive(Default)]
struct Notices(Mutex<Vec<String>>);

impl Monitor for Notices {
    fn notice(&self, notice: Notice<'_>) {
        self.0.lock().unwrap().push(format!("{notice:?}"));
    }

    fn progress(&self, _: Progress) {}

    fn rebuilding(&self, Rebuilding { what, archives, done, references }: Rebuilding) {
        self.0.lock().unwrap().push(format!("{what}: {done} of {archives}, {}", references.min(1)));
    }
}

#[test]
fn what_is_archived_is_restored_in_every_mode() {
    for mode in [EncryptionMode::None, EncryptionMode::Repokey, EncryptionMode::RepokeyBlake2] {
        let house = House::ready(mode);
        let created = house.backup();
        assert_eq!(created.name.to_string(), "mc-2030-01-01T01:00:00");
        assert_eq!(created.stats.files_new, created.stats.files());
        house.assert_restores(&created.name, &house.world());
        house.assert_nothing_missing_or_left_over();
    }
}

#[test]
fn whoever_waits_for_an_index_hears_how_far_it_is() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    tree::write(&house.world().join("long"), &vec![7; 100_000]);
    let options = CreateOptions { chunker_params: ChunkerParams::fixed(64, 0).unwrap(), ..house.create_options() };
    let backup = |monitor: &dyn Monitor| {
        house.clock.advance(Duration::from_hours(1));
        create(&mut house.open(), &options, monitor).unwrap();
    };
    backup(&Silent);
    backup(&Silent);
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    let notices = Notices::default();
    backup(&notices);
    let told = notices.0.into_inner().unwrap();
    let begun = told.iter().position(|told| told.starts_with("Rebuilding")).unwrap();
    let mut far: Vec<_> = told[begun + 1..].iter().filter(|told| told.starts_with("chunk index")).cloned().collect();
    let all = far.len();
    far.dedup();
    assert_eq!(far, ["0 of 2", "1 of 2", "2 of 2"].map(|done| format!("chunk index: {done}, 1")));
    assert!(all > 3, "an archive with thousands of chunks is told once only");
    // What is at hand is not made anew.
    let notices = Notices::default();
    backup(&notices);
    assert_eq!(notices.0.into_inner().unwrap(), [] as [String; 0]);
}

#[test]
fn a_link_that_leads_out_of_the_sources_is_told() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    for (name, target) in [("level", "level.dat"), ("overworld", "/mnt/fast/overworld")] {
        std::os::unix::fs::symlink(target, house.world().join(name)).unwrap();
    }
    let notices = Notices::default();
    create(&mut house.open(), &house.create_options(), &notices).unwrap();
    let told = notices.0.into_inner().unwrap();
    let told: Vec<_> = told.iter().filter(|told| told.starts_with("LeadsOut")).collect();
    let [told] = told[..] else { panic!("{told:?}") };
    assert!(told.contains(r#"world/overworld", target: "/mnt/fast/overworld", more: 0"#), "{told}");
}

#[test]
fn a_commit_is_believed_when_it_was_read_back() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let before = house.backup();
    house.repository.store().keeps_manifest = true;
    house.clock.advance(Duration::from_hours(1));
    let error = create(&mut house.open(), &house.create_options(), &Silent).unwrap_err();
    assert!(matches!(error, CreateError::Session(SessionError::NotReadBack)), "{error}");
    house.repository.store().keeps_manifest = false;
    let after = house.backup();
    let names: Vec<_> = house.open().archives().into_iter().map(|archive| archive.name).collect();
    assert_eq!(names, [before.name, after.name.clone()]);
    house.assert_restores(&after.name, &house.world());
}

#[test]
fn a_commit_that_was_acknowledged_stands_when_the_connection_is_lost_before_it_is_read_back() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let before = house.backup();
    std::fs::write(house.world().join("more"), "is stored").unwrap();
    house.repository.store().connection = Connection::LostAfterCommit;
    let after = house.backup();
    let connection = std::mem::take(&mut house.repository.store().connection);
    assert_eq!(connection, Connection::Lost, "nothing was read after the commit");
    let names: Vec<_> = house.open().archives().into_iter().map(|archive| archive.name).collect();
    assert_eq!(names, [before.name, after.name.clone()]);
    house.assert_restores(&after.name, &house.world());
    // Its caches are as good as those of any other.
    house.clock.advance(Duration::from_hours(1));
    let notices = Notices::default();
    let next = create(&mut house.open(), &house.create_options(), &notices).unwrap();
    assert_eq!(notices.0.into_inner().unwrap(), [] as [String; 0]);
    assert_eq!(next.stats.files_unchanged, after.stats.files());
    house.assert_nothing_missing_or_left_over();
}

#[test]
fn what_a_repository_drops_is_missed_in_the_same_run_and_stored_by_the_next() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    // All of them, and then one: of a tree as small as this one every object is read back.
    for each in [1, 1000] {
        house.repository.store().drops_each = Some(each);
        let error = create(&mut house.open(), &house.create_options(), &Silent).unwrap_err();
        assert!(matches!(error, CreateError::Session(SessionError::NotStored(_))), "{error}");
        house.repository.store().drops_each = None;
        house.clock.advance(Duration::from_hours(1));
        let after = house.backup();
        house.assert_restores(&after.name, &house.world());
        std::fs::write(house.world().join("more"), format!("changes {each}")).unwrap();
    }
}

#[test]
fn an_unchanged_tree_adds_only_the_archive_itself() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let first = house.backup();
    let second = house.backup();
    assert_eq!(second.stats.files_unchanged, first.stats.files());
    assert_eq!(second.stats.read_bytes, 0);
    assert_eq!(second.stats.stored_objects, 1, "the archive's metadata: {:?}", second.stats);
    house.assert_restores(&second.name, &house.world());
}

#[test]
fn a_changed_file_is_read_again_and_the_rest_is_not() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    std::fs::write(house.world().join("level.dat"), b"changed").unwrap();
    let second = house.backup();
    assert_eq!(second.stats.files_changed + second.stats.files_new, 1, "{:?}", second.stats);
    house.assert_restores(&second.name, &house.world());
}

/// Extended attributes are not asked for where it is known that there are none.
#[test]
fn attributes_stay_where_nothing_changed_and_are_seen_when_somebody_sets_some() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let set = |name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(house.world().join(name), "user.world", value, flags).unwrap();
    };
    for name in ["level.dat", "level.dat_old"] {
        std::fs::write(house.world().join(name), name).unwrap();
    }
    set("level.dat", b"old");
    for (files_changed, change) in [
        (0, &(|| {}) as &dyn Fn()),
        (1, &|| set("level.dat", b"new")),
        (1, &|| set("level.dat_old", b"first")),
        (1, &|| rustix::fs::removexattr(house.world().join("level.dat"), "user.world").unwrap()),
        (0, &|| {}),
    ] {
        house.backup();
        change();
        let created = house.backup();
        assert_eq!(created.stats.files_changed, files_changed, "{:?}", created.stats);
        house.assert_restores(&created.name, &house.world());
        house.assert_restores(&house.backup().name, &house.world());
    }
}

/// The repository in memory watches over the counter in all of these tests; here it is seen that it does.
#[test]
fn no_counter_value_is_ever_used_twice() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    for round in 0..4 {
        std::fs::write(house.world().join("level.dat"), format!("round {round}")).unwrap();
        house.backup();
    }
    assert!(house.repository.counters().objects() > 40, "{}", house.repository.counters().objects());
}

#[test]
fn a_failing_repository_leaves_the_old_archives_and_the_next_run_succeeds() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let first = house.backup();
    let before = house.repository.chunk_ids();
    for limit in 0.. {
        tree::write(&house.world().join("new.dat"), format!("content {limit}").as_bytes());
        let mut session = house.open();
        let failing = MemoryRepository::clone(&house.repository);
        let done = {
            let mut store = failing.store();
            store.fail_after = Some(limit);
            store.restart_counting();
            drop(store);
            create(&mut session, &house.create_options(), &Silent)
        };
        house.repository.store().fail_after = None;
        match done {
            Ok(_) => break,
            Err(CreateError::Session(SessionError::Repository(RepositoryError::Other(_)))) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(house.repository.chunk_ids(), before, "limit {limit}");
        assert_eq!(house.open().archives().len(), 1);
    }
    house.assert_restores(&house.backup().name, &house.world());
    house.assert_nothing_missing_or_left_over();
    drop(first);
}

#[test]
fn deleting_leaves_nothing_over_and_takes_nothing_that_is_needed() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let mut names = Vec::new();
    for round in 0..4 {
        tree::write(&house.world().join(format!("only-in-{round}")), format!("round {round}").as_bytes());
        names.push(house.backup().name);
    }
    delete(&mut house.open(), &[names[1].clone(), names[0].clone(), names[1].clone()], &Silent).unwrap();
    house.assert_nothing_missing_or_left_over();
    house.assert_restores(&names[3], &house.world());
    // With the state lost, the index comes from the archives.
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    delete(&mut house.open(), std::slice::from_ref(&names[2]), &Silent).unwrap();
    house.assert_nothing_missing_or_left_over();
    house.assert_restores(&names[3], &house.world());
}

#[test]
fn deleting_an_archive_that_is_not_there_deletes_nothing() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let name = house.backup().name;
    let wrong = ArchiveName::from_bytes(*b"mc-other");
    let error = delete(&mut house.open(), &[name.clone(), wrong.clone()], &Silent).unwrap_err();
    assert!(matches!(error, DeleteError::NoSuchArchive(missing) if missing == wrong));
    house.assert_restores(&name, &house.world());
}

#[test]
fn pruning_touches_its_own_series_only() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    for _ in 0..3 {
        house.backup();
    }
    let other = CreateOptions { series: "mc-creative".into(), ..house.create_options() };
    create(&mut house.open(), &other, &Silent).unwrap();
    let mut session = house.open();
    let rules = Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(1))] };
    let plan =
        prune::plan_series(&session, "mc", &BTreeSet::new(), &rules, house.clock.now(), &jiff::tz::TimeZone::UTC)
            .unwrap()
            .decisions;
    assert_eq!(plan.len(), 3);
    assert_eq!(prune::prune(&mut session, &plan, &Silent).unwrap().archives, 2);
    let left: Vec<_> = session.archives().iter().map(|archive| archive.name.to_string()).collect();
    assert_eq!(left, ["mc-2030-01-01T03:00:00", "mc-creative-2030-01-01T03:00:00"]);
    drop(session);
    house.assert_nothing_missing_or_left_over();
}

#[test]
fn with_a_clock_that_went_back_nothing_is_pruned() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    house.backup();
    house.clock.set_wall("1970-01-01T00:00:00Z".parse().unwrap());
    house.backup();
    let mut session = house.open();
    let rules = Rules { within: None, periods: vec![(Period::Daily, Count::AtMost(1))] };
    let plan =
        prune::plan_series(&session, "mc", &BTreeSet::new(), &rules, house.clock.now(), &jiff::tz::TimeZone::UTC)
            .unwrap()
            .decisions;
    assert!(plan.last().unwrap().keep.is_none(), "the archive that was just made would go");
    let refused = prune::prune(&mut session, &plan, &Silent).unwrap_err();
    assert!(matches!(refused, DeleteError::FromTheFuture { .. }), "{refused:?}");
    assert_eq!(session.archives().len(), 3);
}

#[test]
fn a_full_state_directory_keeps_nobody_from_reading() {
    let house = House::new();
    let disk = MemoryDisk::new();
    let state = StateDir::open(Arc::new(disk.clone()), Path::new("/state"), "test").unwrap();
    let mode = EncryptionMode::RepokeyBlake2;
    Session::initialize(Box::new(house.repository.clone()), mode, &house.options(&state)).unwrap();
    // Somebody else has written since, so there is something to remember.
    let archive = house.backup().name;
    disk.fail(Some(Fault { call: 1, kind: ErrorKind::StorageFull, for_ever: true }));
    let mut session = Session::open(Box::new(house.repository.clone()), &house.options(&state)).unwrap();
    assert!(session.open_archive(&session.archive_info(&archive).unwrap()).is_ok());
    let refused = create(&mut session, &house.create_options(), &Silent).unwrap_err();
    assert!(matches!(refused, CreateError::Session(SessionError::State(_))), "{refused:?}");
}

#[test]
fn a_creation_that_was_cut_short_is_finished() {
    let house = House::new();
    house.repository.store().key = Some("cut short".into());
    assert!(matches!(house.try_open(&house.repository), Err(SessionError::Unfinished(_))));
    let state = house.state();
    let mode = EncryptionMode::RepokeyBlake2;
    Session::initialize(Box::new(house.repository.clone()), mode, &house.options(&state)).unwrap();
    house.assert_restores(&house.backup().name, &house.world());
}

#[test]
fn a_wrong_or_missing_passphrase_is_told_apart() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let state = house.state();
    let open = |passphrase| {
        let options = SessionOptions { passphrase, ..house.options(&state) };
        Session::open(Box::new(house.repository.clone()), &options).map(drop)
    };
    assert!(matches!(open(Some("wrong")), Err(SessionError::Key(KeyBlobError::WrongPassphrase))));
    assert!(matches!(open(None), Err(SessionError::PassphraseNeeded(_))));
}

#[test]
fn a_stop_ends_a_create_and_changes_nothing() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let before = house.repository.chunk_ids();
    house.stop.request();
    let error = create(&mut house.open(), &house.create_options(), &Silent).unwrap_err();
    assert!(matches!(error, CreateError::Session(SessionError::Stopped)), "{error:?}");
    assert_eq!(house.repository.chunk_ids(), before);
}

/// Asks for a stop when so much has been done.
struct StopsAfter {
    steps: AtomicU32,
    stop: Stop,
}

impl Monitor for StopsAfter {
    fn notice(&self, _: Notice<'_>) {}

    fn progress(&self, _: Progress) {
        if self.steps.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stop.request();
        }
    }
}

#[test]
fn directories_get_their_attributes_even_if_not_all_is_restored() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    let session = house.open();
    let archive = session.open_archive(&session.archives()[0]).unwrap();
    let options = ExtractOptions { openers: 2, ..ExtractOptions::default() };
    let target = TempDir::new().unwrap();
    let monitor = StopsAfter { steps: AtomicU32::new(30), stop: house.stop.clone() };
    let error = extract(&session, &archive, Destination::Directory(target.path()), &options, &monitor).unwrap_err();
    assert!(matches!(error, ExtractError::Session(SessionError::Stopped)), "{error:?}");
    let restored = target.path().join(house.world().strip_prefix("/").unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions();
    assert_eq!(mode(&restored), mode(&house.world()));
}

/// Each opener takes several small chunks at a time, and all of them together take the large ones.
const CHUNK_LENS: [u32; 2] = [50_000, 600_000];

/// A house whose world is one file of several chunks, and the archive of it. What is in the file now is newer.
fn house_of_one_file(chunk_len: u32) -> (House, ArchiveName, Vec<u8>) {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    std::fs::remove_dir_all(house.world()).unwrap();
    let content: Vec<u8> =
        (0..2 * chunk_len).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    tree::write(&house.world().join("level.dat"), &content);
    let chunker_params = ChunkerParams::fixed(chunk_len, 0).unwrap();
    let options = CreateOptions { chunker_params, ..house.create_options() };
    let archive = create(&mut house.open(), &options, &Silent).unwrap().name;
    tree::write(&house.world().join("level.dat"), b"newer");
    (house, archive, content)
}

/// Restores an archive over the world.
fn restore_in_place(house: &House, archive: &ArchiveName, monitor: &dyn Monitor) -> Result<ExtractStats, ExtractError> {
    let session = house.open();
    let archive = session.open_archive(&session.archive_info(archive).unwrap()).unwrap();
    let options = ExtractOptions { openers: 2, ..ExtractOptions::default() };
    extract(&session, &archive, Destination::Directory(Path::new("/")), &options, monitor)
}

/// What is in the only file of the world; there must be no other.
fn only_file(house: &House) -> Vec<u8> {
    assert_eq!(std::fs::read_dir(house.world()).unwrap().count(), 1);
    std::fs::read(house.world().join("level.dat")).unwrap()
}

#[test]
fn a_damaged_chunk_leaves_the_file_that_is_there() {
    for chunk_len in CHUNK_LENS {
        let (house, archive, content) = house_of_one_file(chunk_len);
        let chunk = {
            let session = house.open();
            let archive = session.open_archive(&session.archive_info(&archive).unwrap()).unwrap();
            let file = session.items(&archive).map(Result::unwrap).find(|item| item.chunks.is_some()).unwrap();
            file.chunks.unwrap()[4].id
        };
        let whole = house.repository.store().objects[&chunk].clone();
        let mut damaged = whole.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        house.repository.store().objects.insert(chunk, damaged.into());
        let stats = restore_in_place(&house, &archive, &Silent).unwrap();
        assert_eq!((stats.files, stats.failed), (0, 1));
        assert_eq!(only_file(&house), b"newer");
        house.repository.store().objects.insert(chunk, whole);
        assert!(!restore_in_place(&house, &archive, &Silent).unwrap().has_warnings());
        assert_eq!(only_file(&house), content);
    }
}

#[test]
fn a_stop_leaves_the_file_that_is_there_or_the_whole_one_from_the_archive() {
    for chunk_len in CHUNK_LENS {
        let (mut house, archive, content) = house_of_one_file(chunk_len);
        for steps in 1.. {
            let monitor = StopsAfter { steps: AtomicU32::new(steps), stop: house.stop.clone() };
            match restore_in_place(&house, &archive, &monitor) {
                Ok(_) => break,
                Err(ExtractError::Session(SessionError::Stopped)) => {}
                Err(error) => panic!("{error:?}"),
            }
            let found = only_file(&house);
            assert!(found == b"newer" || found == content, "{steps} steps: {} bytes", found.len());
            assert!(steps > 8 || found == b"newer", "there are eight chunks");
            house.stop = Stop::default();
        }
        assert_eq!(only_file(&house), content);
    }
}

#[test]
fn a_missing_source_makes_no_archive() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let options = CreateOptions { sources: vec![house.folder.path().join("nowhere")], ..house.create_options() };
    let error = create(&mut house.open(), &options, &Silent).unwrap_err();
    assert!(matches!(error, CreateError::Source(_)), "{error:?}");
}

#[test]
fn a_lost_chunk_is_noticed_and_stored_again() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let first = house.backup();
    let lost = {
        let session = house.open();
        let archive = session.open_archive(&session.archive_info(&first.name).unwrap()).unwrap();
        let mut chunks = session.items(&archive).flat_map(|item| item.unwrap().chunks.unwrap_or_default());
        chunks.next().unwrap().id
    };
    // Somebody's repair of the repository alone leaves the manifest as it was, and the state knows of nothing.
    for is_state_lost in [true, false] {
        house.repository.store().objects.remove(&lost);
        if is_state_lost {
            std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
        }
        let notices = Notices::default();
        house.clock.advance(Duration::from_hours(1));
        create(&mut house.open(), &house.create_options(), &notices).unwrap();
        let notices = notices.0.into_inner().unwrap();
        assert!(notices.iter().any(|notice| notice.contains("ChunksMissing { count: 1 }")), "{notices:?}");
        assert!(house.repository.chunk_ids().contains(&lost));
        house.assert_restores(&first.name, &house.world());
    }
}
