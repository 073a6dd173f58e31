//! A repository in a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError, RepositoryId, Transaction};

use crate::{CreateOptions, OpenOptions};

/// A borg repository in a directory, open and locked.
pub struct LocalRepository {
    id: RepositoryId,
    path: PathBuf,
}

impl LocalRepository {
    /// Creates an empty repository; it is not open afterwards.
    pub fn create(disk: &Arc<dyn Disk>, path: &Path, options: &CreateOptions) -> Result<(), RepositoryError> {
        let _ = (disk, options);
        Err(RepositoryError::DoesNotExist(path.display().to_string()))
    }

    /// Opens the repository at `path`, waiting for its lock as `options` say.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, options: OpenOptions) -> Result<Self, RepositoryError> {
        drop((disk, options));
        Err(RepositoryError::DoesNotExist(path.display().to_string()))
    }
}

/// Removes whatever locks a repository, whoever holds them: the user's word that nobody does.
pub fn break_lock(disk: &dyn Disk, path: &Path) -> Result<(), RepositoryError> {
    let _ = disk;
    Err(RepositoryError::DoesNotExist(path.display().to_string()))
}

impl Repository for LocalRepository {
    fn id(&self) -> RepositoryId {
        self.id
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        Err(RepositoryError::ObjectNotFound(*id))
    }

    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        Ok(Vec::new())
    }

    fn load_key(&self) -> Result<Option<String>, RepositoryError> {
        Ok(None)
    }

    fn save_key(&self, _key: &str) -> Result<(), RepositoryError> {
        Err(RepositoryError::NotWritable("not open".into()))
    }

    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        Ok(None)
    }

    fn reserve_nonce(&self, _next: u64, _current: Option<u64>) -> Result<(), RepositoryError> {
        Err(RepositoryError::NotWritable("not open".into()))
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError> {
        Err(RepositoryError::NotWritable("not open".into()))
    }
}
