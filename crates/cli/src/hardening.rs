//! Keeps the memory of this process from being written down or looked at: secrets are in it.
//!
//! No core dump, whatever the machine does with those, and no other process of the same user may read it or attach to
//! it. What keys lie on is locked where they are kept.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing::debug;

/// Begins with it; children get the limit, too. Where the system refuses, the work goes on.
pub(crate) fn start() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        debug!("core dumps cannot be ruled out: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        debug!("other processes of the same user may read this one's memory: {error}");
    }
}
