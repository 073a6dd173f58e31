//! Opens the repository: waits for its lock, says for whom, makes a missing one, and judges what was found.
//!
//! A command by hand waits ten minutes, the daemon for ever, unless other repositories wait for their turn. A repository that does not exist is made by the first
//! backup; nothing else makes one, and nothing makes one where one was.

mod answer;
mod error;
mod escrow;
mod gone;
mod look;
mod make;
mod proof;
mod remote;
mod repository;
mod unlocked;

use std::sync::{Arc, Once};
use std::time::Duration;

use tracing::{info, warn};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, Stop};
use worldkeeper_crypto::{KeyBlobError, KeyStorage};
use worldkeeper_engine::{
    CreateError, ManifestLoss, Session, SessionError, SessionOptions, StateError, Suspicion, Trust,
};
use worldkeeper_remote::RemoteRepository;
use worldkeeper_repository::{LocalRepository, Mode, OnWait, OpenOptions};
use worldkeeper_scheduler::job::{OpenError, OpenSession};
use zeroize::Zeroizing;

use crate::place::Place;
use crate::settings::Location;

pub(crate) use answer::Presence;
pub(crate) use error::AccessError;
pub(crate) use escrow::ASK_FOR_COPY;
pub(crate) use gone::{not_there, others_deleted, others_deleted_newest, there};
pub(crate) use repository::OpenRepository;

/// How long a command by hand waits for the repository.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a repository is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look at it or restore from it.
    Read,
    /// To change what is there.
    Write,
    /// To add to it; it is made if it does not exist.
    WriteOrCreate,
    /// To accept it as it is, however it looks, and put its counter right.
    Adopt,
}

/// Who wants the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A command by hand: somebody sits there and waits.
    Hand,
    /// `run --once`: nobody waits, but somebody reads how it ended.
    Once,
    /// The daemon: there is the log, and nothing else.
    Daemon,
}

impl Place {
    /// Opens the repository. Waiting ends when `stop` is requested.
    pub(crate) fn session(&self, purpose: Purpose, caller: Caller, stop: &Stop) -> Result<Session, AccessError> {
        let repository = match self.existing_repository(purpose, caller, stop) {
            Err(AccessError::Repository(RepositoryError::DoesNotExist(_))) if purpose == Purpose::WriteOrCreate => {
                self.require_lasting_passphrase()?;
                self.create(purpose, caller, stop)?
            }
            repository => repository?,
        };
        if matches!(purpose, Purpose::WriteOrCreate | Purpose::Adopt) && is_blank(&*repository)? {
            self.require_none_was_at(&repository.location())?;
            if purpose == Purpose::WriteOrCreate {
                let session = self.initialize(repository, stop)?;
                self.keep_copies(&session, purpose);
                return Ok(session);
            }
        }
        self.session_of(repository, purpose, stop)
    }

    /// Opens what is in a repository that is open, and judges it.
    pub(crate) fn session_of(
        &self,
        repository: OpenRepository,
        purpose: Purpose,
        stop: &Stop,
    ) -> Result<Session, AccessError> {
        let session = self.unlock(repository, stop)?;
        let session = self.judge(session, purpose)?;
        if matches!(purpose, Purpose::Write | Purpose::WriteOrCreate) {
            self.keep_copies(&session, purpose);
        }
        self.note_gone(&session);
        Ok(session)
    }

    /// Opens a repository, without its key, for a check of its archives, even if its manifest is lost.
    pub(crate) fn session_for_check(
        &self,
        repository: OpenRepository,
        purpose: Purpose,
        stop: &Stop,
    ) -> Result<(Session, Option<ManifestLoss>), AccessError> {
        let (session, loss) =
            self.with_passphrase(stop, |options| Session::open_for_check(repository.boxed(), options))?;
        Ok((self.judge(session, purpose)?, loss))
    }

    /// Opens a repository for an undelete: by an earlier manifest, if the one that is there cannot be used.
    pub(crate) fn session_for_undelete(&self, purpose: Purpose, stop: &Stop) -> Result<Session, AccessError> {
        let repository = self.existing_repository(purpose, Caller::Hand, stop)?;
        let (session, is_earlier) =
            self.with_passphrase(stop, |options| Session::open_for_undelete(repository.boxed(), options))?;
        if is_earlier {
            warn!("the manifest cannot be used; the archives are those that an earlier one lists");
        }
        let session = self.judge(session, purpose)?;
        if purpose == Purpose::Write {
            self.keep_copies(&session, purpose);
        }
        Ok(session)
    }

