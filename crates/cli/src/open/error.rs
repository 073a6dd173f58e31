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
    /// Its `config` is gone or damaged, and a copy of it is here.
    #[error("the file config of the repository at {location} is gone or damaged")]
    Config {
        /// The repository.
        location: String,
        /// The copy.
        copy: PathBuf,
        /// What is there.
        #[source]
        source: Box<RepositoryError>,
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

impl AccessError {
    /// Returns whether this only says that a stop was asked for.
    pub(super) fn is_stopped(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(error, RepositoryError::Stopped),
            Self::Session(error) => error.is_stopped(),
            _ => false,
        }
    }

    /// Returns whether it may go well if it is tried again soon: a lock is given back, a disk has room again, a volume
    /// is mounted after all. What only a person can mend stays as it is until then.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Repository(error) => may_repository_pass(error),
            Self::Session(error) => may_session_pass(error),
            Self::State(error) => !matches!(error, StateError::Damaged { .. }),
            Self::Gone { .. } | Self::Random(_) => true,
            Self::WrongPassphrase { .. } | Self::Fleeting(_) | Self::Config { .. } | Self::Untrusted { .. } => false,
        }
    }
}

fn may_repository_pass(error: &RepositoryError) -> bool {
    use RepositoryError::{
        AlreadyExists, CheckNeeded, Damaged, InvalidConfig, NonceDamaged, NotARepository, ObjectNotFound,
        QuotaExceeded, Refused, Unreachable, Unsupported, UnsupportedVersion,
    };
    !matches!(
        error,
        AlreadyExists(_)
            | CheckNeeded(_)
            | Damaged { .. }
            | InvalidConfig { .. }
            | NonceDamaged(_)
            | NotARepository { .. }
            | ObjectNotFound(_)
            | QuotaExceeded { .. }
            | Refused { .. }
            | Unreachable { may_pass: false, .. }
            | Unsupported(_)
            | UnsupportedVersion { .. }
    )
}

fn may_session_pass(error: &SessionError) -> bool {
    match error {
        SessionError::Repository(error) => may_repository_pass(error),
        SessionError::State(error) => !matches!(error, StateError::Damaged { .. }),
        // The rest is about what the repository holds: its key, its mode, its manifest.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use worldkeeper_core::DiskError;
    use worldkeeper_crypto::KeyBlobError;

    use super::*;

    fn url() -> String {
        "ssh://nas/r".to_owned()
    }

    fn unreachable(may_pass: bool) -> RepositoryError {
        RepositoryError::Unreachable { location: url(), may_pass, source: "no route".into() }
    }

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again_soon() {
        let id = RepositoryId([1; 32]);
        let (path, location) = ("/r".to_owned(), "/r".to_owned());
        let suspicion = Suspicion::OtherKeyType { seen: 7, found: 5 };
        for error in [
            AccessError::WrongPassphrase { origin: "from BORG_PASSPHRASE".into(), location: location.clone() },
            AccessError::Untrusted { location, suspicion },
            AccessError::Fleeting("/var/lib/worldkeeper".into()),
            AccessError::Config {
                location: path.clone(),
                copy: "/s/config".into(),
                source: RepositoryError::NotARepository { path: path.clone(), reason: "no config".into() }.into(),
            },
            AccessError::Session(SessionError::ForeignKey(id)),
            AccessError::Session(SessionError::NoKeyFile { location: path.clone(), id }),
            AccessError::Session(SessionError::Key(KeyBlobError::WrongPassphrase)),
            AccessError::Session(RepositoryError::InvalidConfig { path: path.clone(), reason: "no id".into() }.into()),
            AccessError::Repository(RepositoryError::UnsupportedVersion { path, version: "2".into() }),
            AccessError::Repository(unreachable(false)),
            AccessError::Session(RepositoryError::Refused { location: url(), reason: "PathNotAllowed".into() }.into()),
            AccessError::Repository(RepositoryError::Unsupported("be read")),
        ] {
            assert!(!error.may_pass(), "{error}");
        }
    }

    #[test]
    fn locks_disks_volumes_and_connections_are_tried_again_soon() {
        let disk = || DiskError::new("open", "/r/config", io::ErrorKind::TimedOut.into());
        for error in [
            AccessError::Gone { location: "/r".into(), id: RepositoryId([1; 32]) },
            AccessError::Repository(RepositoryError::LockTimeout { holder: "somebody".into(), waited_seconds: 5 }),
            AccessError::Repository(disk().into()),
            AccessError::Session(RepositoryError::Disk(disk()).into()),
            AccessError::Repository(unreachable(true)),
            AccessError::Session(RepositoryError::ConnectionLost { location: url(), reason: "reset".into() }.into()),
            AccessError::State(disk().into()),
        ] {
            assert!(error.may_pass(), "{error}");
        }
    }
}
