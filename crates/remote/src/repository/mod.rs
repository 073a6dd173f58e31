//! A repository on another machine, as `core` sees any repository.
//!
//! Nothing of it is kept here but the manifest's object as it was seen last: it tells, after a connection was lost, whether
//! the repository is still the one that was being worked on.

mod check;
mod open;
mod reconnect;
mod transaction;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use worldkeeper_core::repository::{Announced, CheckEvent, CheckOptions, RepositoryCheck};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, RepositoryId, Transaction};
use worldkeeper_rpc::{AsSeen, Call, Outcome, Page, Payload, RemoteError, Reply};

use crate::Connect;
use crate::conversation::{Broken, Conversation, Until};
use open::Welcome;
pub use open::{NO_PARENT, OnWait, RemoteMode, RemoteOptions};
use transaction::RemoteTransaction;

/// A repository behind `borg serve`, open.
pub struct RemoteRepository {
    connect: Arc<dyn Connect>,
    options: RemoteOptions,
    id: RepositoryId,
    /// Replaced after a connection was lost.
    conversation: Mutex<Arc<Conversation>>,
    /// Held while it is replaced.
    reconnecting: Mutex<()>,
    /// What was asked for at once when the repository was opened, and was not taken yet.
    welcome: Mutex<Welcome>,
    manifest: Mutex<Manifest>,
    in_transaction: AtomicBool,
    /// Somebody was told which objects there are, and goes by that.
    has_listed: AtomicBool,
}

/// The manifest's object as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Manifest {
    /// Nobody has asked for it.
    Unknown,
    /// There was none.
    Absent,
    /// It was this.
    Is(Bytes),
}

/// Objects that a repository is believed to have: a hundred terabytes at the usual size, and 2 GiB for their ids.
const MAX_OBJECTS: usize = 1 << 26;

/// Ids that are asked for at once.
const PAGE: u64 = 10_000;

impl RemoteRepository {
    /// The server's version of borg.
    pub fn server_version(&self) -> String {
        self.conversation().server_version()
    }

    fn conversation(&self) -> Arc<Conversation> {
        Arc::clone(&lock(&self.conversation))
    }

    /// Until an answer has come, or a stop is asked for.
    fn patiently(&self) -> Until<'_> {
        Until::Stop(&self.options.stop)
    }

    /// Asks for something that changes nothing; once more, if the connection is lost.
    fn read(&self, call: &Call) -> Result<Reply, RepositoryError> {
        self.read_by(&|conversation| conversation.ask(call, self.patiently()))
    }

    fn read_by(&self, ask: &dyn Fn(&Conversation) -> Result<Outcome, Broken>) -> Result<Reply, RepositoryError> {
        let mut losses = 0;
        loop {
            let conversation = self.conversation();
            match ask(&conversation) {
                Ok(outcome) => return outcome.map_err(|error| self.refused(error)),
                Err(Broken::Lost(reason)) if losses < reconnect::MOST_LOSSES => {
                    losses += 1;
                    self.reconnect(&conversation, &reason)?;
                }
                Err(broken) => return Err(self.broken(broken)),
            }
        }
    }

    /// What was asked for at once when the repository was opened, if it was not taken yet; else asks.
    fn first(
        &self,
        welcomed: impl FnOnce(&mut Welcome) -> Option<Outcome>,
        call: &Call,
    ) -> Result<Reply, RepositoryError> {
        let welcomed = welcomed(&mut lock(&self.welcome));
        match welcomed {
            Some(outcome) => outcome.map_err(|error| self.refused(error)),
            None => self.read(call),
        }
    }

    /// Asks for something that takes effect at once. A lost connection leaves open whether it has.
    fn change(&self, call: &Call) -> Result<Reply, RepositoryError> {
        let conversation = self.connected()?;
        let outcome = conversation.ask(call, Until::Answered).map_err(|broken| self.broken(broken))?;
        outcome.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: RemoteError) -> RepositoryError {
        self.options.refused(error)
    }

    fn broken(&self, broken: Broken) -> RepositoryError {
        self.options.broken(broken)
    }

    fn require_exclusive(&self) -> Result<(), RepositoryError> {
        match self.options.mode {
            RemoteMode::Exclusive => Ok(()),
            _ => Err(RepositoryError::NotWritable("it was opened for reading".to_owned())),
        }
    }

    /// Asks for the manifest; and with it, outside of a transaction, how many objects there are, which is what comes next.
    fn read_manifest(&self, conversation: &Conversation) -> Result<Outcome, Broken> {
        let until = self.patiently();
        let manifest = conversation.request(&Call::Get { id: ChunkId::MANIFEST }, until)?;
        if self.in_transaction.load(Ordering::SeqCst) {
            return conversation.answer(manifest, until);
        }
        let count = conversation.request(&Call::Len, until)?;
        let manifest = conversation.answer(manifest, until)?;
        lock(&self.welcome).object_count = Some(conversation.answer(count, until)?);
        Ok(manifest)
    }

    fn see_manifest(&self, seen: &Result<Bytes, RepositoryError>) {
        match seen {
            Ok(object) => *lock(&self.manifest) = Manifest::Is(object.clone()),
            Err(RepositoryError::ObjectNotFound(_)) => *lock(&self.manifest) = Manifest::Absent,
            Err(_) => {}
        }
    }
}

