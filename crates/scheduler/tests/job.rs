//! One backup from beginning to end, on a repository in memory: what is recorded, what is pruned, what is tried again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use tempfile::TempDir;
use worldkeeper_core::{ChunkId, Clock, Disk, Moment, RepositoryError, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::prune::{Count, Period, Rules};
use worldkeeper_engine::{CreateOptions, NoKeyFiles, Session, SessionOptions, Silent, StateDir};
use worldkeeper_scheduler::history::{Checked, Kind, RunOutcome};
use worldkeeper_scheduler::job::{BackupJob, FIRST_WAIT, MOST_RETRIES, OpenError, OpenSession};
use worldkeeper_scheduler::{GameState, History, Job, JobOutcome, Whereabouts};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;

const SERIES: &str = "mc";
const LOCATION: &str = "/memory/1";

/// A file that nobody can read, root included: it can only be written to.
const UNREADABLE: &str = "/sys/bus/platform/drivers_probe";

/// A repository in memory, and how opening it goes.
struct Memory {
    repository: MemoryRepository,
    state: StateDir,
    clock: Arc<ManualClock>,
    /// Why it cannot be opened, and whether it may be tried again soon.
    refused: Option<bool>,
    /// How often it cannot be reached after it was opened once, and how often it was asked for.
    away: Arc<Mutex<(u32, u32)>>,
}

impl OpenSession for Memory {
    fn open(&self, stop: &Stop) -> Result<Session, OpenError> {
        let (away, asked) = &mut *self.away.lock().unwrap();
        *asked += 1;
        if *asked > 1 && *away > 0 {
            *away -= 1;
            let source =
                RepositoryError::Unreachable { location: LOCATION.into(), may_pass: true, source: "no".into() };
            return Err(OpenError::Failed { source: Box::new(source), retry: true });
        }
        if let Some(retry) = self.refused {
            let source = RepositoryError::LockTimeout { holder: "somebody".into(), waited_seconds: 5 };
            return Err(OpenError::Failed { source: Box::new(source), retry });
        }
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let options =
            SessionOptions { state: &self.state, key_store: &NoKeyFiles, passphrase: None, clock, stop: stop.clone() };
        let repository = Box::new(self.repository.clone());
        let session = if self.repository.store().objects.is_empty() {
            Session::initialize(repository, EncryptionMode::None, &options)
        } else {
            Session::open(repository, &options)
        };
        Ok(session.expect("nothing is wrong with it"))
    }

    fn location(&self) -> String {
        LOCATION.into()
    }
}

/// A world, and a repository that keeps one archive of it.
#[expect(clippy::struct_excessive_bools, reason = "each is what a test changes by itself")]
struct House {
    world: TempDir,
    sources: Vec<PathBuf>,
    repository: MemoryRepository,
    disk: MemoryDisk,
    clock: Arc<ManualClock>,
    began: Moment,
    rules: Option<Rules>,
    refused: Option<bool>,
    away: Arc<Mutex<(u32, u32)>>,
    whereabouts: Whereabouts,
    notes_begin: bool,
    is_partial: bool,
    is_presumed: bool,
    /// Whoever runs the job does not come far.
    is_killed: bool,
}

impl House {
    fn new() -> Self {
        Self::under(ManualClock::at("2030-01-01T00:00:00Z"))
    }

    fn under(clock: ManualClock) -> Self {
        let world = TempDir::new().unwrap();
        tree::write(&world.path().join("level.dat"), b"a world");
        let clock = Arc::new(clock);
        Self {
            sources: vec![world.path().to_owned()],
            world,
            repository: MemoryRepository::new(1),
            disk: MemoryDisk::new(),
            began: Moment::now(clock.as_ref()),
            clock,
            rules: Some(Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(1))] }),
            refused: None,
            away: Arc::default(),
            whereabouts: Whereabouts::Here,
            notes_begin: false,
            is_partial: false,
            is_presumed: false,
            is_killed: false,
        }
    }

    fn history(&self) -> History {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        History::new(Arc::new(self.disk.clone()), clock, "/state")
    }

    fn job(&self) -> BackupJob {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (repository, clock) = (self.repository.clone(), Arc::clone(&self.clock));
        let state = StateDir::open(disk, Path::new("/state"), "test").unwrap();
        BackupJob {
            repository: Box::new(Memory {
                repository,
                state,
                clock,
                refused: self.refused,
                away: Arc::clone(&self.away),
            }),
            options: CreateOptions {
                hostname: "host".into(),
                username: "user".into(),
                cwd: b"/".to_vec(),
                sealers: 1,
                ..CreateOptions::new(SERIES, &self.sources)
            },
            rules: self.rules.clone(),
            zone: TimeZone::UTC,
            history: self.history(),
            notes_begin: self.notes_begin,
            is_partial: self.is_partial,
            is_presumed: AtomicBool::new(self.is_presumed),
            whereabouts: {
                let (whereabouts, is_killed) = (self.whereabouts.clone(), self.is_killed);
                Box::new(move || {
                    assert!(!is_killed, "killed");
                    whereabouts.clone()
                })
            },
            hint: |_| Some("do something".into()),
            monitor: Arc::new(Silent),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            began: self.began,
        }
    }

    /// Runs the job an hour after the last one, on a world that has changed.
    fn run(&self) -> JobOutcome {
        self.run_under(&Stop::default())
    }

    fn run_under(&self, stop: &Stop) -> JobOutcome {
        self.clock.advance(Duration::from_hours(1));
        let changed = format!("the world at {}", self.clock.now());
        tree::write(&self.world.path().join("level.dat"), changed.as_bytes());
        self.job().run(stop)
    }

    /// What was recorded.
    fn runs(&self) -> Vec<(Kind, RunOutcome)> {
        let runs = self.history().runs(SERIES, LOCATION).unwrap();
        runs.iter().map(|run| (run.kind, run.outcome)).collect()
    }

    fn archives(&self) -> Vec<String> {
        let session = self.job().repository.open(&Stop::default()).unwrap();
        session.archives().iter().map(|archive| archive.name.to_string()).collect()
    }
}

