//! Puts what an archive holds on a file system.
//!
//! ```text
//!        PLANNER (1 thread)            OPENERS (n threads)                     WRITER (the caller's thread)
//! items ─ selected? ─ hard links ──item──────────────────────────────────────▶ place
//!                        └──chunks──▶ get ─ open ─ decompress ─ id ─────────▶ write ─ attributes
//! ```
//!
//! What cannot be restored is a notice, and the next item is tried: whoever restores wants all that can be had.

mod opener;
mod planner;
mod writer;

use std::path::Path;

use crate::monitor::Monitor;
use crate::patterns::{PatternTooSlow, Selection};
use crate::pipeline::{Budget, CloseOnDrop, default_workers, spawn};
use crate::restore::RestoreError;
use crate::session::{OpenArchive, Session, SessionError};

/// What to restore, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// Which items.
    pub selection: Selection,
    /// Of these, only what is one of these paths or beneath it; all, if there are none.
    pub within: Vec<Vec<u8>>,
    /// Owners are those of the stored numbers, not those of the stored names.
    pub numeric_ids: bool,
    /// Threads that fetch and open chunks; at least one.
    pub openers: usize,
}

impl Default for ExtractOptions {
    /// Everything, with owners by name, on all processors.
    fn default() -> Self {
        Self { selection: Selection::default(), within: Vec::new(), numeric_ids: false, openers: default_workers() }
    }
}

/// What an extract did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtractStats {
    /// Regular files that were restored.
    pub files: u64,
    /// Objects of other kinds that were restored.
    pub others: u64,
    /// Bytes of content.
    pub size: u64,
    /// What was not restored, or not whole.
    pub failed: u64,
    /// Attributes that could not be set.
    pub unset: u64,
}

impl ExtractStats {
    /// Returns whether something that was restored, or should have been, is not as it was.
    pub fn has_warnings(&self) -> bool {
        self.failed > 0 || self.unset > 0
    }
}

/// Why nothing more was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The target is full, read-only or broken.
    #[error("cannot restore into the target")]
    Target(#[from] RestoreError),
    /// The repository, or the archive's list of items.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Whether an item is meant is not found out.
    #[error(transparent)]
    Pattern(#[from] PatternTooSlow),
}

/// Bytes that may be under way between the repository and the target.
const BUDGET: usize = 16 * 1024 * 1024;

/// Restores an archive beneath the directory `target`, which is made if it is missing. What is in the place of an item
/// is replaced when the whole item has come, so that it is not lost with an archive that is damaged or a restore that
/// is stopped; nothing outside of the target is touched, whatever the archive says.
pub fn extract(
    session: &Session,
    archive: &OpenArchive,
    target: &Path,
    options: &ExtractOptions,
    monitor: &dyn Monitor,
) -> Result<ExtractStats, ExtractError> {
    let (steps_in, steps) = crossbeam_channel::unbounded();
    let (jobs, jobs_out) = crossbeam_channel::unbounded();
    let budget = Budget::new(BUDGET);
    std::thread::scope(|scope| {
        // Whatever ends this closure, by error or panic, ends the threads.
        let _close = CloseOnDrop(&budget);
        for number in 0..options.openers.max(1) {
            let (jobs, steps) = (jobs_out.clone(), steps_in.clone());
            spawn(scope, &budget, &format!("opener {number}"), move || opener::run(session, &jobs, &steps));
        }
        drop(jobs_out);
        let planner = planner::Planner::new(session, archive, options, &budget, jobs, steps_in);
        spawn(scope, &budget, "planner", move || planner.run());
        writer::Writer::open(session, target, options, &budget, monitor)?.run(steps)
    })
}