    /// Requires that the repository is not suspicious, as far as it can be read. Whoever writes it asks again.
    pub(crate) fn require_trust(&self, stop: &Stop) -> Result<(), AccessError> {
        let repository = self.existing_repository(Purpose::Read, Caller::Hand, stop)?;
        let (location, found) = (repository.location(), repository.id());
        if let Some(seen) = self.state.other_repository_at(&location, found)? {
            // Whether our key opens it or not.
            return Err(AccessError::Untrusted { location, suspicion: Suspicion::Replaced { seen, found } });
        }
        let opened = self.with_passphrase(stop, |options| Session::open_for_check(repository.boxed(), options));
        match opened {
            Ok((session, _)) => self.judge_silently(&session),
            // It is to be mended, after all, and what it holds may need no key.
            Err(_) => Ok(()),
        }
    }

    /// Opens a repository that is there, without its key. Waiting ends when `stop` is requested.
    pub(crate) fn existing_repository(
        &self,
        purpose: Purpose,
        caller: Caller,
        stop: &Stop,
    ) -> Result<OpenRepository, AccessError> {
        match self.repository(purpose, caller, stop) {
            Err(RepositoryError::DoesNotExist(location)) => {
                self.require_none_was_at(&location)?;
                Err(RepositoryError::DoesNotExist(location).into())
            }
            repository => repository.map_err(|error| self.explain(error)),
        }
    }

    /// Opens the repository without its key. Waiting ends when `stop` is requested.
    pub(crate) fn repository(
        &self,
        purpose: Purpose,
        caller: Caller,
        stop: &Stop,
    ) -> Result<OpenRepository, RepositoryError> {
        let wait = self.settings.lock_wait.value.or(match caller {
            Caller::Hand => Some(PATIENCE),
            // The others wait for their turn.
            _ if self.is_one_of_several() => Some(PATIENCE),
            Caller::Once | Caller::Daemon => None,
        });
        if purpose != Purpose::Read {
            return self.open_as(Mode::Exclusive, wait, stop);
        }
        let mode = if self.passes_over_lock() { Mode::WithoutLock } else { Mode::Shared };
        match self.open_as(mode, wait, stop) {
            Err(RepositoryError::Disk(error)) if self.reads_all_the_same(&error) => {
                self.open_as(Mode::WithoutLock, wait, stop)
            }
            opened => opened,
        }
    }

    fn open_as(&self, mode: Mode, wait: Option<Duration>, stop: &Stop) -> Result<OpenRepository, RepositoryError> {
        let path = match &self.settings.repository.value {
            Location::Local(path) => path,
            Location::Remote(location) => {
                let options = self.remote_options(location, mode, wait, stop);
                let repository = RemoteRepository::open(self.connector(location)?, options)?;
                return Ok(OpenRepository::Remote(Box::new(repository)));
            }
        };
        let location = self.location();
        let on_wait: OnWait =
            Arc::new(move |holder| info!("waiting for the repository at {location}: {holder} has the lock"));
        let options = OpenOptions {
            mode,
            wait,
            on_wait: Some(on_wait),
            identity: self.state.identity(),
            clock: Arc::clone(&self.clock),
            stop: stop.clone(),
        };
        let repository = LocalRepository::open(Arc::clone(&self.disk), path, &options)?;
        Ok(OpenRepository::Local(Box::new(repository)))
    }

    /// Removes the repository's locks, whoever holds them. Returns whether there were any; of a server nobody learns it.
    pub(crate) fn break_lock(&self, stop: &Stop) -> Result<bool, RepositoryError> {
        match &self.settings.repository.value {
            Location::Local(path) => worldkeeper_repository::break_lock(self.disk.as_ref(), path),
            Location::Remote(location) => {
                let options = self.remote_options(location, Mode::WithoutLock, None, stop);
                RemoteRepository::break_lock(self.connector(location)?.as_ref(), &options)?;
                Ok(true)
            }
        }
    }

    fn unlock(&self, repository: OpenRepository, stop: &Stop) -> Result<Session, AccessError> {
        self.with_passphrase(stop, |options| Session::open(repository.boxed(), options))
    }

