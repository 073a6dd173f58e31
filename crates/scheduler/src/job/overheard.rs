//! What a backup comes to know of damage while it makes its index anew: nobody else may look before it is needed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use worldkeeper_engine::{Monitor, Notice, Progress, Rebuilding};

use crate::history::{Checked, Damage};
use crate::words::count;

/// Passes on what happens, and keeps what is said of damage.
pub(super) struct Overheard<'a> {
    monitor: &'a dyn Monitor,
    lost: Mutex<Lost>,
}

/// What the repository lacks. A run that goes on after a loss may be told twice.
#[derive(Default)]
struct Lost {
    /// Chunks that archives refer to.
    chunks: u64,
    /// Archives that cannot be read.
    archives: BTreeSet<String>,
}

impl<'a> Overheard<'a> {
    pub(super) fn new(monitor: &'a dyn Monitor) -> Self {
        Self { monitor, lost: Mutex::default() }
    }

    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The damage that was spoken of, and the same in words.
    pub(super) fn damage(&self, now: Timestamp) -> Option<(Damage, String)> {
        let lost = self.lost();
        let archives = lost.archives.len() as u64;
        let words = match (lost.chunks, archives) {
            (0, 0) => return None,
            (chunks, 0) => format!("the repository lacks {} that archives refer to", count(chunks, "chunk")),
            (_, archives) => format!("{} cannot be read", count(archives, "archive")),
        };
        let place = Checked { archives: true, ..Checked::default() };
        Some((Damage { found: now, problems: lost.chunks + archives, place }, words))
    }
}

impl Monitor for Overheard<'_> {
    fn notice(&self, notice: Notice<'_>) {
        match &notice {
            Notice::ChunksMissing { count } => self.lost().chunks = *count as u64,
            Notice::ArchiveUnread(name) => _ = self.lost().archives.insert(name.to_string()),
            _ => {}
        }
        self.monitor.notice(notice);
    }

    fn progress(&self, progress: Progress) {
        self.monitor.progress(progress);
    }

    fn rebuilding(&self, so_far: Rebuilding) {
        self.monitor.rebuilding(so_far);
    }

    fn done(&self, path: &Path) {
        self.monitor.done(path);
    }
}
