//! The seam through which key files are reached.
//!
//! Where they lie is told by the environment, which is none of the engine's business: whoever opens a session brings a
//! [`KeyStore`].

use std::path::PathBuf;

use worldkeeper_core::{DiskError, RepositoryId};
use worldkeeper_crypto::{KeyFile, KeyFileError};

/// The key files of a client, for the modes that keep no key in the repository.
pub trait KeyStore: Send + Sync {
    /// The key file of a repository; `None` if there is none.
    fn find(&self, id: RepositoryId) -> Result<Option<KeyFile>, KeyStoreError>;

    /// Stores a key file, durably: in place of the one that [`find`](Self::find) gives, else as a new one that is named
    /// after the repository's `location`. A key of another repository is never replaced.
    fn save(&self, key_file: &KeyFile, location: &str) -> Result<(), KeyStoreError>;
}

/// Why key files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// A file operation failed.
    #[error("the key file cannot be used")]
    Disk(#[from] DiskError),
    /// It is for the repository, but no key.
    #[error("the key file {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyFileError,
    },
    /// The file that was named is another one.
    #[error("{} is not the key file of repository {id}", path.display())]
    NotTheKey {
        /// The file.
        path: PathBuf,
        /// The repository.
        id: RepositoryId,
    },
    /// The client uses no key files.
    #[error("no place for key files was named")]
    NoPlace,
}

/// For clients that use no key files.
#[derive(Clone, Copy, Debug)]
pub struct NoKeyFiles;

impl KeyStore for NoKeyFiles {
    fn find(&self, _id: RepositoryId) -> Result<Option<KeyFile>, KeyStoreError> {
        Ok(None)
    }

    fn save(&self, _key_file: &KeyFile, _location: &str) -> Result<(), KeyStoreError> {
        Err(KeyStoreError::NoPlace)
    }
}
