//! One backup from beginning to end: an archive, and after a good one retention and compaction.

mod again;
mod emptied;
mod lacking;
mod overheard;

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use worldkeeper_core::repository::CompactStats;
use worldkeeper_core::{Clock, Moment, Stop, error_text};
use worldkeeper_engine::prune::{self, Rules};
use worldkeeper_engine::{
    CreateError, CreateOptions, Created, DEFAULT_THRESHOLD_PERCENT, DeleteError, DeleteStats, Monitor, Session,
    SessionError, compact, create,
};

use crate::history::{Damage, Files, History, HistoryError, Kind, Run, RunOutcome, Verdict};
use crate::words::{bytes, count, duration, grouped};
use crate::{GameState, Job, JobOutcome, Whereabouts};

pub use again::{FIRST_WAIT, MOST_RETRIES};
use emptied::Sources;
use lacking::{lacking, unread};
use overheard::Overheard;

/// Opens a session: knows where the repository is, how to wait for it and how to make a missing one.
pub trait OpenSession: Send + Sync {
    /// Opens for writing. Waiting for a lock ends when `stop` is requested.
    fn open(&self, stop: &Stop) -> Result<Session, OpenError>;

    /// What the repository is called in the run history.
    fn location(&self) -> String;
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A stop was asked for while waiting.
    #[error("stopped on request")]
    Stopped,
    /// The repository cannot be used.
    #[error("cannot open the repository")]
    Failed {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
        /// Whether it may go well if it is tried again soon: a lock is given back, a wrong passphrase stays wrong.
        retry: bool,
    },
}

/// What to do when a backup is due.
pub struct BackupJob {
    /// Opens the repository.
    pub repository: Box<dyn OpenSession>,
    /// What to archive, and how.
    pub options: CreateOptions,
    /// Which archives stay; all of them, without rules.
    pub rules: Option<Rules>,
    /// In which zone the rules count days.
    pub zone: TimeZone,
    /// Where runs are recorded.
    pub history: History,
    /// Whether the begin of each run is noted there, so that the next process knows of one that ended with this one. The
    /// daemon alone may: there is one.
    pub notes_begin: bool,
    /// Whether this archive holds something else than those that are made on schedule: it does not count as one of them,
    /// and nothing is pruned after it.
    pub is_partial: bool,
    /// Whether the game is only presumed to run, as [`Job::game_is`] was told last: then the world may have rested since the last
    /// archive, and this one takes no other one's place, nor is anything pruned after it.
    pub is_presumed: AtomicBool,
    /// Whether the game uses the sources.
    pub whereabouts: Box<dyn Fn() -> Whereabouts + Send + Sync>,
    /// What to do about an error, as far as its user can do something.
    pub hint: fn(&(dyn Error + 'static)) -> Option<String>,
    /// Told what happens.
    pub monitor: Arc<dyn Monitor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When this process began: if the wall clock was set since, nothing is pruned.
    pub began: Moment,
}

/// Why a backup made no archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The archive cannot be made.
    #[error("cannot create an archive of {series}")]
    Create {
        /// Its series.
        series: String,
        /// Why.
        source: CreateError,
    },
    /// There is an archive, but much of what should be in it could not be read.
    #[error("archive {archive} was made, but it lacks {lacking} that could not be read")]
    Lacking {
        /// The archive.
        archive: String,
        /// What is missing, in words.
        lacking: String,
    },
}

impl BackupError {
    /// Returns whether this only says that a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Open(error) => matches!(error, OpenError::Stopped),
            Self::Lacking { .. } => false,
            Self::Create { source, .. } => matches!(source, CreateError::Session(error) if error.is_stopped()),
        }
    }

    /// Returns whether it may go well if it is tried again soon.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open(OpenError::Failed { retry, .. }) => *retry,
            // Nobody has mended it a minute later.
            Self::Lacking { .. } => false,
            // The repository could be used; disks, connections and mounts come back.
            Self::Open(OpenError::Stopped) | Self::Create { .. } => true,
        }
    }
}

/// Why the repository was not tidied up after a good archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The wall clock was set while this process ran, so rules that count time may mean what nobody meant.
    #[error(
        "the clock was set {} by {}: nothing is pruned until it is known to be right",
        if .0.is_negative() { "back" } else { "forward" },
        duration(.0.unsigned_abs())
    )]
    ClockSet(SignedDuration),
    /// The history cannot be read, and with it which archives must take no other one's place.
    #[error("it is not known which archives lack something: nothing is pruned")]
    NotKnown(#[source] HistoryError),
    /// Archives could not be removed.
    #[error("cannot prune")]
    Prune(#[from] DeleteError),
    /// Space could not be freed.
    #[error("cannot compact")]
    Compact(#[from] SessionError),
}

impl RetentionError {
    /// Returns whether this only says that a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Prune(DeleteError::Session(error)) | Self::Compact(error) => error.is_stopped(),
            Self::Prune(_) | Self::ClockSet(_) | Self::NotKnown(_) => false,
        }
    }
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// Its archive.
    pub created: Created,
    /// What is wrong, if the game used nothing of what is in it.
    pub elsewhere: Option<String>,
    /// What the repository was found to have lost.
    pub damage: Option<Damage>,
    /// Sources that had files in earlier archives, and have none in this one.
    pub emptied: Vec<String>,
    /// What should have followed failed: no older archive was pruned, or no space freed.
    pub is_untidy: bool,
}

