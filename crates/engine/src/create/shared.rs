//! What the reader has in common with the rest of the pipeline. It has its share of everything: if it hangs, it may
//! outlive the run.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use worldkeeper_core::{Clock, Stop};
use worldkeeper_crypto::Key;

use crate::cache::{ChunkIndex, FilesCache};
use crate::pipeline::{Budget, Closed};
use crate::session::Session;
use crate::source::Pulse;

/// What all of the pipeline uses, and nothing of the session itself.
pub(super) struct Shared {
    pub key: Arc<Key>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    pub index: RwLock<ChunkIndex>,
    /// The files cache as the run found it.
    files: RwLock<FilesCache>,
    pub budget: Budget,
    pub pulse: Pulse,
}

impl Shared {
    pub(super) fn new(session: &Session, index: ChunkIndex, files: FilesCache, budget: Budget, pulse: Pulse) -> Self {
        let (key, clock, stop) = (session.shared_key(), session.clock(), session.stop());
        Self { key, clock, stop, index: RwLock::new(index), files: RwLock::new(files), budget, pulse }
    }

    /// The files cache as the run found it.
    pub(super) fn files(&self) -> RwLockReadGuard<'_, FilesCache> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns whether nobody wants the archive any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    /// Waits until the rest of the pipeline has room for so many bytes.
    pub(super) fn take_room(&self, bytes: usize) -> Result<(), Closed> {
        self.pulse.while_waiting(|| self.budget.take(bytes))
    }

    /// Takes what is large out, at the end of the run: a reader that hangs shall not keep it.
    pub(super) fn clear(&self) -> (ChunkIndex, FilesCache) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut *super::write(&self.index)), std::mem::take(&mut *files))
    }
}