/// The good archive of an hour.
fn good(hour: u8, warnings: u64) -> JobOutcome {
    JobOutcome::Good { archive: format!("mc-2030-01-01T{hour:02}:00:00"), warnings }
}

#[test]
fn retention_and_compaction_follow_a_good_archive() {
    let house = House::new();
    assert_eq!(house.job().last_good(), None);
    assert_eq!(house.run(), good(1, 0));
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good)], "there was nothing to prune");
    assert_eq!(house.run(), good(2, 0));
    assert_eq!(house.archives(), ["mc-2030-01-01T02:00:00"]);
    let expected = [Kind::Backup, Kind::Backup, Kind::Prune, Kind::Compact].map(|kind| (kind, RunOutcome::Good));
    assert_eq!(house.runs(), expected);
    assert_eq!(house.job().last_good(), Some("2030-01-01T02:00:00Z".parse().unwrap()));
}

#[test]
fn without_rules_everything_stays() {
    let house = House { rules: None, ..House::new() };
    for hour in 1..4 {
        assert_eq!(house.run(), good(hour, 0));
    }
    assert_eq!(house.archives().len(), 3);
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good); 3]);
}

/// The older archives may be the only ones that have what this one lacks.
#[test]
fn nothing_is_pruned_after_an_archive_that_lacks_something() {
    let mut house = House::new();
    assert_eq!(house.run(), good(1, 0));
    house.sources.push(UNREADABLE.into());
    let JobOutcome::Failed { error, retry: false, .. } = house.run() else { panic!("a source could not be read") };
    assert_eq!(error, "archive mc-2030-01-01T02:00:00 was made, but it lacks 1 source wholly that could not be read");
    assert_eq!(house.archives().len(), 2);
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Failed)]);
    assert_eq!(house.job().last_good(), Some("2030-01-01T01:00:00Z".parse().unwrap()));
    // As soon as nothing is amiss, it goes on.
    house.sources.pop();
    assert_eq!(house.run(), good(3, 0));
    assert_eq!(house.archives(), ["mc-2030-01-01T03:00:00"]);
}

