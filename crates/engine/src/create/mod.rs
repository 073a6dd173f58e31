//! Makes an archive of a live tree.
//!
//! ```text
//!          READER (1 thread)                 SEALERS (n threads)          WRITER (the caller's thread)
//! walk ─ stat ─ files cache ──unchanged──────────────────────────────────▶ refs from the chunk index
//!                 │ changed or new                                         │
//!                 ▼                                                        ▼
//!          read ─ chunker ──chunk──▶ id ─ known? ─▶ compress ─▶ seal ──▶ dedup for good ─▶ PUT (Transaction)
//!                                                                          │
//!                                                    items ─ item stream ─ archive metadata ─ manifest ─ COMMIT
//! ```
//!
//! The reader numbers the steps and takes their weight from the budget; the writer takes them in that order and gives
//! it back. The writer alone changes state; every so often it commits what there is as a checkpoint. A file that cannot
//! be read is a notice and the archive goes on; a repository that fails ends it, and the dropped transaction rolls back.
//! A file system that does not answer at all ends it too: the writer watches the reader, and leaves it behind.

mod amiss;
mod caution;
mod checkpoint;
mod content;
mod feed;
mod growth;
mod item_cuts;
mod item_stream;
mod jobs;
mod judging;
mod left_behind;
mod pending;
mod plan;
mod planned;
mod reader;
mod roots;
mod sealer;
mod settle;
mod shared;
mod sources;
mod step;
#[cfg(test)]
mod tests;
mod watch;
mod ways_out;
mod writer;

use std::path::{PathBuf, absolute};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use worldkeeper_archive::ArchiveName;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_compress::Compression;
use worldkeeper_core::{ChunkId, Clock, FileFormat, Stop};

pub(crate) use feed::Feed;
pub(crate) use item_stream::{ItemStream, store};
pub use sources::SourceFiles;
pub(crate) use step::{FileState, FinishedFile, Reading, Step};
pub(crate) use watch::Watch;
pub use watch::{ask, ask_about};
pub(crate) use writer::Archive;

use crate::attributes::Escaped;
use crate::cache::{ChunkIndex, FilesCache, FoundFiles};
use crate::monitor::{Monitor, Notice};
use crate::patterns::Patterns;
use crate::pipeline::{CloseOnDrop, default_workers, spawn};
use crate::session::{Session, SessionError};
use crate::source::{ExcludeTags, Pulse, RootError, Rules, Walker};
use crate::verify::Verify;
use checkpoint::Checkpoints;
use left_behind::LeftBehind;
use reader::Reader;
use sealer::Sealer;
use shared::{BUDGET, Shared};

/// What to put into an archive, and how.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The series: the archive is named after it and the time, and shares a files cache with its predecessors.
    pub series: String,
    /// The directories to archive.
    pub sources: Vec<PathBuf>,
    /// Directories that are left out with a notice wherever they turn up, and what they are.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// What becomes of checkpoints that earlier runs have left.
    pub old_checkpoints: OldCheckpoints,
    /// Names of files that are left out wherever they turn up: locks that a game holds.
    pub left_out_names: Vec<String>,
    /// What else is left out. Its roots count only if they are among the sources.
    pub patterns: Patterns,
    /// Which tags leave a directory out that has them; a source, too.
    pub tags: ExcludeTags,
    /// How chunks are compressed.
    pub compression: Compression,
    /// How what was sealed is checked before it is stored.
    pub verify: Verify,
    /// How files are cut. Those that did not change since other parameters were set keep the chunks they have, as with
    /// stock.
    pub chunker_params: ChunkerParams,
    /// With fixed blocks: holes restart the blocks, as with stock's `--sparse`.
    pub sparse: bool,
    /// What is mounted within a source is left out, as with stock's `--one-file-system`.
    pub one_file_system: bool,
    /// FIFOs and devices, and those that symlinks lead to, are opened, and what comes is stored as a regular file's, as
    /// with stock's `--read-special`. Else they are never opened.
    pub read_special: bool,
    /// What is known of the formats of files: those that are broken are told.
    pub formats: &'static [&'static dyn FileFormat],
    /// The formats by whose plans files are cut, unless fixed blocks are asked for; with none, all files are cut as stock
    /// cuts them.
    pub cuts: &'static [&'static dyn FileFormat],
    /// After how long the archive in the making is saved, again and again; zero for never.
    pub checkpoint_interval: Duration,
    /// How long a file system may take to answer, until the run gives up; zero for ever.
    pub read_timeout: Duration,
    /// Kept in the archive; which files are not in it as they should be comes after it.
    pub comment: String,
    /// The command, for the archive's metadata.
    pub cmdline: Vec<Vec<u8>>,
    /// The machine's name, for the archive's metadata.
    pub hostname: String,
    /// The user's name, for the archive's metadata.
    pub username: String,
    /// The working directory, for the archive's metadata.
    pub cwd: Vec<u8>,
    /// Threads that compress and seal; at least one.
    pub sealers: usize,
}

