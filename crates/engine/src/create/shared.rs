//! What the reader has in common with the rest of the pipeline. It has its share of everything: if it hangs, it may
//! outlive the run.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use worldkeeper_core::{Clock, Stop};
use worldkeeper_crypto::Key;

use super::jobs::Jobs;
use crate::cache::{ChunkIndex, FilesCache};
use crate::pipeline::{Budget, Buffers, Closed};
use crate::session::Session;
use crate::source::Pulse;

/// Bytes that may be under way between reading and storing: enough chunks for all lanes of the digests, and some that
/// are read and stored meanwhile.
pub(super) const BUDGET: usize = 28 * 1024 * 1024;

/// What is under way less where chunks become smaller, in bytes: sealers need as much to compress and to check, and lanes that
/// are not full matter little there.
const SCRATCH: usize = BUDGET / 3;

/// The memory that chunks and their objects share: what is under way, some of it twice, and what is not cut yet.
const BUFFERS: usize = 72 * 1024 * 1024;

/// What all of the pipeline uses, and nothing of the session itself.
pub(super) struct Shared {
    pub key: Arc<Key>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    pub index: RwLock<ChunkIndex>,
    /// The files cache as the run found it.
    files: RwLock<FilesCache>,
    pub budget: Budget,
    pub buffers: Arc<Buffers>,
    pub jobs: Jobs,
    pub pulse: Pulse,
}

impl Shared {
    pub(super) fn new(session: &Session, index: ChunkIndex, files: FilesCache, pulse: Pulse) -> Self {
        let budget = Budget::new(BUDGET);
        let (key, clock, stop) = (session.shared_key(), session.clock(), session.stop());
        let (index, files, buffers) = (RwLock::new(index), RwLock::new(files), Buffers::new(BUFFERS));
        let jobs = Jobs::new(key.lanes(), BUDGET);
        Self { key, clock, stop, index, files, budget, buffers, jobs, pulse }
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
        if self.budget.try_take(bytes)? {
            return Ok(());
        }
        self.jobs.full(true);
        let taken = self.pulse.while_waiting(|| self.budget.take(bytes));
        self.jobs.full(false);
        taken
    }

    /// As [`take_room`](Self::take_room), for small chunks. Where they come after many large chunks, half of what may be under
    /// way stays free until the last of those is stored: their memory goes back only then.
    pub(super) fn take_room_of_small(&self, bytes: usize) -> Result<(), Closed> {
        let spare = if self.buffers.are_spread() { BUDGET / 2 } else { 0 };
        self.take_room(bytes + spare)?;
        self.budget.give_back(spare);
        Ok(())
    }

    /// Says of a large chunk whether there was more to do with it than digests; so it is most likely with the next ones.
    pub(super) fn laborious(&self, is_laborious: bool) {
        let withhold = || self.budget.withhold(if is_laborious { SCRATCH } else { 0 });
        self.jobs.laborious(is_laborious, withhold);
    }

    /// Takes what is large out, at the end of the run: a reader that hangs shall not keep it.
    pub(super) fn clear(&self) -> (ChunkIndex, FilesCache) {
        self.buffers.give_up();
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut *super::write(&self.index)), std::mem::take(&mut *files))
    }
}