#[test]
fn nothing_is_pruned_after_an_archive_without_any_file() {
    let mut house = House::new();
    house.run();
    let empty = TempDir::new().unwrap();
    house.sources = vec![empty.path().to_owned()];
    assert_eq!(house.run(), good(2, 1), "what should be mounted is not");
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Warnings)]);
    assert_eq!(house.archives().len(), 2);
}

/// `backup --source world/region`, by hand, beside the daemon.
#[test]
fn an_archive_of_something_else_is_none_of_the_schedules() {
    let mut house = House::new();
    house.run();
    house.is_partial = true;
    assert!(matches!(house.run(), JobOutcome::Good { .. }));
    assert_eq!(house.job().last_good(), Some("2030-01-01T01:00:00Z".parse().unwrap()));
    let lacking = house.history().lacking(SERIES, LOCATION).unwrap();
    assert_eq!(lacking.into_iter().collect::<Vec<_>>(), ["mc-2030-01-01T02:00:00"], "it takes nobody's place");
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good); 2], "nothing was pruned");
    assert!(matches!(house.run(), JobOutcome::Good { .. }));
    assert_eq!(house.archives().len(), 3);
    house.is_partial = false;
    assert_eq!(house.run(), good(4, 0));
    assert_eq!(house.archives(), ["mc-2030-01-01T04:00:00"]);
}

/// A game that rested for weeks comes back with a world that an update has made anew.
#[test]
fn a_rest_does_not_end_all_that_was_kept_for_some_time() {
    let rules = Rules { within: Some(Duration::from_hours(24)), periods: Vec::new() };
    let house = House { rules: Some(rules), ..House::new() };
    for hour in 1..5 {
        assert_eq!(house.run(), good(hour, 0));
    }
    house.clock.advance(Duration::from_hours(14 * 24));
    assert!(matches!(house.run(), JobOutcome::Good { .. }));
    assert_eq!(house.archives(), ["mc-2030-01-01T03:00:00", "mc-2030-01-01T04:00:00", "mc-2030-01-15T05:00:00"]);
}

/// A volume that is not there all night must not cost the archives of the day before.
#[test]
fn archives_that_are_lacking_take_nobodys_place() {
    let rules = Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(2))] };
    let mut house = House { rules: Some(rules), ..House::new() };
    house.run();
    house.run();
    house.sources.push(UNREADABLE.into());
    house.run();
    house.run();
    house.sources.pop();
    assert_eq!(house.run(), good(5, 0));
    let hours = |house: &House| house.archives().iter().map(|name| name[14..16].to_owned()).collect::<Vec<_>>();
    assert_eq!(
        hours(&house),
        ["02", "04", "05"],
        "the last good one of before is there, and what the rules kept anyhow"
    );
    assert_eq!(house.run(), good(6, 0));
    assert_eq!(hours(&house), ["05", "06"]);
    assert!(house.history().lacking(SERIES, LOCATION).unwrap().is_empty(), "what is gone is forgotten");
}

/// It tells which archives must take no other one's place.
#[test]
fn nothing_is_pruned_while_the_history_cannot_be_read() {
    let house = House::new();
    assert_eq!(house.run(), good(1, 0));
    let folder = Path::new("/state/history");
    for (name, _) in house.disk.list(folder).unwrap() {
        house.disk.remove_file(&folder.join(&name)).unwrap();
        house.disk.create_dir(&folder.join(&name)).unwrap();
    }
    assert_eq!(house.run(), good(2, 1));
    assert_eq!(house.archives().len(), 2);
}