impl Made {
    /// How much was amiss.
    pub fn warnings(&self) -> u64 {
        let besides = [self.elsewhere.is_some(), self.damage.is_some(), self.is_untidy];
        let besides = besides.map(u64::from).iter().sum::<u64>() + self.emptied.len() as u64;
        self.created.stats.warnings() + besides
    }
}

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// What was deleted.
    pub deleted: DeleteStats,
    /// What was freed.
    pub compacted: CompactStats,
}

impl BackupJob {
    /// Makes an archive, and tidies up after a good one.
    ///
    /// Nothing is pruned after an archive that lacks something: the older ones may be the only ones that have it. Nor
    /// is anything while the game uses nothing of what is backed up, or did when that was last known: the older ones may be the
    /// last of a world that was played. Nor is anything after an archive of something else than the schedule's, or of one that was begun while
    /// the game was only presumed to run: it may be one of many copies of a world that rests. Nor is anything after a stop was
    /// requested: the archive is good, and the next one is followed by what is left out.
    ///
    /// # Errors
    ///
    /// Why there is no archive; or [`BackupError::Lacking`] if there is one, and nobody should rely on it.
    pub fn backup(&self, stop: &Stop) -> Result<Made, BackupError> {
        let mut is_untidy = false;
        let begun = self.clock.now();
        if self.notes_begin {
            Self::note(self.history.begin(&self.options.series, &self.repository.location(), begun));
        }
        let before = self.last_good_run().map(|run| run.files);
        let elsewhere = self.elsewhere();
        // Of an archive that was begun while the game was known to run, it does not matter what is known by its end.
        let is_presumed = self.is_presumed.load(Ordering::Relaxed);
        let overheard = Overheard::new(self.monitor.as_ref());
        let made = self.archive_in_spite_of_losses(stop, &overheard);
        let (damage, damage_text) = overheard.damage(self.clock.now()).unzip();
        let lacking = made.as_ref().ok().and_then(|(_, created)| lacking(created, before));
        let mut run = Self::run_of(&made, begun, self.clock.now());
        if let Some(error) = &lacking {
            (run.outcome, run.error) = (RunOutcome::Failed, Some(error_text(error)));
        }
        run.elsewhere.clone_from(&elsewhere);
        run.is_partial = self.is_partial;
        run.is_presumed = is_presumed;
        let known = self.known_sources();
        let sources = match &made {
            Ok((_, created)) if !self.is_partial => Sources::of(created, known),
            Ok(_) => Sources { emptied: Vec::new(), known },
            Err(_) => Sources::default(),
        };
        (run.emptied, run.sources) = (sources.emptied.len() as u64, sources.known.clone());
        let emptied = sources.warning();
        if let Some(text) = &emptied {
            run.warn_of(text);
        }
        if let Some(text) = &damage_text {
            run.warn_of(text);
        }
        if self.notes_begin {
            Self::note(self.history.end(&self.options.series, &self.repository.location(), run));
        } else {
            self.record(&run);
        }
        if let Some(damage) = &damage {
            Self::note(self.history.checked(
                &self.options.series,
                &self.repository.location(),
                &Verdict::Damaged(damage.clone()),
            ));
        }
        let (mut session, created) = made?;
        if let Some(error) = lacking {
            return Err(error);
        }
        if self.is_partial {
            info!(
                "the daemon's archives hold something else than this one, which therefore does not count for its schedule, and \
                 nothing is pruned after it; where no daemon is to run any more, `worldkeeper run --once` makes its own settings \
                 those that count"
            );
        }
        if created.stats.files() == 0 {
            warn!("the archive holds no file at all: is what should be backed up mounted? Nothing is pruned after it");
        } else if let Some(text) = emptied {
            warn!("{text} Nothing is pruned as long as that is so; if it is right, leave it out of the sources");
        } else if self.rules.is_some() && created.stats.files_failed > 0 {
            warn!(
                "nothing is pruned, because this archive lacks {} that older ones may have: make what could not be read \
                 readable, or leave its directory out of the sources",
                unread(&created.stats)
            );
        } else if self.rules.is_some() && elsewhere.is_some() {
            warn!(
                "nothing is pruned, because the game does not use what is backed up: older archives may have its world"
            );
        } else if !self.is_partial
            && !is_presumed
            && !stop.is_requested()
            && let Err(error) = self.retain(&mut session)
            && !error.is_stopped()
        {
            is_untidy = true;
            warn!("the archive is safe, but what should follow failed: {}", error_text(&error));
            if let Some(hint) = (self.hint)(&error) {
                warn!("hint: {hint}");
            }
        }
        Ok(Made { created, elsewhere, damage, emptied: sources.emptied, is_untidy })
    }