impl RemoteOptions {
    fn refused(&self, error: RemoteError) -> RepositoryError {
        let lock_wait_seconds = self.wait.map_or(0, |wait| wait.as_secs());
        error.into_repository_error(AsSeen { location: &self.location, lock_wait_seconds })
    }

    fn broken(&self, broken: Broken) -> RepositoryError {
        let location = self.location.clone();
        match broken {
            Broken::Lost(reason) | Broken::NoServer(reason) => RepositoryError::ConnectionLost { location, reason },
            Broken::Impatient => {
                RepositoryError::ConnectionLost { location, reason: "the server does not answer".to_owned() }
            }
            Broken::Stopped => RepositoryError::Stopped,
            Broken::Refused(error) => RepositoryError::Refused { location, reason: error.to_string() },
        }
    }
}

/// A server that answers something else than it was asked is refused beneath; this is for the compiler.
fn unexpected(reply: &Reply) -> RepositoryError {
    RepositoryError::Other(format!("the server gave another kind of answer than was asked for: {reply:?}"))
}

fn data(reply: Reply) -> Result<Bytes, RepositoryError> {
    match reply {
        Reply::Data(Payload(bytes)) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repository for RemoteRepository {
    fn id(&self) -> RepositoryId {
        self.id
    }

    fn location(&self) -> String {
        self.options.location.clone()
    }

    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        if *id != ChunkId::MANIFEST {
            return data(self.read_by(&|conversation| conversation.get(id, self.patiently()))?);
        }
        let welcomed = lock(&self.welcome).manifest.take();
        let seen = match welcomed {
            Some(outcome) => outcome.map_err(|error| self.refused(error)).and_then(data),
            None => self.read_by(&|conversation| self.read_manifest(conversation)).and_then(data),
        };
        if !self.in_transaction.load(Ordering::SeqCst) {
            self.see_manifest(&seen);
        }
        seen
    }

    fn will_read(&self, objects: &mut dyn Iterator<Item = Announced>) {
        self.conversation().read_ahead(objects);
    }

    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        self.has_listed.store(true, Ordering::SeqCst);
        let mut ids = Vec::new();
        loop {
            // Nobody can have deleted the last one: the lock is held.
            let page = Page { limit: Some(PAGE), marker: ids.last().copied() };
            match self.read(&Call::List(page))? {
                Reply::Ids(more) => {
                    let is_last = (more.len() as u64) < PAGE;
                    ids.extend(more);
                    if ids.len() > MAX_OBJECTS {
                        let reason = format!("it lists more than {MAX_OBJECTS} objects");
                        return Err(RepositoryError::CheckNeeded(reason));
                    }
                    if is_last {
                        return Ok(ids);
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    fn object_count(&self) -> Result<u64, RepositoryError> {
        match self.first(|welcome| welcome.object_count.take(), &Call::Len)? {
            Reply::Count(count) => Ok(count),
            other => Err(unexpected(&other)),
        }
    }

    fn load_key(&self) -> Result<Option<String>, RepositoryError> {
        let reply = self.first(|welcome| welcome.key.take(), &Call::LoadKey)?;
        let text = String::from_utf8(data(reply)?.into()).map_err(|_| RepositoryError::InvalidConfig {
            path: self.location(),
            reason: "the key in it is no text".to_owned(),
        })?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn save_key(&self, key: &str) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        lock(&self.welcome).key = None;
        match self.change(&Call::SaveKey { keydata: Payload(key.to_owned().into()) }) {
            // It may be stored. Whoever has the connection lost here is told so, unless it is known better.
            Err(RepositoryError::ConnectionLost { .. }) if self.load_key()?.as_deref() == Some(key) => Ok(()),
            other => other.map(drop),
        }
    }

    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        match self.first(|welcome| welcome.nonce.take(), &Call::GetFreeNonce)? {
            Reply::FreeNonce(nonce) => Ok(nonce),
            other => Err(unexpected(&other)),
        }
    }

    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        lock(&self.welcome).nonce = None;
        // If the connection is lost here, the reservation may have been made. That wastes it, and harms nobody.
        match self.change(&Call::CommitNonceReservation { next_unreserved: next, start_nonce: current }) {
            Err(RepositoryError::NonceConflict { .. }) => {
                Err(RepositoryError::NonceConflict { expected: current, found: self.free_nonce()? })
            }
            other => other.map(drop),
        }
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError> {
        self.require_exclusive()?;
        let conversation = self.connected()?;
        if self.in_transaction.swap(true, Ordering::SeqCst) {
            return Err(RepositoryError::NotWritable("there is another transaction".to_owned()));
        }
        *lock(&self.welcome) = Welcome::default();
        Ok(Box::new(RemoteTransaction::begin(self, conversation)))
    }

    fn check(
        &self,
        options: &CheckOptions,
        on_event: &mut dyn FnMut(CheckEvent<'_>),
    ) -> Result<RepositoryCheck, RepositoryError> {
        check::check(self, options, on_event)
    }
}