/// An archive says itself that it holds nothing, if the history is lost.
#[test]
fn archives_without_any_file_take_nobodys_place() {
    let rules = Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(2))] };
    let mut house = House { rules: Some(rules), ..House::new() };
    house.run();
    let (empty, world) = (TempDir::new().unwrap(), house.sources.clone());
    house.sources = vec![empty.path().to_owned()];
    house.run();
    house.run();
    house.sources = world;
    house.disk = MemoryDisk::new();
    house.run();
    assert!(house.archives().contains(&"mc-2030-01-01T01:00:00".to_owned()), "{:?}", house.archives());
}

/// Of several sources one that is not mounted would go unnoticed, and the archives that have it would go.
#[test]
fn nothing_is_pruned_while_a_source_is_empty_that_was_not() {
    let mut house = House::new();
    let (plugins, never) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    tree::write(&plugins.path().join("plugin.jar"), b"a plugin");
    house.sources.extend([plugins.path().to_owned(), never.path().to_owned()]);
    assert_eq!(house.run(), good(1, 0), "what never had a file lacks none");
    fs::remove_file(plugins.path().join("plugin.jar")).unwrap();
    for hour in 2..5 {
        assert_eq!(house.run(), good(hour, 1), "however often it was empty");
    }
    assert_eq!(house.archives().len(), 4);
    assert_eq!(house.runs()[1..], [(Kind::Backup, RunOutcome::Warnings); 3]);
    let said = house.history().runs(SERIES, LOCATION).unwrap().pop().unwrap().amiss.unwrap();
    assert!(said.contains(plugins.path().to_str().unwrap()) && said.contains("is it mounted?"), "{said}");
    assert_eq!(house.history().lacking(SERIES, LOCATION).unwrap().len(), 3);
    tree::write(&plugins.path().join("plugin.jar"), b"a plugin");
    assert_eq!(house.run(), good(5, 0));
    assert_eq!(house.archives().len(), 1);
    // Who says that it is right is not asked again.
    fs::remove_file(plugins.path().join("plugin.jar")).unwrap();
    assert_eq!(house.run(), good(6, 1));
    house.sources.truncate(1);
    assert_eq!(house.run(), good(7, 0));
    assert!(!house.archives().contains(&"mc-2030-01-01T01:00:00".to_owned()));
}

/// Whoever makes the index anew is the first to know what the repository has lost.
#[test]
fn what_the_index_finds_lost_is_remembered_as_damage() {
    let mut house = House { rules: None, ..House::new() };
    house.run();
    let mut objects = house.repository.chunk_ids();
    objects.remove(&ChunkId::MANIFEST);
    house.run();
    let whole = house.repository.snapshot();
    assert_eq!(objects.len(), 3, "the archive, its items, and a file");
    let mut known = Vec::new();
    for lost in objects {
        house.repository = whole.snapshot();
        house.repository.store().objects.remove(&lost);
        // The index is lost, too.
        house.disk = MemoryDisk::new();
        let JobOutcome::Good { warnings: 1, .. } = house.run() else { panic!("it is none of this archive's") };
        assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Warnings)]);
        let run = house.history().runs(SERIES, LOCATION).unwrap().pop().unwrap();
        known.push(run.amiss.unwrap());
        // Others go well, and mend nothing.
        house.run();
        let damage = house.history().damage(SERIES, LOCATION).unwrap().expect("nobody has mended it");
        assert_eq!((damage.problems, damage.place), (1, Checked { archives: true, ..Checked::default() }));
    }
    known.sort();
    let unread = "1 archive cannot be read";
    assert_eq!(known, [unread, unread, "the repository lacks 1 chunk that archives refer to"]);
}

