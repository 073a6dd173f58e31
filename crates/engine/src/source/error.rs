//! What can go wrong while reading a live tree: one object (the backup goes on), or a root (it does not).

use std::fmt;
use std::io;

use thiserror::Error;
use worldkeeper_archive::Item;

use crate::attributes::Escaped;

/// One object could not be read, or not all of it. It is counted and reported, and the backup goes on.
#[derive(Debug, Error)]
#[error("cannot {action} {}", Escaped(path))]
pub struct SourceError {
    /// Where, as walked.
    pub path: Vec<u8>,
    /// What was being done.
    pub action: Action,
    /// What the system said.
    pub source: io::Error,
}

impl SourceError {
    /// Makes an error of what `path` met.
    pub(crate) fn new(path: &[u8], action: Action, source: impl Into<io::Error>) -> Self {
        Self { path: path.to_vec(), action, source: source.into() }
    }

    /// What a file meets that is cut into more chunks than its item can list.
    pub(crate) fn too_many_chunks(path: &[u8]) -> Self {
        let problem = format!(
            "it is cut into more than {} chunks, which is all that an archive lists of one file; larger chunks are \
             fewer (BORG_CHUNKER_PARAMS)",
            Item::MAX_CHUNKS
        );
        Self::new(path, Action::Read, io::Error::new(io::ErrorKind::FileTooLarge, problem))
    }

    /// Returns whether the object is simply not there any more: usual in a live tree.
    pub fn vanished(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle)
    }
}

/// What was being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asking what it is.
    Stat,
    /// Finding out whether the patterns leave it out. In doubt, they do not.
    Judge,
    /// Opening it.
    Open,
    /// Listing a directory.
    List,
    /// Reading content or a symlink's target.
    Read,
    /// Reading extended attributes or ACLs; the object is in the archive, less what could not be read.
    ReadAttributes,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stat => "look at",
            Self::Judge => "decide about",
            Self::Open => "open",
            Self::List => "list",
            Self::Read => "read",
            Self::ReadAttributes => "read an attribute of",
        })
    }
}

/// What was to be backed up is not there: nothing good can come of going on.
#[derive(Debug, Error)]
pub enum RootError {
    /// The source is missing, or cannot be read.
    #[error("cannot {action} the source {}", Escaped(path))]
    Unreadable {
        /// Where, as walked.
        path: Vec<u8>,
        /// What was being done.
        action: Action,
        /// What the system said.
        source: io::Error,
    },
    /// The source is itself what has to be left out.
    #[error("the source {} is the repository or the state directory itself", Escaped(path))]
    LeftOut {
        /// Where, as walked.
        path: Vec<u8>,
    },
    /// Two sources would share names in the archive.
    #[error("in the archive, the source {} would have names of the source {}", Escaped(path), Escaped(other))]
    SameNames {
        /// Where the one is, as walked.
        path: Vec<u8>,
        /// Where the other is.
        other: Vec<u8>,
    },
    /// Attributes beneath a directory are read through `/proc/self/fd`.
    #[error("/proc is not mounted, so extended attributes cannot be read")]
    NoProc,
}

impl From<SourceError> for RootError {
    fn from(SourceError { path, action, source }: SourceError) -> Self {
        Self::Unreadable { path, action, source }
    }
}
