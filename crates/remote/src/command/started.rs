//! Which processes are ours to wait for.
//!
//! They lead groups of their own, so that a Ctrl-C meant for us does not take the connection away before the repository
//! was left in order. As process 1 of a container, we collect the dead of other groups: these must be left alone.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::process::{Child, Command};

static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn started() -> MutexGuard<'static, BTreeSet<u32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a process was started by a link, which waits for its end.
pub fn is_ours(process: u32) -> bool {
    started().contains(&process)
}

/// Starts a process that [`is_ours`] until this is dropped.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, Started)> {
    // Locked all the while: nobody may ask about one that ends at once before it is in the list.
    let mut started = started();
    let child = command.spawn()?;
    let process = child.id().expect("nobody has waited for it");
    started.insert(process);
    Ok((child, Started(process)))
}

/// A process that is to be waited for.
#[derive(Debug)]
pub(super) struct Started(u32);

impl Started {
    /// Its number, and its group's.
    pub(super) fn process(&self) -> u32 {
        self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        started().remove(&self.0);
    }
}
