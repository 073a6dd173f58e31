//! Opens the repository: waits for its lock, says for whom, makes a missing one, and judges what was found.
//!
//! A command by hand waits ten minutes, the daemon for ever. A repository that does not exist is made by the first
//! backup; nothing else makes one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, RepositoryId, Stop};
use worldkeeper_crypto::{EncryptionMode, KeyBlobError};
use worldkeeper_engine::{Session, SessionError, SessionOptions, StateError, Suspicion, Trust};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OnWait, OpenOptions};
use worldkeeper_scheduler::job::{OpenError, OpenSession};
use zeroize::Zeroizing;

use crate::place::Place;
use crate::report;

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
    /// To accept it as it is, however it looks.
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

/// Why the repository cannot be used. The paths and names a hint needs are in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The repository itself.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// What is in it.
    #[error(transparent)]
    Session(SessionError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The key does not open.
    #[error("the passphrase {origin} is wrong for the repository at {location}")]
    WrongPassphrase {
        /// Where the passphrase is from.
        origin: String,
        /// The repository.
        location: String,
    },
    /// It is not what was left.
    #[error("nothing is written to the repository at {location}: it is not as it was left")]
    Untrusted {
        /// The repository.
        location: String,
        /// What is odd.
        #[source]
        suspicion: Suspicion,
    },
    /// The system gave no random bytes.
    #[error("cannot draw the id of a new repository")]
    Random(#[source] getrandom::Error),
}

impl Place {
    /// Opens the repository. Waiting ends when `stop` is requested.
    pub(crate) fn session(&self, purpose: Purpose, caller: Caller, stop: &Stop) -> Result<Session, AccessError> {
        let repository = match self.repository(purpose, caller, stop) {
            Err(RepositoryError::DoesNotExist(_)) if purpose == Purpose::WriteOrCreate => {
                self.create()?;
                self.repository(purpose, caller, stop)?
            }
            repository => repository?,
        };
        if purpose == Purpose::WriteOrCreate && is_blank(&repository)? {
            return self.initialize(repository, stop);
        }
        let session = self.unlock(repository, stop)?;
        self.judge(session, purpose)
    }

    fn repository(&self, purpose: Purpose, caller: Caller, stop: &Stop) -> Result<LocalRepository, RepositoryError> {
        let wait = self.settings.lock_wait.value.or(match caller {
            Caller::Hand => Some(PATIENCE),
            Caller::Once | Caller::Daemon => None,
        });
        let location = self.location();
        let on_wait: OnWait =
            Arc::new(move |holder| info!("waiting for the repository at {location}: {holder} has the lock"));
        let writes = matches!(purpose, Purpose::Write | Purpose::WriteOrCreate);
        let mut options = OpenOptions {
            mode: if writes { Mode::Exclusive } else { Mode::Shared },
            wait,
            on_wait: Some(on_wait),
            identity: self.state.identity(),
            clock: Arc::clone(&self.clock),
            stop: stop.clone(),
        };
        let path = &self.settings.repository.value;
        match LocalRepository::open(Arc::clone(&self.disk), path, &options) {
            Err(RepositoryError::Disk(error)) if !writes && error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                info!("the repository is on read-only media and is read without a lock");
                options.mode = Mode::WithoutLock;
                LocalRepository::open(Arc::clone(&self.disk), path, &options)
            }
            opened => opened,
        }
    }

    fn unlock(&self, repository: LocalRepository, stop: &Stop) -> Result<Session, AccessError> {
        let (passphrase, origin) = self.known_passphrase()?;
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        Session::open(Box::new(repository), &self.session_options(passphrase, stop)).map_err(|error| match error {
            SessionError::Key(KeyBlobError::WrongPassphrase) => {
                AccessError::WrongPassphrase { origin, location: self.location() }
            }
            error => AccessError::Session(error),
        })
    }

    /// Says what is remarkable about a repository, and refuses to write to one that is not as it was left.
    fn judge(&self, session: Session, purpose: Purpose) -> Result<Session, AccessError> {
        let location = session.location();
        match session.trust() {
            Trust::Moved { from } => info!("the repository at {location} is the one that was at {from}"),
            Trust::Adopted if purpose == Purpose::WriteOrCreate || purpose == Purpose::Write => warn!(
                "the state directory {} does not know the repository at {location}: its manifest proves our key, so it \
                 is taken over as it is. Had it been replaced by an older copy meanwhile, nobody could tell",
                self.state.path().display()
            ),
            Trust::Known | Trust::Adopted => {}
            Trust::Suspicious(suspicion) => match purpose {
                Purpose::Write | Purpose::WriteOrCreate => {
                    return Err(AccessError::Untrusted { location, suspicion: suspicion.clone() });
                }
                Purpose::Read => warn!("{suspicion}; it is only read"),
                Purpose::Adopt => {}
            },
        }
        Ok(session)
    }

    /// Makes an empty repository.
    fn create(&self) -> Result<(), AccessError> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(AccessError::Random)?;
        let options = CreateOptions { make_parent_dirs: true, ..CreateOptions::new(RepositoryId(id)) };
        LocalRepository::create(self.disk.as_ref(), &self.settings.repository.value, &options)?;
        Ok(())
    }

    /// Gives an empty repository its key and says, loudly, what has to be kept.
    fn initialize(&self, repository: LocalRepository, stop: &Stop) -> Result<Session, AccessError> {
        let mode = self.settings.encryption.value;
        let (mut passphrase, _) = self.known_passphrase()?;
        if passphrase.is_none() && mode != EncryptionMode::None {
            passphrase = Some(self.state.generate_passphrase()?);
            warn!("a passphrase was generated and is in {}", self.state.passphrase_path().display());
        }
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        let options = self.session_options(passphrase, stop);
        let session = Session::initialize(Box::new(repository), mode, &options).map_err(AccessError::Session)?;
        info!("made the repository at {}, encryption {mode}", session.location());
        if mode == EncryptionMode::None {
            warn!("the repository is not encrypted: who can read its files can read the backups");
        } else {
            warn!(
                "STORE A COPY OF THE KEY ELSEWHERE, with the passphrase: {}. Without them no backup can be restored",
                self.state.repository(session.id()).file("key.export").display()
            );
        }
        Ok(session)
    }

    /// The passphrase as far as there is one, and where it is from, in words that fit "the passphrase … is wrong".
    fn known_passphrase(&self) -> Result<(Option<Zeroizing<String>>, String), StateError> {
        if let Some(given) = &self.passphrase {
            return Ok((Some(Zeroizing::new(given.text().to_owned())), format!("from {}", given.origin())));
        }
        let generated = self.state.passphrase()?;
        Ok((generated, format!("in {}", self.state.passphrase_path().display())))
    }

    fn session_options<'a>(&'a self, passphrase: Option<&'a str>, stop: &Stop) -> SessionOptions<'a> {
        SessionOptions { state: &self.state, passphrase, clock: Arc::clone(&self.clock), stop: stop.clone() }
    }
}

