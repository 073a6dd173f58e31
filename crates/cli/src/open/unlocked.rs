//! Reading a repository without its lock: where none can be had, or somebody says so.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use tracing::{info, warn};
use worldkeeper_core::DiskError;

use crate::place::Place;
use crate::rights::require_writable;

/// What of a lock lies in a repository.
const LOCKS: [&str; 2] = ["lock.exclusive", "lock.roster"];

impl Place {
    /// Returns whether the lock is left alone from the beginning: somebody says so, or whoever has it could not give it back,
    /// as nothing can be written there. That is said.
    pub(super) fn passes_over_lock(&self) -> bool {
        if self.bypasses_lock {
            self.warn_of_reading_unlocked("is not asked for its lock");
            return true;
        }
        let directory = self.settings.repository.value.local().filter(|path| is_read_only(path));
        if let Some(directory) = directory {
            if LOCKS.iter().any(|lock| directory.join(lock).exists()) {
                self.warn_of_reading_unlocked("may only be read, whoever has its lock");
            } else {
                info!("the repository is on read-only media and is read without a lock");
            }
        }
        directory.is_some()
    }

    /// Returns whether a lock that could not be taken keeps nobody from reading, which is said then.
    pub(super) fn reads_all_the_same(&self, error: &DiskError) -> bool {
        let directory = self.settings.repository.value.local();
        let may_write = || directory.is_none_or(|path| require_writable(path).is_ok());
        let why = match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => "may only be read",
            // Said of the repository itself, and not of a file in it.
            io::ErrorKind::PermissionDenied if !may_write() => "may only be read",
            _ if error.is_out_of_space() => "has no space left for a lock",
            _ => return false,
        };
        self.warn_of_reading_unlocked(why);
        true
    }

    fn warn_of_reading_unlocked(&self, why: &str) {
        warn!(
            "the repository {why}, and is read without a lock: what others change meanwhile may seem to be missing or damaged"
        );
        self.reads_unlocked.store(true, Ordering::Relaxed);
    }
}

fn is_read_only(directory: &Path) -> bool {
    require_writable(directory).is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}