/// What becomes of checkpoints of the same series that earlier runs have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldCheckpoints {
    /// They go, if the archive may have all that they have.
    #[default]
    Go,
    /// They stay: they may have what this archive is not to have.
    Stay,
}

impl CreateOptions {
    /// How long a file system may take to answer if nobody says otherwise: longer than a disk needs to wake up, or a
    /// server to be started again.
    pub const READ_TIMEOUT: Duration = Duration::from_mins(5);

    /// Options that compress and cut as stock does, leave nothing out, and use all processors. The archive says nothing
    /// about its origin.
    pub fn new(series: impl Into<String>, sources: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            series: series.into(),
            sources: sources.into_iter().map(Into::into).collect(),
            left_out: Vec::new(),
            old_checkpoints: OldCheckpoints::default(),
            left_out_names: Vec::new(),
            patterns: Patterns::default(),
            tags: ExcludeTags::default(),
            compression: Compression::default(),
            verify: Verify::default(),
            chunker_params: ChunkerParams::DEFAULT,
            sparse: false,
            one_file_system: false,
            read_special: false,
            formats: &[],
            cuts: &[],
            checkpoint_interval: Duration::ZERO,
            read_timeout: Self::READ_TIMEOUT,
            comment: String::new(),
            cmdline: Vec::new(),
            hostname: String::new(),
            username: String::new(),
            cwd: Vec::new(),
            sealers: default_workers(),
        }
    }
}

/// What a create did.
#[derive(Clone, Debug)]
pub struct Created {
    /// The new archive.
    pub name: ArchiveName,
    /// The id of its metadata object.
    pub id: ChunkId,
    /// When it was begun.
    pub start: Timestamp,
    /// When its content was complete.
    pub end: Timestamp,
    /// What is in it, and what it cost.
    pub stats: CreateStats,
    /// Which files are not in it as they should be, the first of them by name; its comment says the same.
    pub amiss: Option<String>,
    /// What is in it of each source, in the order in which they were named.
    pub sources: Vec<SourceFiles>,
}

/// What a create counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateStats {
    /// Regular files that the files cache did not know.
    pub files_new: u64,
    /// Regular files that are not what they were.
    pub files_changed: u64,
    /// Regular files that were taken as they were, without opening them.
    pub files_unchanged: u64,
    /// What is not in the archive, or not whole, because it could not be read.
    pub files_failed: u64,
    /// Sources of which nothing is in the archive, because they could not be read; they count as files, too.
    pub roots_failed: u64,
    /// Directories that could not be read, with all that is in them; they count as one file each.
    pub directories_failed: u64,
    /// What was removed before it could be read.
    pub files_vanished: u64,
    /// Files that changed while they were read.
    pub files_torn: u64,
    /// Files whose format somebody knows, and that are not whole; they are in the archive as they are.
    pub files_broken: u64,
    /// Times of modification that archives cannot hold (before 1970, after January 2038): the nearest that they can is
    /// in there, as stock does it.
    pub times_clamped: u64,
    /// Objects of other kinds: directories, links, devices.
    pub others: u64,
    /// Bytes of content in the archive.
    pub size: u64,
    /// Bytes that were read from files.
    pub read_bytes: u64,
    /// Bytes of the objects that were added.
    pub stored_bytes: u64,
    /// Objects that were added.
    pub stored_objects: u64,
}

impl CreateStats {
    /// Regular files in the archive.
    pub fn files(&self) -> u64 {
        self.files_new + self.files_changed + self.files_unchanged
    }

    /// How much somebody should look at; an archive without any file counts, too: most likely nothing is mounted.
    pub fn warnings(&self) -> u64 {
        self.files_failed + self.files_torn + self.files_broken + u64::from(self.files() == 0)
    }

    /// Returns whether somebody should look at what happened: something is missing, broken or may be
    /// torn. What vanished in the course of play is no reason.
    pub fn has_warnings(&self) -> bool {
        self.warnings() > 0
    }

