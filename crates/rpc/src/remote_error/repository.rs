//! Borg's exceptions as our errors, and our errors as borg's exceptions.
//!
//! Neither has all that the other knows: borg's lock error names a path and not a holder, ours has no word for a path that
//! the server does not allow. What has no word of its own becomes text.

use worldkeeper_core::{MAX_DATA_SIZE, RepositoryError, error_text};

use super::{Arg, Class, RemoteError, size};

/// What borg raises when somebody else reserved nonces in between.
const NONCE_CONFLICT: &str = "nonce space reservation with mismatched previous state";
const OTHER_VERSION: (&str, &str) = ("repository version ", " is not supported by this borg version");

/// What the one who asked knows better than the server.
#[derive(Clone, Copy, Debug)]
pub struct AsSeen<'a> {
    /// Where the repository is: what a server says is a path of its own.
    pub location: &'a str,
    /// How long the server was told to wait for the lock.
    pub lock_wait_seconds: u64,
}

impl RemoteError {
    /// Our word for it.
    pub fn into_repository_error(self, seen: AsSeen<'_>) -> RepositoryError {
        let location = || seen.location.to_owned();
        let unusable = |reason: &str| RepositoryError::NotARepository { path: location(), reason: reason.to_owned() };
        if self.name == "Exception" && self.text(0) == NONCE_CONFLICT {
            // Which nonces they are it does not say; who asked knows one, and can ask for the other.
            return RepositoryError::NonceConflict { expected: None, found: None };
        }
        let Some(class) = self.class() else {
            return RepositoryError::Other(format!("the server failed with {self}"));
        };
        let known = match class {
            Class::DoesNotExist => Some(RepositoryError::DoesNotExist(location())),
            Class::AlreadyExists => Some(RepositoryError::AlreadyExists(location())),
            Class::CheckNeeded => Some(RepositoryError::CheckNeeded(format!("{} is inconsistent", seen.location))),
            Class::InvalidRepository => Some(unusable("the server finds no valid configuration there")),
            Class::AtticRepository => Some(unusable("it was made by Attic")),
            Class::PathAlreadyExists => Some(unusable("there is something else")),
            Class::InvalidRepositoryConfig => Some(self.invalid_config(location())),
            Class::ObjectNotFound => self.text(0).parse().ok().map(RepositoryError::ObjectNotFound),
            Class::IntegrityError => self.damaged(),
            Class::LockTimeout => Some(RepositoryError::LockTimeout {
                holder: format!("whoever holds {}", self.text(0)),
                waited_seconds: seen.lock_wait_seconds,
            }),
            Class::NotLocked | Class::NotMyLock => Some(RepositoryError::LockLost(self.text(0))),
            Class::InsufficientFreeSpaceError => self.sizes().map(|(required_bytes, available_bytes)| {
                RepositoryError::InsufficientSpace { path: location(), available_bytes, required_bytes }
            }),
            Class::StorageQuotaExceeded => {
                self.sizes().map(|(quota_bytes, used_bytes)| RepositoryError::QuotaExceeded { quota_bytes, used_bytes })
            }
            Class::Error
            | Class::ErrorWithTraceback
            | Class::InvalidRPCMethod
            | Class::LockFailed
            | Class::ParentPathDoesNotExist
            | Class::PathNotAllowed
            | Class::PathPermissionDenied => None,
        };
        known.unwrap_or_else(|| {
            let reason = class.message(&self.args);
            match class {
                // Those that have a word of their own, and say something else here than they do elsewhere.
                Class::IntegrityError | Class::ObjectNotFound => {
                    RepositoryError::Other(format!("the server refused: {reason}"))
                }
                _ => RepositoryError::Refused { location: location(), reason },
            }
        })
    }

    /// Borg's word for it; `path` is where the repository is on the server.
    pub fn from_repository_error(error: &RepositoryError, path: &str) -> Self {
        let borg = |class, args: &[&str]| Self::borg(class, args.iter().map(|arg| Arg::from(*arg)));
        match error {
            RepositoryError::DoesNotExist(path) => borg(Class::DoesNotExist, &[path]),
            RepositoryError::AlreadyExists(path) => borg(Class::AlreadyExists, &[path]),
            RepositoryError::NotARepository { path, .. } => borg(Class::InvalidRepository, &[path]),
            RepositoryError::UnsupportedVersion { path, version } => {
                let (before, behind) = OTHER_VERSION;
                // What else we know of it is nothing that clients expect.
                let version = version.split(' ').next().unwrap_or_default();
                borg(Class::InvalidRepositoryConfig, &[path, &format!("{before}{version}{behind}")])
            }
            RepositoryError::InvalidConfig { path, reason } => borg(Class::InvalidRepositoryConfig, &[path, reason]),
            RepositoryError::ObjectNotFound(id) => borg(Class::ObjectNotFound, &[&id.to_string(), path]),
            RepositoryError::Damaged { segment, offset, reason } => {
                borg(Class::IntegrityError, &[&format!("{reason} [segment {segment}, offset {offset}]")])
            }
            RepositoryError::CheckNeeded(_) => borg(Class::CheckNeeded, &[path]),
            RepositoryError::LockTimeout { .. } => borg(Class::LockTimeout, &[&format!("{path}/lock.exclusive")]),
            RepositoryError::LockLost(_) => borg(Class::NotMyLock, &[&format!("{path}/lock.exclusive")]),
            RepositoryError::NonceConflict { .. } => Self::python("Exception", NONCE_CONFLICT),
            RepositoryError::InsufficientSpace { available_bytes, required_bytes, .. } => {
                let sizes = [size::format(*required_bytes), size::format(*available_bytes)];
                Self::borg(Class::InsufficientFreeSpaceError, sizes.map(Arg::from))
            }
            RepositoryError::DiskFull { required_bytes, .. } => {
                let sizes = [size::format(*required_bytes), size::format(0)];
                Self::borg(Class::InsufficientFreeSpaceError, sizes.map(Arg::from))
            }
            RepositoryError::QuotaExceeded { quota_bytes, used_bytes } => {
                let sizes = [size::format(*quota_bytes), size::format(*used_bytes)];
                Self::borg(Class::StorageQuotaExceeded, sizes.map(Arg::from))
            }
            RepositoryError::ObjectTooLarge(size) => {
                borg(Class::IntegrityError, &[&format!("More than allowed put data [{size} > {MAX_DATA_SIZE}]")])
            }
            other => borg(Class::Error, &[&error_text(other)]),
        }
    }

    fn invalid_config(&self, path: String) -> RepositoryError {
        let reason = self.text(1);
        let (before, behind) = OTHER_VERSION;
        match reason.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind)) {
            Some(version) => RepositoryError::UnsupportedVersion { path, version: version.to_owned() },
            None => RepositoryError::InvalidConfig { path, reason },
        }
    }

    /// Most of borg's integrity errors end so: `… [segment 7, offset 1234]`.
    fn damaged(&self) -> Option<RepositoryError> {
        let text = self.text(0);
        let (reason, rest) = text.split_once(" [segment ")?;
        let (segment, rest) = rest.split_once(", offset ")?;
        let (offset, detail) = rest.split_once(']')?;
        Some(RepositoryError::Damaged {
            segment: segment.parse().ok()?,
            offset: offset.parse().ok()?,
            reason: format!("{reason}{detail}"),
        })
    }

    fn sizes(&self) -> Option<(u64, u64)> {
        Some((size::parse(&self.text(0))?, size::parse(&self.text(1))?))
    }
}
