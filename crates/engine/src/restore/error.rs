//! What can go wrong while putting items back.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::attributes::Escaped;

/// An item could not be restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The archive names a place outside the target, or none at all. No borg writes such an item.
    #[error("the archive holds the path {}, which leads out of the target", Escaped(path))]
    Outside {
        /// As in the archive.
        path: Vec<u8>,
    },
    /// On the way to the item's place there is something that is no directory, such as a symlink.
    #[error("{} lies behind something that is no directory", Escaped(path))]
    Behind {
        /// As in the archive.
        path: Vec<u8>,
    },
    /// The item is of a type that borg does not store.
    #[error("{} is of unknown type (mode {mode:o})", Escaped(path))]
    Type {
        /// As in the archive.
        path: Vec<u8>,
        /// The item's mode.
        mode: u32,
    },
    /// The item is a device, and nobody asked for devices.
    #[error("{} is a device, and devices are left out unless they are asked for", Escaped(path))]
    Device {
        /// As in the archive.
        path: Vec<u8>,
    },
    /// The item is a further link of one that was not restored: what is in that one's place is something else.
    #[error("{} is a link of {}, which was not restored", Escaped(path), Escaped(first))]
    Link {
        /// As in the archive.
        path: Vec<u8>,
        /// The item that has the content.
        first: Vec<u8>,
    },
    /// A repair of the repository has put zeros in the place of lost content, and what is there may be whole.
    #[error(
        "{} stays as it is, since chunks of what the archive holds were lost, and a repair put zeros in their place: that is \
         beside it, as {}",
        Escaped(path),
        Escaped(beside)
    )]
    Zeroed {
        /// As in the archive.
        path: Vec<u8>,
        /// Where it is, by the same measure.
        beside: Vec<u8>,
    },
    /// The content is not as long as the item says.
    #[error("{} should have {expected} bytes, its chunks have {written}", Escaped(path))]
    Size {
        /// As in the archive.
        path: Vec<u8>,
        /// What the item says.
        expected: u64,
        /// What was written.
        written: u64,
    },
    /// The file system refused.
    #[error("cannot {action} {}", Escaped(path))]
    Io {
        /// As in the archive.
        path: Vec<u8>,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RestoreError {
    pub(super) fn io(path: &[u8], action: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_vec(), action, source: source.into() }
    }

    /// Returns whether the next items will hardly fare better: the target is full, read-only or broken.
    pub(crate) fn concerns_target(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            || source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
    }
}

/// An object was restored, but not with everything it had. Counted and reported.
#[derive(Debug, Error)]
#[error("cannot set the {attribute} of {}", Escaped(path))]
pub(crate) struct Unset {
    /// As in the archive.
    pub path: Vec<u8>,
    /// What it lacks.
    pub attribute: Attribute,
    /// What the system said, or what is wrong with the item.
    pub source: io::Error,
}

impl Unset {
    /// Part of the content of the file at `path`.
    pub(crate) fn content(path: Vec<u8>) -> Self {
        let source = io::Error::other("chunks were lost, and a repair put zeros in their place");
        Self { path, attribute: Attribute::LostContent, source }
    }
}

/// What an object has besides its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// All of them: the object was not to be found again.
    All,
    /// User and group.
    Owner,
    /// Permission bits.
    Mode,
    /// The setuid and setgid bits, which a file gets only if they are asked for and it was given to its owner.
    SetId,
    /// The capabilities of a program, which it gets only if they are asked for.
    Capabilities,
    /// Access or default ACL.
    Acl,
    /// The extended attribute of that name.
    Xattr(Vec<u8>),
    /// Time of modification and access.
    Times,
    /// File flags such as immutable.
    Flags,
    /// Content that was lost, and that a repair of the repository replaced by zeros.
    LostContent,
}

impl Attribute {
    /// What kind of thing it is, to be counted by.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::All => "attributes",
            Self::Owner => "owner",
            Self::Mode => "permissions",
            Self::SetId => "setuid and setgid bits",
            Self::Capabilities => "capabilities",
            Self::Acl => "ACL",
            Self::Xattr(_) => "extended attributes",
            Self::Times => "times",
            Self::Flags => "file flags",
            Self::LostContent => "whole content",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xattr(name) => write!(f, "extended attribute {}", Escaped(name)),
            other => f.write_str(other.kind()),
        }
    }
}
