//! `lock.exclusive`: a directory that whoever holds it has a file in.
//!
//! It appears by renaming a directory that has the file already. A rename onto a directory that is not empty fails,
//! so exactly one of several comes through; making it first and the file then would not do, because a rename
//! replaces an *empty* directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{Disk, DiskError};

use super::name;
use crate::options::Holder;

const NAME: &str = "lock.exclusive";

/// The directory, and the file in it that would be ours.
pub(super) struct LockDirectory {
    disk: Arc<dyn Disk>,
    repository: PathBuf,
    path: PathBuf,
    own: LockId,
    own_name: String,
}

impl LockDirectory {
    pub(super) fn new(disk: Arc<dyn Disk>, repository: &Path, own: &LockId) -> Self {
        let own_name = name::format(own);
        Self { disk, repository: repository.to_owned(), path: repository.join(NAME), own: own.clone(), own_name }
    }

    /// Tries once to take the directory; returns who has it, if that fails. What our own dead have left is cleared
    /// first. The caller makes sure that no other handle of this process has it.
    pub(super) fn try_take(&self, identity: &dyn LockIdentity) -> Result<Option<Holder>, DiskError> {
        // A look first, so that waiting leaves the file system alone.
        if let Some(holder) = self.clear_dead(identity)? {
            return Ok(Some(holder));
        }
        // The incarnation says whose it is, if we are killed before it has its name.
        let temporary = self.repository.join(format!("{NAME}.{:x}-{:016x}.tmp", self.own.thread, random_number()?));
        self.disk.create_dir(&temporary)?;
        let own_file = temporary.join(&self.own_name);
        let renamed = self.disk.create(&own_file).and_then(|_| self.disk.rename(&temporary, &self.path));
        if let Err(error) = renamed {
            // Whatever cannot be removed hurts nobody.
            let _ = self.disk.remove_file(&own_file);
            let _ = self.disk.remove_dir(&temporary);
            // File systems have several words for a target that is not empty, so it is looked at instead.
            return match (self.holder()?, error.kind()) {
                (Some(holder), _) => Ok(Some(holder)),
                // Whoever was quicker is gone again.
                (None, io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) => {
                    Ok(Some(Holder::Unknown("somebody who just took it".into())))
                }
                (None, _) => Err(error),
            };
        }
        self.sweep(identity);
        Ok(None)
    }

    /// Removes what our own dead were about to make the lock of. It is in nobody's way, so nothing fails for it.
    fn sweep(&self, identity: &dyn LockIdentity) {
        let Ok(names) = self.disk.list(&self.repository) else { return };
        for (name, _) in names {
            let Some(thread) = name.to_str().and_then(incarnation) else { continue };
            if identity.is_dead(&LockId { thread, ..self.own.clone() }) {
                let _ = break_directory(&*self.disk, &self.repository.join(name));
            }
        }
    }

    /// Returns whether our file is there.
    pub(super) fn is_own(&self) -> Result<bool, DiskError> {
        match self.disk.metadata(&self.path.join(&self.own_name)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Who has the directory.
    pub(super) fn holder(&self) -> Result<Option<Holder>, DiskError> {
        Ok(self.names()?.first().map(|name| holder(name)))
    }

    /// Removes our file, and the directory if nobody else has come into it.
    pub(super) fn release(&self) -> Result<(), DiskError> {
        disk::remove_if_there(&*self.disk, &self.path.join(&self.own_name))?;
        remove_dir_if_empty(&*self.disk, &self.path)
    }

    /// Removes the files of our own dead, and our own, which nobody uses now. Returns who is left.
    fn clear_dead(&self, identity: &dyn LockIdentity) -> Result<Option<Holder>, DiskError> {
        for name in self.names()? {
            let found = holder(&name);
            match &found {
                Holder::Exclusive(id) if name == self.own_name || identity.is_dead(id) => {
                    warn!("removing the repository's lock of {id}, which is gone");
                    disk::remove_if_there(&*self.disk, &self.path.join(&name))?;
                }
                _ => return Ok(Some(found)),
            }
        }
        Ok(None)
    }

    fn names(&self) -> Result<Vec<String>, DiskError> {
        match self.disk.list(&self.path) {
            Ok(names) => Ok(names.into_iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Whose temporary directory this is the name of, if it is one of ours.
fn incarnation(name: &str) -> Option<u64> {
    let unique = name.strip_prefix(NAME)?.strip_prefix('.')?.strip_suffix(".tmp")?;
    u64::from_str_radix(unique.split_once('-')?.0, 16).ok()
}

/// Empties and removes the lock's directory in a repository, whoever is in it.
pub(super) fn break_lock(disk: &dyn Disk, repository: &Path) -> Result<bool, DiskError> {
    let path = repository.join(NAME);
    let is_there = !disk.metadata(&path).is_err_and(|error| error.is_not_found());
    break_directory(disk, &path)?;
    Ok(is_there)
}

/// Empties and removes a directory.
fn break_directory(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.list(path) {
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
        Ok(names) => {
            for (name, kind) in names {
                let inside = path.join(name);
                if kind == EntryKind::Directory {
                    disk.remove_dir(&inside)?;
                } else {
                    disk::remove_if_there(disk, &inside)?;
                }
            }
        }
    }
    remove_dir_if_empty(disk, path)
}

fn holder(name: &str) -> Holder {
    name::parse(name).map_or_else(|| Holder::Unknown(name.to_owned()), Holder::Exclusive)
}

fn remove_dir_if_empty(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

pub(super) fn random_number() -> Result<u64, DiskError> {
    getrandom::u64().map_err(|error| DiskError::new("draw a random number for", NAME, io::Error::other(error)))
}
