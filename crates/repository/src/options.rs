//! How a repository is created and opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{Clock, RepositoryId, Stop};

/// How to create a repository.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Its id: 32 random bytes.
    pub id: RepositoryId,
    /// Keep all that was ever committed: nothing is compacted.
    pub append_only: bool,
    /// How many bytes its objects may take; 0 is no limit.
    pub storage_quota: u64,
    /// Create the directories above it that are missing.
    pub make_parent_dirs: bool,
}

impl CreateOptions {
    /// A repository without limits, in a directory that exists.
    pub fn new(id: RepositoryId) -> Self {
        Self { id, append_only: false, storage_quota: 0, make_parent_dirs: false }
    }
}

/// What a repository is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading, beside other readers.
    Shared,
    /// For writing, alone.
    Exclusive,
    /// For reading, without a look at who else is there: on read-only media, or to look past a lock. What is read
    /// may be changed meanwhile; nothing is ever written.
    WithoutLock,
}

/// Who is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Somebody who writes, or is just taking or giving back a lock.
    Exclusive(LockId),
    /// Those who read.
    Readers(Vec<LockId>),
    /// Somebody whose name in the lock directory follows no known form.
    Unknown(String),
    /// The list of readers cannot be read, so nobody knows who they are.
    UnreadableRoster(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive(id) => write!(f, "{id}"),
            Self::Readers(ids) => {
                for (count, id) in ids.iter().enumerate() {
                    write!(f, "{}{id}", if count == 0 { "" } else { ", " })?;
                }
                f.write_str(if ids.len() == 1 { ", reading" } else { ", all reading" })
            }
            Self::Unknown(name) => write!(f, "an unknown program ({name:?})"),
            Self::UnreadableRoster(reason) => {
                write!(f, "unknown readers (lock.roster is unreadable: {reason}; if there are none, use break-lock)")
            }
        }
    }
}

/// Told who is waited for: when a wait begins, whenever it is somebody else, and every hour.
pub type OnWait = Arc<dyn Fn(&Holder) + Send + Sync>;

/// How to open a repository.
#[derive(Clone)]
pub struct OpenOptions {
    /// For what.
    pub mode: Mode,
    /// How long to wait for the lock; `None` is for ever.
    pub wait: Option<Duration>,
    /// Told whom the wait is for.
    pub on_wait: Option<OnWait>,
    /// Who we are.
    pub identity: Arc<dyn LockIdentity>,
    /// Measures and passes the wait, and dates the log of append-only repositories.
    pub clock: Arc<dyn Clock>,
    /// Ends waiting, replaying and compacting early.
    pub stop: Stop,
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions").field("mode", &self.mode).field("wait", &self.wait).finish_non_exhaustive()
    }
}