    /// Returns whether so much could not be read that the archive is none to rely on: a whole source, or more than one
    /// file in a hundred. A handful is told, but no reason to call a backup of a small world a failure.
    ///
    /// What is in a directory that could not be read, nobody knows; but an archive with far fewer files than the last good
    /// one (`before`, if there is one) most likely lacks them.
    pub fn lacks_much(&self, before: Option<u64>) -> bool {
        let is_much = |lacking: u64, of: u64| lacking >= 10 && lacking * 100 > of;
        let fewer = before.filter(|_| self.directories_failed > 0).unwrap_or(0).saturating_sub(self.files());
        self.roots_failed > 0
            || is_much(self.files_failed, self.files() + self.files_failed)
            || is_much(fewer, self.files() + fewer)
    }

    /// Returns whether the archive may hold all that there is: there are files, and nothing could not be read. Of any other
    /// archive, what a checkpoint of an earlier run holds may be the only copy.
    pub(crate) fn may_be_all(&self) -> bool {
        self.files() > 0 && self.files_failed == 0 && self.roots_failed == 0
    }

    /// Counts an object that was added.
    pub(crate) fn stored(&mut self, csize: u32) {
        self.stored_bytes += u64::from(csize);
        self.stored_objects += 1;
    }
}

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A source is missing or is what must be left out.
    #[error(transparent)]
    Source(#[from] RootError),
    /// A file system does not answer.
    #[error("the file system has not answered for {seconds} s about {}", Escaped(path))]
    Hangs {
        /// What it was asked about.
        path: Vec<u8>,
        /// How long it was waited for.
        seconds: u64,
    },
    /// File systems did not answer earlier runs of this process, and still do not.
    #[error(
        "{count} threads of earlier runs still wait for a file system to answer, the first about {} since {since:.0}",
        Escaped(path)
    )]
    Stuck {
        /// How many.
        count: usize,
        /// What the first of them asked about.
        path: Vec<u8>,
        /// Since when it waits.
        since: Timestamp,
    },
    /// A source would not be in the archive, and nothing was said about it.
    #[error("nothing of the source {} has come into the archive", Escaped(path))]
    Lost {
        /// The source, as walked.
        path: Vec<u8>,
    },
    /// The repository, or what is in it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Makes an archive.
pub fn create(session: &mut Session, options: &CreateOptions, monitor: &dyn Monitor) -> Result<Created, CreateError> {
    let (pulse, left_behind) = (Pulse::default(), LeftBehind::of_this_process());
    let watch = Watch::new(&session.clock(), &session.stop(), options.read_timeout, pulse, left_behind);
    create_watched(session, options, monitor, watch)
}

/// As [`create`]; `watch` is over whoever reads the tree.
fn create_watched(
    session: &mut Session,
    options: &CreateOptions,
    monitor: &dyn Monitor,
    mut watch: Watch,
) -> Result<Created, CreateError> {
    session.require_trust()?;
    let (own_options, pulse) = (options.clone(), watch.pulse().clone());
    let left_out = answering(options, &session.clock(), &session.stop())?;
    let walker =
        watch.apart("walker", move || Walker::new(&own_options.sources, rules(&own_options, &left_out), pulse))??;

    let start = session.now();
    let is_taken = |name: &str| session.archive_info(&ArchiveName::from_bytes(name)).is_some();
    let name = ArchiveName::from_bytes(crate::series::archive_name(&options.series, start, is_taken));
    let caches = caches(session, options, monitor)?;
    let archive = Archive { name, start };
    let read = |feed, watch: &mut Watch| {
        let reader = Reader::new(walker, options, feed);
        watch.spawn("reader", move || reader.run());
    };
    let (created, (found, files)) = make(session, options, archive, caches, monitor, watch, read)?;
    if let Err(error) = found.store(&files, session.state(), session.key(), &options.series) {
        monitor.notice(Notice::CacheLost { what: "files cache", problem: &worldkeeper_core::error_text(&error) });
    }
    Ok(created)
}