#[test]
fn nothing_is_pruned_while_the_game_is_elsewhere() {
    let mut house = House::new();
    assert_eq!(house.run(), good(1, 0));
    let said = |house: &House| {
        let runs = house.history().runs(SERIES, LOCATION).unwrap();
        runs.into_iter().rfind(|run| run.kind == Kind::Backup).unwrap().elsewhere
    };
    let text = "the game uses another volume".to_owned();
    house.whereabouts = Whereabouts::Elsewhere(text.clone());
    assert_eq!(house.run(), good(2, 1));
    assert_eq!(said(&house), Some(text.clone()));
    // One answer that is missing takes nothing back, nor do several, with a run between them that made nothing.
    house.whereabouts = Whereabouts::Unknown;
    assert_eq!(house.run(), good(3, 1));
    house.refused = Some(true);
    assert!(matches!(house.run(), JobOutcome::Failed { .. }));
    house.refused = None;
    assert_eq!(house.run(), good(5, 1));
    assert_eq!(said(&house), Some(text));
    assert_eq!(house.archives().len(), 4);
    assert!(house.runs().iter().all(|(kind, _)| *kind == Kind::Backup), "nothing was pruned");
    house.whereabouts = Whereabouts::Here;
    assert_eq!(house.run(), good(6, 0));
    assert_eq!(house.archives().len(), 1, "what was held back is done now");
    assert_eq!(said(&house), None);
}

/// An engine that is silent for weeks, and a game that rests meanwhile: each archive is a copy of the one before.
#[test]
fn nothing_is_pruned_while_the_game_is_only_presumed_to_run() {
    let rules = Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(2))] };
    let mut house = House { rules: Some(rules), ..House::new() };
    assert_eq!((house.run(), house.run()), (good(1, 0), good(2, 0)));
    house.is_presumed = true;
    for hour in 3..8 {
        assert_eq!(house.run(), good(hour, 0), "it counts for the schedule, and the log has said why");
    }
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good); 7], "nothing was pruned");
    house.is_presumed = false;
    assert_eq!(house.run(), good(8, 0));
    // What is kept with them, and what is kept without.
    let kept = [2, 7, 8].map(|hour| format!("mc-2030-01-01T{hour:0>2}:00:00"));
    assert_eq!(house.archives(), kept, "they take no other one's place");
}

#[test]
fn a_job_is_told_that_the_game_is_only_presumed_to_run() {
    let job = House::new().job();
    for known in [GameState::Presumed, GameState::MayRun, GameState::Presumed, GameState::Rests] {
        job.game_is(known);
        assert_eq!(job.is_presumed.load(Ordering::Relaxed), known == GameState::Presumed);
    }
}

#[test]
fn who_was_never_told_where_the_game_is_prunes_as_always() {
    let house = House { whereabouts: Whereabouts::Unknown, ..House::new() };
    assert_eq!((house.run(), house.run()), (good(1, 0), good(2, 0)));
    assert_eq!(house.archives(), ["mc-2030-01-01T02:00:00"]);
}

#[test]
fn a_create_that_fails_is_recorded_and_tried_again() {
    let mut house = House::new();
    assert_eq!(house.run(), good(1, 0));
    house.sources.push("/nowhere/at/all".into());
    let JobOutcome::Failed { error, hint, retry } = house.run() else { panic!("there is no such source") };
    assert!(error.contains("cannot create an archive of mc") && error.contains("/nowhere/at/all"), "{error}");
    assert!(retry, "it may be mounted soon");
    assert_eq!(hint.as_deref(), Some("do something"));
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Failed)]);
    assert_eq!(house.history().runs(SERIES, LOCATION).unwrap()[1].error, Some(error));
    assert_eq!(house.job().last_good(), Some("2030-01-01T01:00:00Z".parse().unwrap()));
    assert_eq!(house.archives().len(), 1);
}

#[test]
fn a_repository_that_cannot_be_opened_says_whether_to_try_again() {
    let mut house = House::new();
    for retry in [true, false] {
        house.refused = Some(retry);
        let outcome = house.run();
        assert!(matches!(&outcome, JobOutcome::Failed { retry: again, .. } if *again == retry), "{outcome:?}");
    }
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Failed); 2]);
}

