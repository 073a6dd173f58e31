//! Who we are in the locks of a repository if there is no state directory to say so: a server for others.
//!
//! A process of this kind holds a file lock (`flock`) on a file of its own in the repository, named after its incarnation,
//! for as long as it lives. The system drops that lock with the process, however it ends. Another process of this kind may
//! therefore take a holder for dead whose file is missing or can be locked, but only where file locks mean the same to
//! both: the repository lies on a file system that this machine alone has mounted, or both run on the same machine, which
//! the host id says: it names the boot of the kernel. In all other cases nobody is judged.
//!
//! Stock never takes such a host id for its own, and judges nobody by it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldkeeper_core::disk::{self, FileLock};
use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{Disk, DiskError, RepositoryError};

use super::directory::random_number;
use crate::place::{absolute, require_repository};

/// What stands before the incarnation in the name of a process's file.
const FILE: &str = "worldkeeper.serve-";

/// What stands before the `@` of the host ids.
const NAME: &str = "worldkeeper_serve";

struct InPlace {
    disk: Arc<dyn Disk>,
    repository: PathBuf,
    own: LockId,
    /// Nobody else has the repository's file system mounted.
    is_local: bool,
    _alive: Box<dyn FileLock>,
}

/// A name in the locks of the repository at `path`, for as long as it is kept.
///
/// `machine` is of this machine and no other until it restarts: letters and digits. `is_local` says that no other machine
/// can have the repository's file system mounted.
///
/// # Errors
///
/// As [`LocalRepository::open`](crate::LocalRepository::open) if there is no repository.
pub fn identity_in(
    disk: Arc<dyn Disk>,
    path: &Path,
    machine: &str,
    is_local: bool,
) -> Result<Arc<dyn LockIdentity>, RepositoryError> {
    let repository = absolute(path)?;
    require_repository(&*disk, &repository)?;
    let (incarnation, alive) = begin(&*disk, &repository)?;
    let own = LockId { host_id: format!("{NAME}@{machine}"), process: std::process::id().into(), thread: incarnation };
    let identity = InPlace { disk, repository, own, is_local, _alive: alive };
    identity.forget_the_dead();
    Ok(Arc::new(identity))
}

/// Draws an incarnation and locks its file. The file has its name only when it is locked, so that nobody who sees it
/// takes the process for dead.
fn begin(disk: &dyn Disk, repository: &Path) -> Result<(u64, Box<dyn FileLock>), DiskError> {
    loop {
        // Zero is what stock writes; 63 bits fit what Python prints either way.
        let incarnation = (random_number()? >> 1).max(1);
        let path = repository.join(file_name(incarnation));
        let temporary = repository.join(format!("{}.tmp", file_name(incarnation)));
        if let Some(alive) = disk.try_lock(&temporary)? {
            disk.rename(&temporary, &path)?;
            return Ok((incarnation, alive));
        }
    }
}

impl InPlace {
    /// Removes the files of processes that ended without doing so. A lock that names one of them is then known to be dead
    /// by the file's absence.
    fn forget_the_dead(&self) {
        let Ok(names) = self.disk.list(&self.repository) else { return };
        for (name, _) in names {
            let incarnation = name.to_str().and_then(|name| u64::from_str_radix(name.strip_prefix(FILE)?, 16).ok());
            if self.is_local && incarnation.is_some_and(|incarnation| incarnation != self.own.thread) {
                let path = self.repository.join(name);
                if matches!(self.disk.try_lock(&path), Ok(Some(_))) {
                    let _ = self.disk.remove_file(&path);
                }
            }
        }
    }
}

impl LockIdentity for InPlace {
    fn own(&self) -> LockId {
        self.own.clone()
    }

    fn is_dead(&self, holder: &LockId) -> bool {
        let Some((NAME, _)) = holder.host_id.split_once('@') else { return false };
        if holder.thread == 0 || holder.thread == self.own.thread {
            return false;
        }
        if !self.is_local && holder.host_id != self.own.host_id {
            return false;
        }
        disk::is_abandoned(self.disk.as_ref(), &self.repository.join(file_name(holder.thread)))
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        let _ = self.disk.remove_file(&self.repository.join(file_name(self.own.thread)));
    }
}

fn file_name(incarnation: u64) -> String {
    format!("{FILE}{incarnation:x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateOptions, LocalRepository, OsDisk};
    use worldkeeper_core::RepositoryId;

    fn identity(path: &Path, machine: &str, is_local: bool) -> Arc<dyn LockIdentity> {
        identity_in(Arc::new(OsDisk), path, machine, is_local).unwrap()
    }

    #[test]
    fn a_process_is_dead_when_its_file_is_free_and_file_locks_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        LocalRepository::create(&OsDisk, &path, &CreateOptions::new(RepositoryId([1; 32]))).unwrap();
        let other = identity(&path, "b", true);
        let holder = other.own();
        let file = path.join(file_name(holder.thread));
        let (near, same, far) = (identity(&path, "a", true), identity(&path, "b", false), identity(&path, "a", false));
        for judge in [&near, &same, &far] {
            assert!(!judge.is_dead(&holder), "it lives");
            assert!(!judge.is_dead(&judge.own()));
        }
        // What a kill leaves: the file, and nobody who holds it.
        drop(other);
        assert!(!file.exists(), "who ends in order takes the file along");
        std::fs::write(&file, "").unwrap();
        assert_eq!([&near, &same, &far].map(|judge| judge.is_dead(&holder)), [true, true, false]);
        // The next one on this file system tidies up, which changes no verdict.
        let _next = identity(&path, "c", true);
        assert!(!file.exists());
        assert_eq!([&near, &same, &far].map(|judge| judge.is_dead(&holder)), [true, true, false]);

        let stock = LockId { host_id: "h@1".into(), process: 1, thread: 0 };
        let ours = LockId { host_id: "world@b".into(), process: 1, thread: 7 };
        assert!(!near.is_dead(&stock) && !near.is_dead(&ours), "others are never judged");
    }

    #[test]
    fn nothing_is_written_to_what_is_no_repository() {
        let folder = tempfile::tempdir().unwrap();
        assert!(identity_in(Arc::new(OsDisk), folder.path(), "a", true).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
