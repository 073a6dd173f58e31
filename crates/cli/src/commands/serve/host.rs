//! The repositories of this machine, for clients.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;
use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{ChunkId, Clock, Disk, Repository, RepositoryError, RepositoryId, Stop};
use worldkeeper_remote::serve::{Host, Hosted, Open, OpenError, Page, Paths};
use worldkeeper_repository::{
    CreateOptions, Limits, LocalRepository, Mode, OpenOptions, OsDisk, break_lock, identity_in, is_on_own_disk,
};

/// Opens repositories of this machine for one client.
pub(super) struct LocalHost {
    paths: Paths,
    limits: Limits,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

impl LocalHost {
    pub(super) fn new(paths: Paths, limits: Limits, clock: Arc<dyn Clock>, stop: Stop) -> Self {
        Self { paths, limits, disk: Arc::new(OsDisk), clock, stop }
    }

    fn create(&self, path: &Path, open: &Open) -> Result<(), OpenError> {
        let id = new_id().map_err(|source| OpenError::Repository { path: path.to_owned(), source })?;
        let options = CreateOptions {
            id,
            append_only: open.append_only,
            storage_quota: self.limits.storage_quota.unwrap_or(0),
            make_parent_dirs: open.make_parent_dirs,
        };
        let path = path.to_owned();
        LocalRepository::create(&*self.disk, &path, &options).map_err(|source| match source {
            RepositoryError::NotARepository { .. } if fs::symlink_metadata(&path).is_err() => OpenError::NoParent(path),
            RepositoryError::NotARepository { .. } => OpenError::Occupied(path),
            RepositoryError::Disk(error) if error.kind() == ErrorKind::PermissionDenied => {
                OpenError::PermissionDenied(path)
            }
            source => OpenError::Repository { path, source },
        })
    }

    fn open_existing(&self, path: &Path, open: &Open) -> Result<LocalRepository, RepositoryError> {
        let mode = match (open.lock, open.exclusive) {
            (false, _) => Mode::WithoutLock,
            (true, Some(true)) => Mode::Exclusive,
            (true, _) => Mode::Shared,
        };
        let options = OpenOptions {
            mode,
            wait: open.lock_wait.map(|seconds| Duration::from_secs(seconds.max(0).unsigned_abs())),
            on_wait: None,
            identity: self.identity(path, mode)?,
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        };
        let append_only = open.append_only || (self.limits.append_only && !open.create);
        let repository = LocalRepository::open(Arc::clone(&self.disk), path, &options)?;
        Ok(repository.limited(&Limits { append_only, ..self.limits }))
    }
}

impl Host for LocalHost {
    fn open(&mut self, open: &Open) -> Result<Box<dyn Hosted>, OpenError> {
        let path = self.paths.resolve(&open.path)?;
        debug!("resolved repository path to {}", path.display());
        if open.create {
            self.create(&path, open)?;
        }
        let repository = self.open_existing(&path, open).map_err(|source| match source {
            RepositoryError::Disk(error) if open.lock && is_refused(error.kind()) => {
                OpenError::Lock { path: path.clone(), reason: error.to_string() }
            }
            source => OpenError::Repository { path: path.clone(), source },
        })?;
        Ok(Box::new(Local {
            repository,
            disk: Arc::clone(&self.disk),
            path,
            is_locked: open.lock,
            is_from_old_client: open.lock && open.exclusive.is_none(),
        }))
    }
}

impl LocalHost {
    /// Who this is in the locks; nobody where nothing is locked.
    fn identity(&self, path: &Path, mode: Mode) -> Result<Arc<dyn LockIdentity>, RepositoryError> {
        if mode == Mode::WithoutLock {
            return Ok(Arc::new(Nobody));
        }
        let is_local = File::open(path).is_ok_and(is_on_own_disk);
        identity_in(Arc::clone(&self.disk), path, &machine(), is_local)
    }
}

/// Returns whether a place is there, but not for this process to write to.
fn is_refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// What is of this machine and no other until it restarts: the kernel's number for this boot. Where it does not tell, one
/// that is nobody else's.
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    if boot.len() == 32 {
        boot
    } else {
        getrandom::u64().map_or_else(|_| "unknown".to_owned(), |number| format!("{number:016x}"))
    }
}

/// Whoever takes no lock.
struct Nobody;

impl LockIdentity for Nobody {
    fn own(&self) -> LockId {
        LockId { host_id: "nobody".to_owned(), process: std::process::id().into(), thread: 1 }
    }

    fn is_dead(&self, _holder: &LockId) -> bool {
        false
    }
}

fn new_id() -> Result<RepositoryId, RepositoryError> {
    let mut id = [0; 32];
    getrandom::fill(&mut id)
        .map_err(|error| RepositoryError::Other(format!("no random number can be drawn for the id: {error}")))?;
    Ok(RepositoryId(id))
}

/// A repository of this machine that a client has opened.
struct Local {
    repository: LocalRepository,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    is_locked: bool,
    /// It writes without having said so.
    is_from_old_client: bool,
}

impl Hosted for Local {
    fn repository(&self) -> &dyn Repository {
        &self.repository
    }

    fn count(&self) -> Result<u64, RepositoryError> {
        self.repository.object_count()
    }

    fn list(&self, page: &Page) -> Result<Option<Vec<ChunkId>>, RepositoryError> {
        self.repository.page_of_index(page.limit, page.marker.as_ref())
    }

    fn scan(&self, page: &Page) -> Result<Option<Vec<ChunkId>>, RepositoryError> {
        self.repository.page_of_log(page.limit, page.marker.as_ref())
    }

    fn is_append_only(&self) -> bool {
        self.repository.is_append_only()
    }

    fn prepare_to_write(&mut self) -> Result<(), RepositoryError> {
        if self.is_from_old_client { self.repository.lock_for_writing() } else { Ok(()) }
    }

    fn reload(&self) {
        self.repository.reload();
    }

    fn give_up_lost_commit(&self) -> Result<Option<u32>, RepositoryError> {
        self.repository.give_up_lost_commit()
    }

    fn store_key(&self, key: &str) -> Result<(), RepositoryError> {
        self.repository.save_key_unlocked(key)
    }

    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError> {
        if self.is_locked {
            return self.repository.reserve_nonce(next, current);
        }
        let found = self.repository.free_nonce()?;
        if found == current { Ok(()) } else { Err(RepositoryError::NonceConflict { expected: current, found }) }
    }

    fn break_lock(&self) -> Result<(), RepositoryError> {
        break_lock(&*self.disk, &self.path).map(drop)
    }

    fn destroy(self: Box<Self>) -> Result<(), RepositoryError> {
        self.repository.destroy()
    }
}