/// Whoever is killed cannot say so. The next process does, and knows how often that was.
#[test]
fn a_run_that_ends_with_its_process_is_recorded_by_the_next_one() {
    let mut house = House { notes_begin: true, ..House::new() };
    assert_eq!(house.run(), good(1, 0));
    assert_eq!(house.job().cut_off(), 0, "it has ended");
    for times in 1..3 {
        house.is_killed = true;
        assert!(catch_unwind(AssertUnwindSafe(|| house.run())).is_err());
        house.is_killed = false;
        assert_eq!(house.job().cut_off(), times);
        assert_eq!(house.runs().last(), Some(&(Kind::Backup, RunOutcome::Failed)));
    }
    let said = house.history().runs(SERIES, LOCATION).unwrap().pop().unwrap().error.unwrap();
    assert!(said.contains("2030-01-01T03:00:00Z was cut off"), "{said}");
    let stop = Stop::default();
    stop.request();
    assert_eq!(house.run_under(&stop), JobOutcome::Stopped);
    assert_eq!(house.job().cut_off(), 0, "a stop in time is none");
}

/// The daemon outlives what a run breaks off by.
#[test]
fn a_run_that_does_not_say_how_it_ended_is_recorded_by_the_next_run() {
    let mut house = House { notes_begin: true, is_killed: true, ..House::new() };
    assert!(catch_unwind(AssertUnwindSafe(|| house.run())).is_err());
    house.is_killed = false;
    assert_eq!(house.run(), good(2, 0));
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Failed), (Kind::Backup, RunOutcome::Good)]);
    let said = house.history().runs(SERIES, LOCATION).unwrap().remove(0).error.unwrap();
    assert!(said.contains("2030-01-01T01:00:00Z broke off by an error in worldkeeper itself"), "{said}");
    assert_eq!(house.job().cut_off(), 0, "its process was not");
}

#[test]
fn a_stop_is_recorded_as_one() {
    let house = House::new();
    assert_eq!(house.run(), good(1, 0));
    let stop = Stop::default();
    stop.request();
    assert_eq!(house.run_under(&stop), JobOutcome::Stopped);
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Stopped)]);
    assert_eq!(house.archives().len(), 1);
}

/// The archive is what counts: retention that fails makes no failed backup of it.
#[test]
fn retention_that_fails_leaves_a_good_archive() {
    let house = House::new();
    assert_eq!(house.run(), good(1, 0));
    // The clock was wrong, and is right again: rules that count time mean nothing.
    house.clock.set_wall("2029-12-31T00:00:00Z".parse().unwrap());
    assert_eq!(house.run(), JobOutcome::Good { archive: "mc-2029-12-31T01:00:00".into(), warnings: 1 });
    assert_eq!(house.archives().len(), 2);
    let expected =
        [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Good), (Kind::Prune, RunOutcome::Failed)];
    assert_eq!(house.runs(), expected);
}

/// Set forward, archives look old that are not; set back, new ones look old.
#[test]
fn while_the_clock_is_not_where_it_should_be_nothing_is_pruned() {
    for wrong in ["2030-01-03T01:00:01Z", "2031-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "1970-01-01T00:00:00Z"] {
        let mut house = House::new();
        house.run();
        house.clock.set_wall(wrong.parse().unwrap());
        let JobOutcome::Good { .. } = house.run() else { panic!("a clock is no reason to make no archive") };
        assert_eq!(house.archives().len(), 2, "{wrong}");
        assert_eq!(house.runs().last(), Some(&(Kind::Prune, RunOutcome::Failed)));
        let error = house.history().runs(SERIES, LOCATION).unwrap().pop().unwrap().error.unwrap();
        assert!(error.contains("the clock was set"), "{error}");
        // Whoever starts it again has seen to the clock. If that is behind, the newest archive is in its way.
        house.began = Moment::now(house.clock.as_ref());
        house.run();
        assert_eq!(house.archives().len(), if wrong.starts_with("1970") { 3 } else { 1 }, "{wrong}");
    }
}

#[test]
fn a_correction_of_the_clock_or_a_change_to_summer_time_keeps_nobody_from_pruning() {
    let house = House::new();
    house.run();
    house.clock.set_wall("2030-01-03T00:00:00Z".parse().unwrap());
    house.run();
    assert_eq!(house.archives().len(), 1);
}

