//! After a connection was lost: another one, if the repository is still as it was.
//!
//! With the connection went the lock, so somebody else may have been at work since. What was read and is remembered above
//! stays true only if nobody has written: whoever means to write goes on only where the manifest is the very object that
//! was seen last. For a reader that is no matter, for objects are named by what is in them; unless it was told which there are.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use worldkeeper_core::{ChunkId, RepositoryError, error_text};

use super::open::Opened;
use super::{Manifest, RemoteMode, RemoteRepository, data, lock};
use crate::conversation::Conversation;
use std::sync::atomic::Ordering;

/// How often one question may lose its connection: perhaps it is the question.
pub(super) const MOST_LOSSES: u32 = 5;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long is slept before it is seen whether to stop.
const NAP: Duration = Duration::from_millis(200);

impl RemoteRepository {
    /// A conversation that goes on, as far as is known.
    pub(super) fn connected(&self) -> Result<Arc<Conversation>, RepositoryError> {
        let conversation = self.conversation();
        match conversation.lost() {
            None => Ok(conversation),
            Some(reason) => {
                self.reconnect(&conversation, &reason)?;
                Ok(self.conversation())
            }
        }
    }

    /// Puts another conversation in the place of one that was lost.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::ConnectionLost`] within a transaction, which went with the connection; or if there is no other
    /// connection to be had, or somebody else has written meanwhile.
    pub(super) fn reconnect(&self, lost: &Arc<Conversation>, reason: &str) -> Result<(), RepositoryError> {
        let _reconnecting = lock(&self.reconnecting);
        if !Arc::ptr_eq(lost, &self.conversation()) {
            return Ok(());
        }
        if self.in_transaction.load(Ordering::SeqCst) {
            return Err(self.lost(reason));
        }
        warn!("the connection to the repository at {} was lost and is made again: {reason}", self.options.location);
        let opened = self.open_again(reason)?;
        if self.options.mode == RemoteMode::Exclusive || self.has_listed.load(Ordering::SeqCst) {
            self.require_unchanged(&opened)?;
        }
        self.take_over(opened);
        info!("the repository at {} is open again", self.options.location);
        Ok(())
    }

    /// Takes the lock that others are kept out by, for what a server does under no other.
    pub(super) fn keep_others_out(&self) -> Result<(), RepositoryError> {
        if self.options.mode != RemoteMode::Exclusive {
            // Nobody waits for a lock of their own.
            self.conversation().close();
            let opened = self.options.open(self.connect.as_ref(), RemoteMode::Exclusive)?;
            self.take_over(opened);
        }
        Ok(())
    }

    /// Goes on with another conversation.
    pub(super) fn take_over(&self, opened: Opened) {
        *lock(&self.welcome) = opened.welcome;
        *lock(&self.conversation) = Arc::new(opened.conversation);
    }

    /// Opens the repository again, waiting longer from time to time.
    pub(super) fn open_again(&self, reason: &str) -> Result<Opened, RepositoryError> {
        let clock = &self.options.clock;
        let began = clock.monotonic();
        let mut pause = FIRST_PAUSE;
        loop {
            self.rest(pause)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let error = match self.options.open(self.connect.as_ref(), self.options.mode) {
                Ok(opened) if opened.id == self.id => return Ok(opened),
                Ok(_) => return Err(self.lost("when it was made again, another repository was there")),
                Err(RepositoryError::Stopped) => return Err(RepositoryError::Stopped),
                Err(error) => error,
            };
            let may_pass = match &error {
                RepositoryError::Unreachable { may_pass, .. } => *may_pass,
                // The server may not have noticed yet that its client is gone.
                RepositoryError::ConnectionLost { .. } | RepositoryError::LockTimeout { .. } => true,
                _ => false,
            };
            let passed = clock.monotonic().saturating_sub(began);
            if !may_pass || passed > self.options.patience {
                return Err(self.lost(&format!("{reason}; and it cannot be made again: {}", error_text(&error))));
            }
            info!("still no connection to {}: {}", self.options.location, error_text(&error));
        }
    }

    pub(super) fn lost(&self, reason: &str) -> RepositoryError {
        RepositoryError::ConnectionLost { location: self.options.location.clone(), reason: reason.to_owned() }
    }

    /// The manifest as it is now.
    pub(super) fn manifest_of(&self, opened: &Opened) -> Result<Manifest, RepositoryError> {
        let Some(outcome) = opened.welcome.manifest.clone() else { return Ok(Manifest::Unknown) };
        match outcome.map_err(|error| self.refused(error)).and_then(data) {
            Ok(object) => Ok(Manifest::Is(object)),
            Err(RepositoryError::ObjectNotFound(id)) if id == ChunkId::MANIFEST => Ok(Manifest::Absent),
            Err(error) => Err(error),
        }
    }

    /// Requires the manifest to be the one that was seen last, if one was. One that cannot be read may be any.
    fn require_unchanged(&self, opened: &Opened) -> Result<(), RepositoryError> {
        let seen = lock(&self.manifest).clone();
        if seen == Manifest::Unknown {
            return Ok(());
        }
        match self.manifest_of(opened) {
            Ok(now) if now == seen => Ok(()),
            Ok(_) => Err(self.lost("before it was made again, somebody else has written to the repository")),
            Err(error) => Err(self.lost(&format!(
                "when it was made again, it could not be seen whether somebody else has written: {}",
                error_text(&error)
            ))),
        }
    }

    fn rest(&self, pause: Duration) -> Result<(), RepositoryError> {
        let mut left = pause;
        while !left.is_zero() {
            if self.options.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            let nap = left.min(NAP);
            self.options.clock.sleep(nap);
            left -= nap;
        }
        Ok(())
    }
}