/// Loads the caches, side by side.
fn caches(
    session: &mut Session,
    options: &CreateOptions,
    monitor: &dyn Monitor,
) -> Result<(ChunkIndex, FilesCache), SessionError> {
    let (state, key) = (session.state().clone(), session.shared_key());
    let load = || FilesCache::load(&state, &key, &options.series);
    let (index, files) = std::thread::scope(|scope| {
        let files = std::thread::Builder::new().name("files cache".into()).spawn_scoped(scope, load);
        let files = files.expect("the system starts a handful of threads");
        (session.take_index(monitor), files.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let files = files.unwrap_or_else(|problem| {
        monitor.notice(Notice::CacheLost { what: "files cache", problem: &problem });
        FilesCache::default()
    });
    Ok((index?, files))
}

/// Makes an archive of the steps that are fed by a thread that `start` starts, and that is watched; returns what it found
/// of files, and the files cache so far again, of which the next one will be made.
pub(crate) fn make(
    session: &mut Session,
    options: &CreateOptions,
    archive: Archive,
    (index, files): (ChunkIndex, FilesCache),
    monitor: &dyn Monitor,
    mut watch: Watch,
    start: impl FnOnce(Feed, &mut Watch),
) -> Result<(Created, (FoundFiles, FilesCache)), CreateError> {
    let (steps_in, steps) = crossbeam_channel::unbounded();
    let shared = Arc::new(Shared::new(session, index, files, watch.pulse().clone()));
    let Shared { index, budget, .. } = &*shared;
    let mut saved = None;
    let made = std::thread::scope(|scope| {
        // Whatever ends this closure, by error or panic, ends the threads.
        let (_no_room, _no_jobs, steps) = (CloseOnDrop(budget), jobs::CloseOnDrop(&shared.jobs), steps);
        let sealers = options.sealers.max(1);
        for number in 0..sealers {
            let sealer = Sealer::new(session, options, &shared, steps_in.clone(), BUDGET / 5 * 3);
            spawn(scope, budget, &format!("sealer {number}"), move || sealer.run());
        }
        start(Feed::new(Arc::clone(&shared), options, steps_in), &mut watch);
        let checkpoints = Checkpoints::new(session, options.checkpoint_interval, &archive.name, &shared, &mut saved);
        let writer = writer::Writer::begin(session, options, index, budget, monitor, archive, checkpoints)?;
        writer.run(&steps, &mut watch)
    });
    let (index, files) = shared.clear();
    let (committed, created, found) = match made {
        Ok(made) => {
            watch.done();
            made
        }
        Err(error) => {
            if let Some(committed) = saved {
                session.go_on_from(committed);
            }
            return Err(error);
        }
    };

    session.committed(committed, index, monitor)?;
    Ok((created, (found, files)))
}

/// Those of the directories to leave out that answer. One that lies in no source need not: a repository on a mount that hangs is
/// nothing to the others.
fn answering(options: &CreateOptions, clock: &Arc<dyn Clock>, stop: &Stop) -> Result<Vec<PathBuf>, CreateError> {
    /// Longer than a disk takes to spin up: a link or a mount in a source may lead there all the same.
    const LIMIT: Duration = Duration::from_secs(30);
    let limit = options.read_timeout;
    let mut answering = Vec::new();
    for (path, _) in &options.left_out {
        let is_in_source = options.sources.iter().any(|source| match (absolute(path), absolute(source)) {
            (Ok(path), Ok(source)) => path.starts_with(source),
            _ => true,
        });
        let limit = if is_in_source || (!limit.is_zero() && limit < LIMIT) { limit } else { LIMIT };
        let own_path = path.clone();
        match ask_about(path, clock, stop, limit, move || drop(own_path.metadata())) {
            Ok(()) => answering.push(path.clone()),
            Err(CreateError::Hangs { .. } | CreateError::Stuck { .. }) if !is_in_source => {
                warn!("{} does not answer, and would be backed up if a source led there", path.display());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answering)
}

/// What is left out, these directories among it.
fn rules(options: &CreateOptions, directories: &[PathBuf]) -> Rules {
    let mut rules = Rules::default()
        .with_patterns(options.patterns.clone())
        .with_tags(options.tags.clone())
        .on_one_file_system(options.one_file_system)
        .reading_special(options.read_special)
        .knowing(options.formats);
    for path in directories {
        rules = rules.without_directory(path);
    }
    let names: Vec<_> = options.left_out_names.iter().map(|name| name.clone().into_bytes()).collect();
    rules.without_names(move |name| names.iter().any(|left_out| left_out == name))
}

/// A thread that panicked ends the whole operation; until then what it shared is only read.
pub(crate) fn read(index: &RwLock<ChunkIndex>) -> RwLockReadGuard<'_, ChunkIndex> {
    index.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`read`].
pub(crate) fn write(index: &RwLock<ChunkIndex>) -> RwLockWriteGuard<'_, ChunkIndex> {
    index.write().unwrap_or_else(PoisonError::into_inner)
}
