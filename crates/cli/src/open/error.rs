//! Why the repository cannot be used, and whether that can mend itself.

use std::path::PathBuf;

use worldkeeper_core::{RepositoryError, RepositoryId};
use worldkeeper_engine::{SessionError, StateError, Suspicion};

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
    /// There is none, or an empty one, where one was.
    #[error("repository {id} was at {location}, and is not there now")]
    Gone {
        /// Where it was.
        location: String,
        /// The one that is expected.
        id: RepositoryId,
    },
    /// A passphrase would have to be generated, and be gone with the container.
    #[error("no passphrase is generated into {}: it lies in the container's own layer", .0.display())]
    Fleeting(PathBuf),
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

impl AccessError {
    /// Returns whether this only says that a stop was asked for.
    pub(super) fn is_stopped(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(error, RepositoryError::Stopped),
            Self::Session(error) => error.is_stopped(),
            _ => false,
        }
    }
}