/// Wherever the connection is lost, the run goes on and ends well, with one archive and one line in the history.
#[test]
fn a_lost_connection_is_made_again_within_the_run() {
    let changes = {
        let house = House::new();
        house.run();
        house.repository.store().restart_counting();
        house.run();
        house.repository.store().changes()
    };
    assert!(changes > 4, "there is something to lose");
    for lost_after in 0..changes {
        let house = House { rules: None, ..House::new() };
        assert_eq!(house.run(), good(1, 0));
        house.repository.store().restart_counting();
        house.repository.store().losses = [lost_after].into();
        let begun = house.clock.monotonic() + Duration::from_hours(1);
        let JobOutcome::Good { archive, warnings: 0 } = house.run() else { panic!("lost after {lost_after}") };
        if house.repository.store().losses.is_empty() {
            assert_eq!(archive, "mc-2030-01-01T02:00:05", "lost after {lost_after}: after a pause, under its own time");
            assert_eq!(house.clock.monotonic(), begun + FIRST_WAIT);
        }
        assert_eq!(house.archives().len(), 2, "lost after {lost_after}");
        assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good); 2], "lost after {lost_after}");
    }
}

#[test]
fn the_other_machine_may_stay_away_for_a_while() {
    let house = House::new();
    assert_eq!(house.run(), good(1, 0));
    house.repository.store().losses = [1].into();
    *house.away.lock().unwrap() = (2, 0);
    // Three waits: 5 s, 10 s, 20 s.
    let archive = "mc-2030-01-01T02:00:35".to_owned();
    assert_eq!(house.run(), JobOutcome::Good { archive, warnings: 0 });
    assert_eq!(house.away.lock().unwrap().1, 4);
}

#[test]
fn a_connection_that_is_lost_again_and_again_ends_the_run() {
    let house = House::new();
    assert_eq!(house.run(), good(1, 0));
    house.repository.store().losses = [1; 20].into();
    *house.away.lock().unwrap() = (0, 0);
    let JobOutcome::Failed { error, retry: true, .. } = house.run() else { panic!("it was lost each time") };
    assert!(error.contains("was lost"), "{error}");
    assert_eq!(house.away.lock().unwrap().1, 1 + MOST_RETRIES);
    assert_eq!(house.runs(), [(Kind::Backup, RunOutcome::Good), (Kind::Backup, RunOutcome::Failed)]);
    // The schedule tries again, and by then the network holds.
    house.repository.store().losses.clear();
    assert!(matches!(house.run(), JobOutcome::Good { .. }));
}

#[test]
fn one_that_cannot_be_reached_at_first_is_left_to_the_schedule() {
    let house = House { refused: Some(true), ..House::new() };
    assert!(matches!(house.run(), JobOutcome::Failed { retry: true, .. }));
    assert_eq!(house.away.lock().unwrap().1, 1);
}

/// With a second between any two looks at the clock, much of the archive is saved before the connection goes.
#[test]
fn what_a_checkpoint_saved_is_not_sent_again() {
    let added = |checkpoint_interval: Duration, lost_after: u64| {
        let house = House::under(ManualClock::at("2030-01-01T00:00:00Z").ticking());
        for number in 0..20 {
            let path = house.world.path().join(format!("r.{number}.mca"));
            tree::write(&path, &sha_stream(&number.to_string(), 300_000));
        }
        let mut job = house.job();
        job.options.checkpoint_interval = checkpoint_interval;
        house.repository.store().losses = [lost_after].into();
        let created = job.backup(&Stop::default()).expect("it goes on after the loss").created;
        assert!(house.repository.store().losses.is_empty(), "the connection was lost");
        assert_eq!(created.stats.files(), 21, "all of it is in the archive");
        created.stats.stored_bytes
    };
    // Checkpoints are changes, too.
    let (without, with) = (added(Duration::ZERO, 20), added(Duration::from_secs(1), 80));
    assert!(without > 20 * 300_000, "without checkpoints, {without} bytes are sent again");
    assert!(with < without - 5 * 300_000, "{with} of {without} bytes are sent again");
}
