//! The state directory: what must survive a restart and the loss of a container.
//!
//! | name | content |
//! |---|---|
//! | `instance`, `instance.number` | 32 hex digits, drawn once: who we are in locks; and the number of that file, so that a copy is known |
//! | `starting` | empty; locked by a process while it starts |
//! | `processes/<incarnation>` | empty; locked (`flock`) by the process that drew the number, as long as it lives |
//! | `daemon` | empty; locked by the one daemon of this directory |
//! | `passphrase` | the passphrase that was generated for a new repository |
//! | `reserve` | space for the files above and below when the disk is full; given up then, and made again |
//! | `repositories/<id>/` | what is known of one repository: [`RepositoryState`] |
//! | `history/`, `mounts.json`, `daemon.json` | what others keep here: how the runs went, what the daemon has mounted, and some of its settings |
//! | `ssh/`, `keys/` | and: our SSH key and the host keys that are pinned; key files, in the image and where there is no home |
//!
//! Losing it costs time and a warning, never an archive; but the generated passphrase is in it.

mod identity;
mod repository;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use worldkeeper_core::disk::{self, Disk, DiskError, FileLock};
use worldkeeper_core::{LockIdentity, RepositoryId, Reserve, error_text};
use zeroize::Zeroizing;

pub(crate) use repository::Known;
pub use repository::RepositoryState;

use crate::random;

/// Small files in the state directory are never longer than this, in bytes.
const SMALL_FILE: u64 = 64 * 1024;

/// What is reserved for them: some files of a block each, with what the file system needs for them.
const RESERVE_BYTES: u64 = 256 * 1024;

/// Makes the reserve, or says why not: it is for later, so nothing fails for it now.
fn keep_reserve(make: impl FnOnce(u64) -> Result<(), DiskError>) {
    if let Err(error) = make(getrandom::u64().unwrap_or_default()) {
        info!("no space is reserved for a full state directory: {}", error_text(&error));
    }
}

/// An open state directory; keeps this process's lock identity alive.
pub struct StateDir {
    disk: Arc<Reserve>,
    path: PathBuf,
    identity: Arc<identity::Identity>,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file operation failed.
    #[error("the state directory cannot be used")]
    Disk(#[from] DiskError),
    /// A file holds something else than it should.
    #[error("{path} in the state directory is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another daemon runs on this directory.
    #[error("another worldkeeper daemon uses the state directory {0}")]
    DaemonRunning(PathBuf),
    /// The operating system gave no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness(#[source] getrandom::Error),
}

impl StateDir {
    /// Opens the directory at `path`, made if it is missing, and draws this process's incarnation.
    /// `name` shows in locks and is for people only.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, name: &str) -> Result<Self, StateError> {
        disk::create_dir_all(disk.as_ref(), path)?;
        let path = disk.canonicalize(path)?;
        let disk = Arc::new(Reserve::new(disk, path.join("reserve")));
        let identity = Arc::new(identity::Identity::open(Arc::clone(&disk), &path, name)?);
        Ok(Self { disk, path, identity })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who this process is in locks, and which of our own locks are dead.
    pub fn identity(&self) -> Arc<dyn LockIdentity> {
        Arc::clone(&self.identity) as Arc<dyn LockIdentity>
    }

    /// Claims the place of the one daemon, as long as the value lives.
    pub fn claim_daemon(&self) -> Result<Box<dyn FileLock>, StateError> {
        self.disk.try_lock(&self.path.join("daemon"))?.ok_or_else(|| StateError::DaemonRunning(self.path.clone()))
    }

    /// Returns whether a daemon runs on this directory right now.
    pub fn has_daemon(&self) -> Result<bool, StateError> {
        Ok(self.disk.try_lock(&self.path.join("daemon"))?.is_none())
    }

    /// What is known of a repository; nothing, if it was never seen.
    pub fn repository(&self, id: RepositoryId) -> RepositoryState {
        RepositoryState::new(Arc::clone(&self.disk), self.path.join("repositories").join(id.to_string()))
    }

    /// The repository that was last seen at `location`, if one was.
    pub fn repository_at(&self, location: &str) -> Result<Option<RepositoryId>, StateError> {
        self.find_at(location, |_| true)
    }

    /// The same, but for `id`.
    pub fn other_repository_at(&self, location: &str, id: RepositoryId) -> Result<Option<RepositoryId>, StateError> {
        self.find_at(location, |other| other != id)
    }

    fn find_at(
        &self,
        location: &str,
        is_meant: impl Fn(RepositoryId) -> bool,
    ) -> Result<Option<RepositoryId>, StateError> {
        let repositories = self.path.join("repositories");
        let names = match self.disk.list(&repositories) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let ids = names.iter().filter_map(|(name, _)| name.to_str()?.parse().ok());
        for id in ids.filter(|id| is_meant(*id)) {
            if self.repository(id).was_at(location)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Forgets that a repository was last seen at `location`: none is expected there any more. What else is known of
    /// it stays, should it come back.
    pub fn forget_location(&self, location: &str) -> Result<(), StateError> {
        while let Some(id) = self.repository_at(location)? {
            self.repository(id).forget_location(location)?;
        }
        Ok(())
    }

    /// Forgets where every repository but `id` was last seen, if it was at `location`: `id` is there from now on.
    pub(crate) fn give_location(&self, location: &str, id: RepositoryId) -> Result<(), StateError> {
        while let Some(other) = self.other_repository_at(location, id)? {
            warn!("repository {other} was at {location} until now, from now on it is repository {id}");
            self.repository(other).forget_location(location)?;
        }
        Ok(())
    }

    /// Where the generated passphrase is kept.
    pub fn passphrase_path(&self) -> PathBuf {
        self.path.join("passphrase")
    }

    /// The passphrase that was generated here, if one was.
    pub fn passphrase(&self) -> Result<Option<Zeroizing<String>>, StateError> {
        let path = self.passphrase_path();
        let Some(bytes) = disk::read_if_there(self.disk.as_ref(), &path, SMALL_FILE)? else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|_| StateError::Damaged { path, reason: "a passphrase is UTF-8 text".into() })?;
        Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Draws a passphrase of 256 random bits and stores it, durably and readable by the owner alone.
    pub fn generate_passphrase(&self) -> Result<Zeroizing<String>, StateError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(bytes.as_mut_slice())?;
        let text = Zeroizing::new(hex::encode(bytes.as_slice()));
        disk::replace(self.disk.as_ref(), &self.passphrase_path(), format!("{}\n", *text).as_bytes())?;
        Ok(text)
    }
}
