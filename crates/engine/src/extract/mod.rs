//! Puts what an archive holds on a file system, or elsewhere.
//!
//! ```text
//!        PLANNER (1 thread)            OPENERS (n threads)                     WRITER (the caller's thread)
//! items ─ selected? ─ hard links ──item──────────────────────────────────────▶ begin
//!                        └──chunks──▶ get ─ MAC ─ decrypt ─ decompress ─ id ─▶ write ─ end
//! ```
//!
//! Of small chunks an opener takes several at a time, with their digests side by side. Of large ones there are never enough
//! for that in the hands of one: all openers fetch and open them, and one thread more has the digests of all.
//!
//! What the writer's verbs mean is up to a [`Sink`]: a directory, a stream, a tar. What cannot be restored is a notice,
//! and the next item is tried: whoever restores wants all that can be had.

mod directory;
mod opener;
mod planner;
mod sink;
mod stream;
mod stripped;
mod taken;
mod wanted;
mod writer;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use crossbeam_channel::Receiver;

use crate::attributes::Escaped;
use crate::monitor::Monitor;
use crate::objects::Relay;
use crate::patterns::PatternTooSlow;
use crate::pipeline::{Budget, Buffers, CloseOnDrop, default_workers, spawn};
use crate::restore::{RestoreError, RestoreOptions, Unset};
use crate::session::{OpenArchive, Session, SessionError};

use opener::Opener;
use planner::Planner;
use writer::Writer;

pub(crate) use sink::{Content, Sink, SinkError};
pub use wanted::Wanted;

/// What to restore, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// Which items are meant.
    pub wanted: Wanted,
    /// What they get and what not.
    pub restore: RestoreOptions,
    /// Threads that fetch and open chunks; at least one.
    pub openers: usize,
}

impl Default for ExtractOptions {
    /// Everything that gives nobody rights, with owners by name, on all processors.
    fn default() -> Self {
        let (wanted, restore) = Default::default();
        Self { wanted, restore, openers: default_workers() }
    }
}

/// Where to put it.
pub enum Destination<'a> {
    /// Beneath this directory, which is made if it is missing. What is in the place of an item is replaced when the
    /// whole item has come, so that it is not lost with an archive that is damaged or a restore that is stopped;
    /// nothing outside of the directory is touched, whatever the archive says.
    Directory(&'a Path),
    /// The content of regular files goes here, one after the other, and nothing else.
    Stream(&'a mut (dyn Write + Send)),
    /// All content is fetched and checked, and nothing is written.
    Nowhere,
}

/// What an extract did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtractStats {
    /// Regular files that were restored.
    pub files: u64,
    /// Objects of other kinds that were restored.
    pub others: u64,
    /// Bytes of content.
    pub size: u64,
    /// What was not restored, or not whole. A gap in the list of items counts as one, whatever was in it.
    pub failed: u64,
    /// Gaps in the list of items, and files whose content is lost or damaged in the repository.
    pub damaged: u64,
    /// Devices that were not restored because nobody asked for them.
    pub left_out: u64,
    /// What could not be set, or was not asked for, by what it is (such as `owner`), and of how many objects.
    pub unset: BTreeMap<&'static str, u64>,
}

impl ExtractStats {
    /// Returns whether something that was restored, or should have been, is not as it was.
    pub fn has_warnings(&self) -> bool {
        self.failed > 0 || self.left_out > 0 || !self.unset.is_empty()
    }

    /// Adds what another extract did.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.others += other.others;
        self.size += other.size;
        self.failed += other.failed;
        self.damaged += other.damaged;
        self.left_out += other.left_out;
        for (kind, count) in other.unset {
            *self.unset.entry(kind).or_default() += count;
        }
    }
}

/// Why nothing more was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The target is full, read-only or broken.
    #[error("cannot restore into the target")]
    Target(#[from] RestoreError),
    /// The stream takes nothing more.
    #[error("cannot write what is restored")]
    Output(#[source] io::Error),
    /// Content is lost of a file that the tar has begun.
    #[error("the tar ends within {}, whose content cannot be read", Escaped(path))]
    TarBroken {
        /// As in the archive.
        path: Vec<u8>,
    },
    /// The repository, or the archive's list of items.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Whether an item is meant is not found out.
    #[error(transparent)]
    Pattern(#[from] PatternTooSlow),
}

impl ExtractError {
    /// Returns whether it is the archive that is damaged: the next restore of it will not fare better.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Session(error) if error.is_damage())
    }
}

/// Bytes that may be under way between the repository and the target: the largest chunk, and enough others that there are
/// digests to be taken side by side while it is waited for.
const BUDGET: usize = 48 * 1024 * 1024;
/// The memory that they share: objects lie beside the chunks that are made of them.
const ROOM: usize = 64 * 1024 * 1024;

/// Restores an archive, or what is selected of it.
pub fn extract(
    session: &Session,
    archive: &OpenArchive,
    destination: Destination<'_>,
    options: &ExtractOptions,
    monitor: &dyn Monitor,
) -> Result<ExtractStats, ExtractError> {
    let (unset_in, unset) = crossbeam_channel::unbounded();
    let (wanted, openers) = (&options.wanted, options.openers);
    match destination {
        Destination::Directory(path) => {
            let directory = directory::Directory::open(path, options.restore, move |one| _ = unset_in.send(one))?;
            run(session, archive, wanted, openers, directory, unset, monitor)
        }
        Destination::Stream(output) => {
            run(session, archive, wanted, openers, stream::Stream::new(Some(output)), unset, monitor)
        }
        Destination::Nowhere => run(session, archive, wanted, openers, stream::Stream::new(None), unset, monitor),
    }
}

/// Hands what is selected of an archive to `sink`.
pub(crate) fn run(
    session: &Session,
    archive: &OpenArchive,
    wanted: &Wanted,
    openers: usize,
    sink: impl Sink,
    unset: Receiver<Unset>,
    monitor: &dyn Monitor,
) -> Result<ExtractStats, ExtractError> {
    let (steps_in, steps) = crossbeam_channel::unbounded();
    let (jobs, jobs_out) = crossbeam_channel::unbounded();
    let buffers = &Buffers::new(ROOM);
    let budget = Budget::new(BUDGET);
    std::thread::scope(|scope| {
        // Whatever ends this closure, by error or panic, ends the threads.
        let _close = CloseOnDrop(&budget);
        let (relay, proven, digests) = Relay::new();
        for number in 0..openers.max(1) {
            let opener = Opener::new(session, buffers, steps_in.clone());
            let (jobs, proven) = (jobs_out.clone(), proven.clone());
            spawn(scope, &budget, &format!("opener {number}"), move || opener.run(&jobs, &proven));
        }
        drop((jobs_out, proven));
        let relay = Some(relay).filter(|_| openers > 1 && session.key().lanes() > 1);
        if relay.is_some() {
            let opener = Opener::new(session, buffers, steps_in.clone());
            spawn(scope, &budget, "digester", move || opener.digest(digests));
        }
        let planner = Planner::new(session, archive, wanted, &budget, jobs, relay, steps_in);
        spawn(scope, &budget, "planner", move || planner.run());
        Writer::new(session, &budget, monitor, sink, unset).run(steps)
    })
}
