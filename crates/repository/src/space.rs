//! What a repository takes, and what it may take.

use std::path::Path;

use worldkeeper_core::disk::EntryKind;
use worldkeeper_core::{Disk, DiskError, RepositoryError};

use crate::LocalRepository;

/// What a repository takes, and what it may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What all its files have together.
    pub used: u64,
    /// What counts for the quota: objects, deleted ones too until a compaction. `None` if nobody has noted it.
    pub quota_used: Option<u64>,
    /// The quota; 0 is none.
    pub quota: u64,
}

impl LocalRepository {
    /// Looks at what the repository takes. Files that come and go meanwhile count or do not.
    pub fn space(&self) -> Result<Space, RepositoryError> {
        let transaction = self.with_loaded(|loaded| loaded.transaction)?;
        let hints = transaction.and_then(|transaction| self.state_files.load_hints(transaction));
        Ok(Space {
            used: used(&*self.disk, &self.path)?,
            quota_used: hints.map(|hints| hints.storage_quota_use),
            quota: self.config.storage_quota,
        })
    }
}

/// The bytes of the files below a directory; links are not followed.
fn used(disk: &dyn Disk, directory: &Path) -> Result<u64, DiskError> {
    let mut bytes = 0;
    for (name, kind) in disk.list(directory)? {
        let path = directory.join(name);
        let found = match kind {
            EntryKind::Directory => used(disk, &path),
            EntryKind::File => disk.metadata(&path).map(|metadata| metadata.len),
            EntryKind::Other => Ok(0),
        };
        match found {
            Err(error) if error.is_not_found() => {}
            found => bytes += found?,
        }
    }
    Ok(bytes)
}