    /// Applies the retention rules, and frees the space of what goes.
    ///
    /// # Errors
    ///
    /// [`RetentionError::ClockSet`] if the wall clock has moved by more than two days against the monotonic one since the
    /// process began. Whoever starts it again has seen to the clock, or wants it as it is.
    pub fn retain(&self, session: &mut Session) -> Result<Retained, RetentionError> {
        let Some(rules) = &self.rules else { return Ok(Retained::default()) };
        let begun = self.clock.now();
        let lacking = self.known_lacking(session).map_err(RetentionError::NotKnown)?;
        let plan = prune::plan_series(session, &self.options.series, &lacking, rules, begun, &self.zone)
            .map_err(DeleteError::from)?;
        if !plan.unproven.is_empty() {
            warn!(
                "{} of the series {}: left alone, whatever the rules say; `list` shows why",
                count(plan.unproven.len() as u64, "unproven archive"),
                self.options.series
            );
        }
        // Rules that keep nothing are a mistake, which whoever reads the settings should have noticed.
        if rules.keep_nothing() || plan.going() == 0 {
            return Ok(Retained::default());
        }
        let moved = self.began.wall_moved(self.clock.as_ref());
        let pruned = if moved.abs() > CLOCK_MAY_MOVE {
            Err(RetentionError::ClockSet(moved))
        } else {
            prune::prune(session, &plan.decisions, self.monitor.as_ref()).map_err(RetentionError::from)
        };
        self.record_step(Kind::Prune, begun, pruned.as_ref().err(), 0);
        let deleted = pruned?;
        let gone = plan.decisions.iter().filter(|decision| decision.keep.is_none());
        let gone: Vec<_> = gone.map(|decision| decision.archive.name.clone()).collect();
        Self::note(self.history.deleted(&self.repository.location(), &gone));
        let begun = self.clock.now();
        let compacted = compact(session, DEFAULT_THRESHOLD_PERCENT).map_err(RetentionError::from);
        let freed = compacted.as_ref().map_or(0, |stats| stats.freed_bytes);
        self.record_step(Kind::Compact, begun, compacted.as_ref().err(), freed);
        let compacted = compacted?;
        let archives = count(plan.decisions.len() as u64, "archive");
        info!("pruned {} of {archives}, freed {}", deleted.archives, bytes(compacted.freed_bytes));
        Ok(Retained { deleted, compacted })
    }

    /// The archives that are known to be lacking. The history forgets those that are gone.
    fn known_lacking(&self, session: &Session) -> Result<BTreeSet<String>, HistoryError> {
        let (series, location) = (&self.options.series, self.repository.location());
        let there: BTreeSet<_> = session.archives().into_iter().map(|archive| archive.name.to_string()).collect();
        let lacking = self.history.lacking(series, &location)?;
        let (lacking, gone): (_, BTreeSet<_>) = lacking.into_iter().partition(|name| there.contains(name));
        Self::note(self.history.deleted(&location, &Vec::from_iter(gone)));
        Ok(lacking)
    }

    fn archive(&self, stop: &Stop, monitor: &dyn Monitor) -> Result<(Session, Created), BackupError> {
        let mut session = self.repository.open(stop)?;
        let started = self.clock.monotonic();
        let created = create(&mut session, &self.options, monitor);
        let series = || self.options.series.clone();
        let created = created.map_err(|source| BackupError::Create { series: series(), source })?;
        let Created { name, stats, .. } = &created;
        info!(
            "created {name}: {} ({} new, {} changed, {} unchanged), {} in all; read {}, stored {}, took {}",
            count(stats.files(), "file"),
            grouped(stats.files_new),
            grouped(stats.files_changed),
            grouped(stats.files_unchanged),
            bytes(stats.size),
            bytes(stats.read_bytes),
            bytes(stats.stored_bytes),
            duration(self.clock.monotonic().saturating_sub(started)),
        );
        if stats.files_broken > 0 {
            warn!("{} found broken, and stored so: older archives may have better", count(stats.files_broken, "file"));
        }
        if stats.times_clamped > 0 {
            info!(
                "{} changed before 1970 or after January 2038, as far as the file system knows: archives cannot hold such \
                 times and have the nearest that they can",
                count(stats.times_clamped, "file")
            );
        }
        Ok((session, created))
    }

