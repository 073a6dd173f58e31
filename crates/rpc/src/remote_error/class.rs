//! Borg's own exceptions: the ones that a client rebuilds by name.

use super::Arg;

/// One of borg's own exceptions.
///
/// Clients of 1.1 and 1.2 rebuild few of them and show of the rest what the server says.
///
/// Source: borg 1.4 `remote.py`, `handle_error`; the texts are the docstrings of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Text.
    Error,
    /// Text.
    ErrorWithTraceback,
    /// Path.
    AlreadyExists,
    /// Path.
    AtticRepository,
    /// Path.
    CheckNeeded,
    /// Path.
    DoesNotExist,
    /// Required and available space, formatted.
    InsufficientFreeSpaceError,
    /// Text.
    IntegrityError,
    /// Path.
    InvalidRepository,
    /// Path and reason.
    InvalidRepositoryConfig,
    /// Name of the method.
    InvalidRPCMethod,
    /// Path of the lock and reason.
    LockFailed,
    /// Path of the lock.
    LockTimeout,
    /// Path of the lock.
    NotLocked,
    /// Path of the lock.
    NotMyLock,
    /// Id in hex and path.
    ObjectNotFound,
    /// Path.
    ParentPathDoesNotExist,
    /// Path.
    PathAlreadyExists,
    /// Path.
    PathNotAllowed,
    /// Path.
    PathPermissionDenied,
    /// Quota and used space, formatted.
    StorageQuotaExceeded,
}

/// Name, text, and whether clients show the traceback.
const CLASSES: [(Class, &str, &str, bool); 21] = [
    (Class::Error, "Error", "Error: {}", false),
    (Class::ErrorWithTraceback, "ErrorWithTraceback", "Error: {}", true),
    (Class::AlreadyExists, "AlreadyExists", "A repository already exists at {}.", false),
    (Class::AtticRepository, "AtticRepository", "Attic repository detected. Please run \"borg upgrade {}\".", false),
    (Class::CheckNeeded, "CheckNeeded", "Inconsistency detected. Please run \"borg check {}\".", true),
    (Class::DoesNotExist, "DoesNotExist", "Repository {} does not exist.", false),
    (
        Class::InsufficientFreeSpaceError,
        "InsufficientFreeSpaceError",
        "Insufficient free space to complete transaction (required: {}, available: {}).",
        false,
    ),
    (Class::IntegrityError, "IntegrityError", "Data integrity error: {}", true),
    (Class::InvalidRepository, "InvalidRepository", "{} is not a valid repository. Check repo config.", false),
    (
        Class::InvalidRepositoryConfig,
        "InvalidRepositoryConfig",
        "{} does not have a valid configuration. Check repo config [{}].",
        false,
    ),
    (Class::InvalidRPCMethod, "InvalidRPCMethod", "RPC method {} is not valid.", false),
    (Class::LockFailed, "LockFailed", "Failed to create/acquire the lock {} ({}).", true),
    (Class::LockTimeout, "LockTimeout", "Failed to create/acquire the lock {} (timeout).", false),
    (Class::NotLocked, "NotLocked", "Failed to release the lock {} (was not locked).", true),
    (Class::NotMyLock, "NotMyLock", "Failed to release the lock {} (was/is locked, but not by me).", true),
    (Class::ObjectNotFound, "ObjectNotFound", "Object with key {} not found in repository {}.", true),
    (
        Class::ParentPathDoesNotExist,
        "ParentPathDoesNotExist",
        "The parent path of the repo directory [{}] does not exist.",
        false,
    ),
    (Class::PathAlreadyExists, "PathAlreadyExists", "There is already something at {}.", false),
    (Class::PathNotAllowed, "PathNotAllowed", "Repository path not allowed: {}", false),
    (Class::PathPermissionDenied, "PathPermissionDenied", "Permission denied to {}.", false),
    (
        Class::StorageQuotaExceeded,
        "StorageQuotaExceeded",
        "The storage quota ({}) has been exceeded ({}). Try deleting some archives.",
        false,
    ),
];

impl Class {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        CLASSES.iter().map(|row| row.0)
    }

    /// Borg's name of it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        CLASSES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub(super) fn has_traceback(self) -> bool {
        self.row().3
    }

    /// Borg's text with the arguments in it.
    pub(super) fn message(self, args: &[Arg]) -> String {
        let mut args = args.iter();
        let mut message = String::new();
        for (number, piece) in self.row().2.split("{}").enumerate() {
            if number > 0 {
                message += &args.next().map(Arg::to_string).unwrap_or_default();
            }
            message += piece;
        }
        message
    }

    fn row(self) -> &'static (Self, &'static str, &'static str, bool) {
        &CLASSES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_where_its_class_looks_for_it() {
        for class in Class::all() {
            assert_eq!(Class::from_name(class.name()), Some(class));
            assert_eq!(class.name(), format!("{class:?}"));
        }
    }

    #[test]
    fn arguments_take_their_places_in_the_text() {
        let args = ["10.00 MB", "15.00 MB"].map(Arg::from);
        assert_eq!(
            Class::StorageQuotaExceeded.message(&args),
            "The storage quota (10.00 MB) has been exceeded (15.00 MB). Try deleting some archives."
        );
        assert_eq!(Class::DoesNotExist.message(&[]), "Repository  does not exist.");
    }
}
