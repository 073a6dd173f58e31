//! Changes on a server: sent without waiting, committed when all of them are known to be stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tracing::{info, warn};
use worldkeeper_core::repository::CompactStats;
use worldkeeper_core::{ChunkId, MAX_DATA_SIZE, RepositoryError, Transaction};
use worldkeeper_rpc::{Call, Commit, Payload};

use super::{Manifest, RemoteRepository, lock};
use crate::conversation::{Broken, Conversation, Until};

/// How long a rollback may take before the connection is cut instead, which is a rollback too.
const ROLLBACK: Duration = Duration::from_secs(30);
/// And if the work is to end: Docker kills a container that has not ended within ten seconds, and what was sent before may yet
/// be under way.
const LAST_ROLLBACK: Duration = Duration::from_secs(3);

/// Changes that become visible together.
pub(super) struct RemoteTransaction<'a> {
    repository: &'a RemoteRepository,
    /// Changes live and die with it.
    conversation: Arc<Conversation>,
    /// What the manifest will be.
    manifest: Option<Bytes>,
    is_changed: bool,
    is_over: bool,
}

impl<'a> RemoteTransaction<'a> {
    pub(super) fn begin(repository: &'a RemoteRepository, conversation: Arc<Conversation>) -> Self {
        Self { repository, conversation, manifest: None, is_changed: false, is_over: false }
    }

    fn post(&mut self, call: &Call) -> Result<(), RepositoryError> {
        self.require_none_refused()?;
        self.is_changed = true;
        self.conversation.post(call, self.repository.patiently()).map_err(|broken| self.repository.broken(broken))
    }

    fn require_none_refused(&self) -> Result<(), RepositoryError> {
        self.conversation.refused().map_or(Ok(()), |error| Err(self.repository.refused(error)))
    }

    fn finish(&mut self, commit: Commit) -> Result<(), RepositoryError> {
        if !self.is_changed {
            return Ok(());
        }
        let repository = self.repository;
        self.conversation.settle(repository.patiently()).map_err(|broken| repository.broken(broken))?;
        self.require_none_refused()?;
        let before = lock(&repository.manifest).clone();
        let outcome = match self.conversation.ask(&Call::Commit(commit), Until::Answered) {
            Ok(outcome) => outcome.map(drop).map_err(|error| repository.refused(error)),
            Err(Broken::Lost(reason)) => self.find_out(&before, &reason),
            Err(broken) => Err(repository.broken(broken)),
        };
        if outcome.is_ok() {
            self.is_over = true;
            if let Some(manifest) = self.manifest.take() {
                *lock(&repository.manifest) = Manifest::Is(manifest);
            }
        }
        outcome
    }

    /// Finds out whether a commit was made whose answer never came: the manifest tells, whose every object is another one.
    fn find_out(&mut self, before: &Manifest, reason: &str) -> Result<(), RepositoryError> {
        let repository = self.repository;
        let wanted = self.manifest.clone().map(Manifest::Is).filter(|wanted| wanted != before);
        let Some(wanted) = wanted else {
            return Err(repository.lost(&format!("{reason}; whether the last change was made is not known")));
        };
        warn!(
            "the connection to the repository at {} was lost while it committed; whether it did is looked up: {reason}",
            repository.options.location
        );
        let opened = repository.open_again(reason)?;
        let now = repository.manifest_of(&opened)?;
        if now == wanted {
            info!("the commit was made");
            repository.take_over(opened);
            return Ok(());
        }
        self.is_over = true;
        if now == *before {
            repository.take_over(opened);
            return Err(repository.lost(&format!("{reason}; nothing was committed")));
        }
        Err(repository.lost(&format!("{reason}; somebody else has written to the repository since")))
    }
}

impl Transaction for RemoteTransaction<'_> {
    fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), RepositoryError> {
        if object.len() > MAX_DATA_SIZE {
            return Err(RepositoryError::ObjectTooLarge(object.len()));
        }
        if id == ChunkId::MANIFEST {
            self.manifest = Some(object.clone());
        }
        self.post(&Call::Put { id, data: Payload(object), wait: None })?;
        self.conversation.forget(&id);
        Ok(())
    }

    fn delete(&mut self, id: ChunkId) -> Result<(), RepositoryError> {
        self.post(&Call::Delete { id, wait: None })?;
        self.conversation.forget(&id);
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), RepositoryError> {
        self.finish(Commit { compact: false, ..Commit::default() })
    }

    /// How much was freed is not told: a server does not say.
    fn commit_and_compact(mut self: Box<Self>, threshold_percent: u8) -> Result<CompactStats, RepositoryError> {
        let threshold = f64::from(threshold_percent) / 100.0;
        self.finish(Commit { compact: true, threshold, ..Commit::default() }).map(|()| CompactStats::default())
    }
}

impl Drop for RemoteTransaction<'_> {
    fn drop(&mut self) {
        if self.is_changed && !self.is_over && self.conversation.lost().is_none() {
            let is_last = self.repository.options.stop.is_requested();
            let patience = if is_last { LAST_ROLLBACK } else { ROLLBACK };
            match self.conversation.ask(&Call::Rollback, Until::Patience(patience)) {
                Ok(Ok(_)) => self.conversation.forgive(),
                Ok(Err(error)) => {
                    warn!("the server does not take the changes back, so the connection is closed: {error}");
                    self.conversation.cut("a rollback failed");
                }
                // What was not committed goes with the connection.
                Err(_) => self.conversation.cut("a rollback took too long"),
            }
        }
        self.repository.in_transaction.store(false, Ordering::SeqCst);
    }
}
