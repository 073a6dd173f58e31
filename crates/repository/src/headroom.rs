//! The room that a transaction leaves on its disk while it writes. Whoever else writes there, often a game beside it, must not find
//! the disk full because a backup does not fit.

use std::sync::atomic::Ordering;

use worldkeeper_core::RepositoryError;

use crate::LocalRepository;

/// What is left, in bytes; on a disk that has little room to begin with, a quarter of that.
const MOST: u64 = 64 << 20;
/// How much is written at most until the disk is asked again.
const STEP: u64 = 8 << 20;

/// What one transaction may still write.
#[derive(Debug, Default)]
pub(crate) struct Headroom {
    /// What is left, known from the first look on. What was written by transactions before, since the repository was opened,
    /// counts as room that there was: else each checkpoint of a long backup would leave less.
    left: Option<u64>,
    /// Bytes that may be written before the next look.
    granted: u64,
}

impl Headroom {
    /// Requires room for so many more bytes, beside what is left and the `additional_free_space` of the repository.
    ///
    /// Where nobody can say how much there is, it is written until the disk is full.
    pub(crate) fn require(&mut self, bytes: u64, repository: &LocalRepository) -> Result<(), RepositoryError> {
        if bytes > self.granted {
            self.granted = match repository.disk.available_bytes(&repository.path) {
                Ok(available_bytes) => self.grant(bytes, available_bytes, repository)?,
                Err(_) => STEP.max(bytes),
            };
        }
        self.granted -= bytes;
        repository.written.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn grant(
        &mut self,
        bytes: u64,
        available_bytes: u64,
        repository: &LocalRepository,
    ) -> Result<u64, RepositoryError> {
        let additional = repository.config.additional_free_space;
        let room =
            available_bytes.saturating_sub(additional).saturating_add(repository.written.load(Ordering::Relaxed));
        let left = *self.left.get_or_insert((room / 4).min(MOST));
        let required_bytes = bytes.saturating_add(left).saturating_add(additional);
        let Some(spare) = available_bytes.checked_sub(required_bytes) else {
            let path = repository.path.display().to_string();
            return Err(RepositoryError::InsufficientSpace { path, available_bytes, required_bytes });
        };
        // What stands in buffers takes no space yet, so a small rest is not granted at once.
        Ok(bytes + (spare / 2).min(STEP))
    }
}
