//! Reserves counter values before anything is sealed with them.
//!
//! [`crypto::nonce`](worldkeeper_crypto::nonce) decides what to reserve; here it is made durable, in the repository
//! first and then in the state directory, before the first value is handed out.

use std::sync::{Mutex, PoisonError};

use worldkeeper_core::{Repository, RepositoryError};
use worldkeeper_crypto::nonce::{self, Known};
use worldkeeper_crypto::{Key, NonceCounter};

use crate::random;
use crate::session::SessionError;
use crate::state::RepositoryState;

/// The counter values of one open repository, shared by all threads that seal.
pub(crate) struct Nonces {
    counter: NonceCounter,
    /// Held while a reservation is made, so that two threads that run out make one.
    reserving: Mutex<()>,
    /// Behind the values that sealed the manifest as it was opened; `None` in a new repository, and in one that is not
    /// encrypted.
    after_manifest: Option<u64>,
}

impl Nonces {
    pub(crate) fn new(after_manifest: Option<u64>) -> Self {
        Self { counter: NonceCounter::new(), reserving: Mutex::new(()), after_manifest }
    }

    /// Takes the values that a payload of `len` bytes needs; returns the first.
    pub(crate) fn take(
        &self,
        key: &Key,
        len: usize,
        repository: &dyn Repository,
        state: &RepositoryState,
    ) -> Result<u64, SessionError> {
        let blocks = key.blocks(len);
        if let Ok(first) = self.counter.take(blocks) {
            return Ok(first);
        }
        let _reserving = self.reserving.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have reserved while this thread waited.
        if let Ok(first) = self.counter.take(blocks) {
            return Ok(first);
        }
        self.reserve(blocks, repository, state)?;
        Ok(self.counter.take(blocks).expect("the reservation holds what was asked for"))
    }

    /// Returns what is wrong with the repository's word on what was used; `None` where it can be read, or nobody asks.
    pub(crate) fn damage(&self, repository: &dyn Repository) -> Result<Option<RepositoryError>, SessionError> {
        if self.after_manifest.is_none() {
            return Ok(None);
        }
        match repository.free_nonce() {
            Ok(_) => Ok(None),
            Err(error @ RepositoryError::NonceDamaged(_)) => Ok(Some(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sees to it that the next reservation begins far beyond all values that were ever used, whatever the repository
    /// hides of them. The repository itself is not touched, unless its word cannot be read: then it gets a new one.
    pub(crate) fn leap(&self, repository: &dyn Repository, state: &RepositoryState) -> Result<(), SessionError> {
        if self.after_manifest.is_none() {
            return Ok(());
        }
        let is_damaged = self.damage(repository)?.is_some();
        let said = if is_damaged { None } else { repository.free_nonce()? };
        let known = self.known(said, state)?;
        let reservation = random::with(|random| nonce::reserve_adopting(&known, 0, random))??;
        if is_damaged {
            repository.replace_damaged_nonce(reservation.start)?;
        }
        state.set_nonce(reservation.start)?;
        Ok(())
    }

    /// Sees to it that the counter of an empty repository can begin, although its word cannot be read: a new key has sealed
    /// nothing, behind what another may have sealed it leaps.
    pub(crate) fn begin(&self, repository: &dyn Repository, state: &RepositoryState) -> Result<(), SessionError> {
        match repository.free_nonce() {
            Err(RepositoryError::NonceDamaged(_)) if self.after_manifest.is_none() => {
                Ok(repository.replace_damaged_nonce(0)?)
            }
            Err(RepositoryError::NonceDamaged(_)) => self.leap(repository, state),
            _ => Ok(()),
        }
    }

    fn reserve(&self, blocks: u64, repository: &dyn Repository, state: &RepositoryState) -> Result<(), SessionError> {
        let known = self.known(repository.free_nonce()?, state)?;
        // A repository that is not new, and the state directory has never seen a reservation in it.
        let adopting = known.state.is_none() && known.manifest.is_some();
        let reservation = if adopting {
            random::with(|random| nonce::reserve_adopting(&known, blocks, random))??
        } else {
            nonce::reserve(&known, blocks)?
        };
        repository.reserve_nonce(reservation.end, known.repository)?;
        state.set_nonce(reservation.end)?;
        self.counter.renew(reservation);
        Ok(())
    }

    fn known(&self, repository: Option<u64>, state: &RepositoryState) -> Result<Known, SessionError> {
        Ok(Known {
            repository,
            state: state.nonce()?,
            manifest: self.after_manifest,
            own_end: self.counter.reserved_end(),
        })
    }
}

#[cfg(test)]
mod tests;
