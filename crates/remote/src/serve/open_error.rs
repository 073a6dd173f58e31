//! Why a client does not get the repository that it has named.

use std::path::PathBuf;

use worldkeeper_core::RepositoryError;
use worldkeeper_rpc::{Arg, Class, RemoteError};

/// Why a client does not get the repository that it has named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It may not go there.
    #[error("{0} is not among the paths that this server is restricted to")]
    NotAllowed(PathBuf),
    /// There is nothing to create it in.
    #[error("there is no directory to create {0} in")]
    NoParent(PathBuf),
    /// Something else is where it was to be created.
    #[error("there is already something at {0}")]
    Occupied(PathBuf),
    /// Whoever runs this server may not look there.
    #[error("permission denied to {0}")]
    PermissionDenied(PathBuf),
    /// Its lock cannot be made.
    #[error("cannot lock {path}: {reason}")]
    Lock {
        /// The repository.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Everything else.
    #[error("cannot open {path}")]
    Repository {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: RepositoryError,
    },
}

impl OpenError {
    /// Borg's word for it.
    pub(super) fn to_remote(&self) -> RemoteError {
        let (class, args) = match self {
            Self::NotAllowed(path) => (Class::PathNotAllowed, vec![shown(path)]),
            Self::NoParent(path) => (Class::ParentPathDoesNotExist, vec![shown(path)]),
            Self::Occupied(path) => (Class::PathAlreadyExists, vec![shown(path)]),
            Self::PermissionDenied(path) => (Class::PathPermissionDenied, vec![shown(path)]),
            Self::Lock { path, reason } => {
                (Class::LockFailed, vec![shown(&path.join("lock.exclusive")), reason.clone()])
            }
            Self::Repository { path, source } => return RemoteError::from_repository_error(source, &shown(path)),
        };
        RemoteError::borg(class, args.into_iter().map(Arg::from))
    }
}

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}