    fn run_of(made: &Result<(Session, Created), BackupError>, start: Timestamp, end: Timestamp) -> Run {
        match made {
            Ok((_, Created { name, start, stats, amiss, .. })) => Run {
                outcome: if stats.has_warnings() { RunOutcome::Warnings } else { RunOutcome::Good },
                archive: Some(name.to_string()),
                files: Files {
                    new: stats.files_new,
                    changed: stats.files_changed,
                    unchanged: stats.files_unchanged,
                    failed: stats.files_failed,
                    directories_failed: stats.directories_failed,
                    torn: stats.files_torn,
                    broken: stats.files_broken,
                },
                amiss: amiss.clone(),
                read_bytes: stats.read_bytes,
                added_bytes: stats.stored_bytes,
                ..Run::new(Kind::Backup, *start, end)
            },
            Err(error) => step(Kind::Backup, start, end, Some((error, error.is_stopped()))),
        }
    }

    fn record_step(&self, kind: Kind, start: Timestamp, error: Option<&RetentionError>, freed_bytes: u64) {
        let error = error.map(|error| (error as &dyn Error, error.is_stopped()));
        self.record(&Run { freed_bytes, ..step(kind, start, self.clock.now(), error) });
    }

    /// What is wrong, if the game uses nothing of what is backed up; said on the way. One answer that is missing takes nothing
    /// back: what the last archive was known to be of is then still so.
    fn elsewhere(&self) -> Option<String> {
        match (self.whereabouts)() {
            Whereabouts::Here => None,
            Whereabouts::Elsewhere(text) => {
                warn!("{text}");
                Some(text)
            }
            Whereabouts::Unknown => {
                let runs = self.history.runs(&self.options.series, &self.repository.location());
                let known = known(runs).into_iter().rev().find(Run::has_archived)?.elsewhere?;
                warn!("it is not known now whether the game uses what is backed up; when it was: {known}");
                Some(known)
            }
        }
    }

    fn last_good_run(&self) -> Option<Run> {
        known(self.history.last_good(&self.options.series, &self.repository.location()))
    }

    fn known_sources(&self) -> Vec<String> {
        known(self.history.sources(&self.options.series, &self.repository.location()))
    }

    /// The history is for people and the next schedule: what it cannot take is no reason to fail.
    fn record(&self, run: &Run) {
        Self::note(self.history.record(&self.options.series, &self.repository.location(), run.clone()));
    }

    fn note(noted: Result<(), HistoryError>) {
        if let Err(error) = noted {
            warn!("{}", error_text(&error));
        }
    }
}

impl Job for BackupJob {
    fn run(&self, stop: &Stop) -> JobOutcome {
        match self.backup(stop) {
            Ok(made) => JobOutcome::Good { archive: made.created.name.to_string(), warnings: made.warnings() },
            Err(error) if error.is_stopped() => JobOutcome::Stopped,
            Err(error) => {
                JobOutcome::Failed { error: error_text(&error), hint: (self.hint)(&error), retry: error.may_pass() }
            }
        }
    }

    fn game_is(&self, known: GameState) {
        self.is_presumed.store(known == GameState::Presumed, Ordering::Relaxed);
    }

    fn last_good(&self) -> Option<Timestamp> {
        self.last_good_run().map(|run| run.start)
    }

    fn cut_off(&self) -> u32 {
        let (found, in_a_row) = known(self.history.cut_off(&self.options.series, &self.repository.location()));
        if let Some(error) = found.and_then(|run| run.error) {
            warn!("{error}");
        }
        in_a_row
    }
}

/// What the history knows; nothing if it cannot be read.
fn known<T: Default>(read: Result<T, HistoryError>) -> T {
    read.unwrap_or_else(|error| {
        warn!("{}", error_text(&error));
        T::default()
    })
}

/// More than any correction, any mistake about a time zone, and the days of a weekend that a machine slept through.
const CLOCK_MAY_MOVE: SignedDuration = SignedDuration::from_hours(48);

/// A run that made no archive. An error comes with whether it only says that a stop was asked for.
fn step(kind: Kind, start: Timestamp, end: Timestamp, error: Option<(&dyn Error, bool)>) -> Run {
    let outcome = match error {
        None => RunOutcome::Good,
        Some((_, true)) => RunOutcome::Stopped,
        Some((_, false)) => RunOutcome::Failed,
    };
    let error = error.map(|(error, _)| error_text(error));
    Run { outcome, error, ..Run::new(kind, start, end) }
}