    fn with_passphrase<T>(
        &self,
        stop: &Stop,
        open: impl FnOnce(&SessionOptions<'_>) -> Result<T, SessionError>,
    ) -> Result<T, AccessError> {
        let (passphrase, origin) = self.known_passphrase()?;
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        open(&self.session_options(passphrase, stop)).map_err(|error| match error {
            SessionError::Key(KeyBlobError::WrongPassphrase) => {
                AccessError::WrongPassphrase { origin, location: self.location() }
            }
            error => AccessError::Session(error),
        })
    }

    fn judge_silently(&self, session: &Session) -> Result<(), AccessError> {
        match self.trust(session)? {
            Trust::Suspicious(suspicion) => Err(AccessError::Untrusted { location: self.location(), suspicion }),
            _ => Ok(()),
        }
    }

    /// Says what is remarkable about a repository, and refuses to write to one that is not as it was left.
    fn judge(&self, session: Session, purpose: Purpose) -> Result<Session, AccessError> {
        let location = session.location();
        match self.trust(&session)? {
            Trust::Moved { from } => info!("the repository at {location} is the one that was at {from}"),
            Trust::Adopted if purpose == Purpose::WriteOrCreate || purpose == Purpose::Write => {
                let proof = match session.mode().key_storage() {
                    KeyStorage::Nowhere => "it is not encrypted, and nothing proves whose it is",
                    KeyStorage::Repository if self.known_passphrase()?.0.is_none() => {
                        "its key has no passphrase, and nothing proves whose it is"
                    }
                    KeyStorage::Repository | KeyStorage::KeyFile => "its manifest proves our key",
                };
                warn!(
                    "the state directory {} does not know the repository at {location}: {proof}, so it is taken over \
                     as it is. Had it been replaced by an older copy meanwhile, nobody could tell",
                    self.state.path().display()
                );
            }
            Trust::Known | Trust::Adopted => {}
            Trust::Suspicious(suspicion) => match purpose {
                Purpose::Write | Purpose::WriteOrCreate => {
                    return Err(AccessError::Untrusted { location, suspicion });
                }
                Purpose::Read => warn!("{suspicion}; it is only read"),
                Purpose::Adopt => {}
            },
        }
        Ok(session)
    }

    /// The passphrase as far as there is one, and where it is from, in words that fit "the passphrase … is wrong".
    pub(crate) fn known_passphrase(&self) -> Result<(Option<Zeroizing<String>>, String), StateError> {
        if let Some(given) = &self.passphrase {
            return Ok((Some(Zeroizing::new(given.text().to_owned())), format!("from {}", given.origin())));
        }
        let generated = self.state.passphrase()?;
        Ok((generated, format!("in {}", self.state.passphrase_path().display())))
    }

    fn session_options<'a>(&'a self, passphrase: Option<&'a str>, stop: &Stop) -> SessionOptions<'a> {
        let clock = Arc::clone(&self.clock);
        SessionOptions { state: &self.state, key_store: &self.key_files, passphrase, clock, stop: stop.clone() }
    }
}

/// Returns whether a repository has nothing in it: its creation was cut short, or has just begun.
fn is_blank(repository: &dyn Repository) -> Result<bool, RepositoryError> {
    match repository.get(&ChunkId::MANIFEST) {
        Err(RepositoryError::ObjectNotFound(_)) => Ok(repository.ids()?.is_empty()),
        other => other.map(|_| false),
    }
}

/// Opens the repository for backups, again and again.
pub(crate) struct Opener {
    pub(crate) place: Arc<Place>,
    pub(crate) caller: Caller,
    /// What is said of its place, once.
    pub(crate) told: Once,
}

impl Opener {
    /// Warns, once it is known that its file system answers, of a repository that goes with a container.
    fn warn_if_fleeting(&self) {
        if self.place.repository_is_fleeting() {
            let location = self.place.location();
            warn!(
                "the repository at {location} lies in the container's own layer: it goes when this container goes, and every \
                 backup with it. Mount a directory there; `worldkeeper doctor` shows how"
            );
        }
    }
}

impl OpenSession for Opener {
    fn open(&self, stop: &Stop) -> Result<Session, OpenError> {
        self.place.require_answer(stop).map_err(|error| match error {
            CreateError::Session(error) if error.is_stopped() => OpenError::Stopped,
            error => OpenError::Failed { source: Box::new(error), retry: true },
        })?;
        self.told.call_once(|| self.warn_if_fleeting());
        self.place.session(Purpose::WriteOrCreate, self.caller, stop).map_err(|error| {
            if error.is_stopped() {
                return OpenError::Stopped;
            }
            OpenError::Failed { retry: error.may_pass(), source: Box::new(error) }
        })
    }

    fn location(&self) -> String {
        self.place.location()
    }
}