/// Returns whether a repository has nothing in it: its creation was cut short, or has just begun.
fn is_blank(repository: &LocalRepository) -> Result<bool, RepositoryError> {
    match repository.get(&ChunkId::MANIFEST) {
        Err(RepositoryError::ObjectNotFound(_)) => Ok(repository.ids()?.is_empty()),
        other => other.map(|_| false),
    }
}

impl AccessError {
    /// Returns whether this only says that a stop was asked for.
    fn is_stopped(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(error, RepositoryError::Stopped),
            Self::Session(error) => error.is_stopped(),
            _ => false,
        }
    }
}

/// Opens the repository for backups, again and again.
pub(crate) struct Opener {
    pub(crate) place: Arc<Place>,
    pub(crate) caller: Caller,
}

impl OpenSession for Opener {
    fn open(&self, stop: &Stop) -> Result<Session, OpenError> {
        self.place.session(Purpose::WriteOrCreate, self.caller, stop).map_err(|error| {
            if error.is_stopped() {
                return OpenError::Stopped;
            }
            // The daemon logs what failed and why; what to do about it would be lost on the way.
            if self.caller == Caller::Daemon
                && let Some(hint) = report::hint(&error)
            {
                warn!("{hint}");
            }
            OpenError::Failed(Box::new(error))
        })
    }

    fn location(&self) -> String {
        self.place.location()
    }
}
