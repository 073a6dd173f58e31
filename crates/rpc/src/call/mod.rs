//! What a client can ask for, with its arguments.
//!
//! Arguments go by name. A server ignores names that it does not know and takes its default for those that are missing:
//! that is how versions get along. The defaults here are those of the server.

mod args;
mod decode;
mod encode;

use worldkeeper_core::ChunkId;

use crate::{Method, Payload, Version};

pub(crate) use args::Args;

/// A request. All but [`Call::Open`] need an open repository.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Opens or creates the repository.
    Open(Open),
    /// Counts the objects, the manifest included.
    Len,
    /// Reads an object; sees what this session has put.
    Get {
        /// Which.
        id: ChunkId,
    },
    /// Writes an object.
    Put {
        /// Under which id.
        id: ChunkId,
        /// What.
        data: Payload,
        /// What stock's client sends along where it awaits the reply; means nothing to a server.
        wait: Option<bool>,
    },
    /// Deletes an object.
    Delete {
        /// Which.
        id: ChunkId,
        /// As with a PUT.
        wait: Option<bool>,
    },
    /// Lists ids in the index's order.
    List(Page),
    /// Lists ids in the order in which the objects lie.
    Scan(Page),
    /// Makes what was written durable and visible.
    Commit(Commit),
    /// Forgets what was written since the last commit.
    Rollback,
    /// Checks segments and index.
    Check(Check),
    /// Deletes the repository.
    Destroy,
    /// Stores the text of the key blob.
    SaveKey {
        /// The text.
        keydata: Payload,
    },
    /// Reads the text of the key blob.
    LoadKey,
    /// Reads the first nonce that nobody has reserved.
    GetFreeNonce,
    /// Moves the first free nonce.
    CommitNonceReservation {
        /// To where.
        next_unreserved: u64,
        /// Where it must be now; `None` if there must be none.
        start_nonce: Option<u64>,
    },
    /// Removes all locks.
    BreakLock,
}

/// How to open a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the arguments that borg has")]
pub struct Open {
    /// Where it is on the server, as the user said it: bytes, perhaps with `~`.
    pub path: Vec<u8>,
    /// Make a new one.
    pub create: bool,
    /// How many seconds to wait for the lock; `None` is for ever.
    pub lock_wait: Option<i64>,
    /// Lock it at all.
    pub lock: bool,
    /// Lock it for writing; `None`, from a very old client, is with the first write.
    pub exclusive: Option<bool>,
    /// A new one becomes append-only for good, another for this session.
    pub append_only: bool,
    /// Make the directories above a new one.
    pub make_parent_dirs: bool,
}

impl Open {
    /// Opens what is there, to be read, waiting a second for the lock as stock does.
    pub fn existing(path: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            create: false,
            lock_wait: Some(1),
            lock: true,
            exclusive: Some(false),
            append_only: false,
            make_parent_dirs: false,
        }
    }
}

/// A part of a list of ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many at most; `None` is all.
    pub limit: Option<u64>,
    /// Behind which one to begin. A 1.2 server crashes when it is not there, so it must be one that cannot have been
    /// deleted since.
    pub marker: Option<ChunkId>,
}

/// How to commit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Commit {
    /// Nothing; it is older than 1.1.
    pub save_space: bool,
    /// Free the space of what is superseded. A 1.1 server always does, and 1.1's client, which does not say, relies on it.
    pub compact: bool,
    /// How much of a segment must be superseded for that, as a share.
    pub threshold: f64,
    /// Also free segments that hold a commit and nothing else.
    pub cleanup_commits: bool,
}

impl Default for Commit {
    fn default() -> Self {
        Self { save_space: false, compact: true, threshold: 0.1, cleanup_commits: false }
    }
}

/// How to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Mend what is found.
    pub repair: bool,
    /// Nothing; it is older than 1.1.
    pub save_space: bool,
    /// Stop after so many seconds and go on there the next time; 0 is never.
    pub max_duration: u64,
}

impl Call {
    /// The method that is called.
    pub fn method(&self) -> Method {
        match self {
            Self::Open(_) => Method::Open,
            Self::Len => Method::Len,
            Self::Get { .. } => Method::Get,
            Self::Put { .. } => Method::Put,
            Self::Delete { .. } => Method::Delete,
            Self::List(_) => Method::List,
            Self::Scan(_) => Method::Scan,
            Self::Commit(_) => Method::Commit,
            Self::Rollback => Method::Rollback,
            Self::Check(_) => Method::Check,
            Self::Destroy => Method::Destroy,
            Self::SaveKey { .. } => Method::SaveKey,
            Self::LoadKey => Method::LoadKey,
            Self::GetFreeNonce => Method::GetFreeNonce,
            Self::CommitNonceReservation { .. } => Method::CommitNonceReservation,
            Self::BreakLock => Method::BreakLock,
        }
    }

    /// Names the argument that a server of this version would ignore although it matters, and the version that has it.
    ///
    /// The arguments of [`Commit`] are no such: a 1.1 server compacts whatever they say, and that harms nobody.
    ///
    /// Source: borg 1.4 `remote.py`, the `@api` decorators.
    pub fn needs_newer(&self, server: &Version) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Open(open) if open.make_parent_dirs && !server.is_at_least(&[1, 1, 9, -1]) => {
                Some(("make_parent_dirs", "1.1.9"))
            }
            Self::Check(check) if check.max_duration != 0 && !server.is_at_least(&[1, 2, 0, -4, 4]) => {
                Some(("max_duration", "1.2.0a4"))
            }
            _ => None,
        }
    }
}
