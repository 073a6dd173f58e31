//! Who holds a repository's lock.

use std::fmt;

/// The holder of a lock, as borg writes it: `<host id>.<process id>-<thread, in hex>`.
///
/// Stock borg's thread is always 0. Ours is the incarnation, a number drawn when the process starts, so that stock
/// never takes one of our locks for one of its own and never judges it by process id, which means nothing across
/// containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockId {
    /// Stock: `fqdn@node`. Ours: `name@instance`, the same for every process of one state directory.
    pub host_id: String,
    /// The process id on that host.
    pub process: u64,
    /// Zero, or one of our incarnations.
    pub thread: u64,
}

/// Knows who we are, and which of our own locks were left by the dead.
pub trait LockIdentity: Send + Sync {
    /// What this process writes into a lock.
    fn own(&self) -> LockId;

    /// Returns whether the holder is certainly gone. Says no to everything that is not our own.
    fn is_dead(&self, holder: &LockId) -> bool;
}

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.host_id, self.process)
    }
}
