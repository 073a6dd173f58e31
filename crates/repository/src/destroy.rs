//! The end of a repository.

use std::path::Path;
use std::sync::Arc;

use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::{Disk, DiskError, RepositoryError};

use crate::LocalRepository;

/// How the names begin of what goes last: the lock that keeps others away meanwhile, and what belongs to those who wait
/// for it.
const LAST: [&str; 2] = ["lock.", "worldkeeper."];

impl LocalRepository {
    /// Removes the repository with everything in its directory. Needs the exclusive lock.
    ///
    /// The config goes first: if this is interrupted, what is left is no repository any more.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NotWritable`] if it is append-only or not locked; it is unharmed then.
    pub fn destroy(self) -> Result<(), RepositoryError> {
        self.require_no_append_only("its removal")?;
        self.require_exclusive()?;
        let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
        disk::remove_if_there(&*disk, &path.join("config"))?;
        disk.sync_dir(&path)?;
        remove_within(&*disk, &path, |name| !is_last(name))?;
        drop(self);
        // From now on somebody may make another one here.
        remove_within(&*disk, &path, is_last)?;
        disk.remove_dir(&path)?;
        Ok(disk.sync_dir(disk::parent(&path))?)
    }
}

fn is_last(name: &str) -> bool {
    LAST.iter().any(|prefix| name.starts_with(prefix))
}

/// Removes what is in a directory, as far as `goes` says so of the names. Links are removed, not followed.
fn remove_within(disk: &dyn Disk, directory: &Path, goes: fn(&str) -> bool) -> Result<(), DiskError> {
    for (name, kind) in disk.list(directory)? {
        if !goes(&name.to_string_lossy()) {
            continue;
        }
        let path = directory.join(name);
        match kind {
            EntryKind::Directory => {
                remove_within(disk, &path, |_| true)?;
                disk.remove_dir(&path)?;
            }
            EntryKind::File | EntryKind::Other => disk::remove_if_there(disk, &path)?,
        }
    }
    Ok(())
}
