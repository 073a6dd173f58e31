//! Processes as locks see them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use worldkeeper_core::lock::{LockId, LockIdentity};

/// A process that knows which others are dead.
pub struct Process {
    own: LockId,
    dead: Mutex<BTreeSet<LockId>>,
}

impl Process {
    /// A new process; no two are alike, and it believes that all others live.
    pub fn new() -> Arc<Self> {
        static INCARNATION: AtomicU64 = AtomicU64::new(0xabc0);
        let thread = INCARNATION.fetch_add(1, Ordering::Relaxed);
        let own = LockId { host_id: "test@0a1b-2c3d".into(), process: 7, thread };
        Arc::new(Self { own, dead: Mutex::default() })
    }

    /// A new process that finds `other` dead.
    pub fn after(other: &Self) -> Arc<Self> {
        let process = Self::new();
        process.bury(other);
        process
    }

    /// Learns that `other` is dead.
    pub fn bury(&self, other: &Self) {
        self.dead.lock().expect("no test panics while it looks").insert(other.own.clone());
    }
}

impl LockIdentity for Process {
    fn own(&self) -> LockId {
        self.own.clone()
    }

    fn is_dead(&self, holder: &LockId) -> bool {
        self.dead.lock().expect("no test panics while it looks").contains(holder)
    }
}
