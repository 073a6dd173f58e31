//! Who we are in locks, across containers and their process ids.
//!
//! A process id says nothing about a process in another container, and a host name changes with each of them. So the
//! state directory has a name of its own (`instance`), and every process that uses it draws a number, its
//! incarnation, and holds a file lock on `processes/<incarnation>` while it lives. The system drops that lock with
//! the process, however it ends: a repository lock of ours is dead exactly when its incarnation can be locked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use worldkeeper_core::disk::{self, Disk, FileLock};
use worldkeeper_core::lock::LockId;
use worldkeeper_core::{LockIdentity, Reserve};

use super::{SMALL_FILE, StateError};
use crate::random;

pub(super) struct Identity {
    disk: Arc<Reserve>,
    processes: PathBuf,
    own: LockId,
    /// The part of the host id behind the `@`; the part before it is for people.
    instance: String,
    _alive: Box<dyn FileLock>,
}

impl Identity {
    pub(super) fn open(disk: Arc<Reserve>, state: &Path, name: &str) -> Result<Self, StateError> {
        // One process starts at a time: two must not draw different instances, and whoever removes the files of the
        // dead must not meet one that is made and not locked yet.
        let _starting = wait_for(disk.as_ref(), &state.join("starting"))?;
        let instance = instance(disk.as_ref(), &state.join("instance"))?;
        let processes = state.join("processes");
        disk::create_dir_all(disk.as_ref(), &processes)?;
        let (incarnation, alive) = loop {
            let mut bytes = [0; 8];
            random::fill(&mut bytes)?;
            // Zero is what stock writes; 63 bits suffice and fit what Python prints either way.
            let incarnation = (u64::from_le_bytes(bytes) >> 1).max(1);
            if let Some(alive) = disk.try_lock(&processes.join(file_name(incarnation)))? {
                break (incarnation, alive);
            }
        };
        let host_id = format!("{}@{instance}", safe(name));
        let own = LockId { host_id, process: std::process::id().into(), thread: incarnation };
        let identity = Self { disk, processes, own, instance, _alive: alive };
        identity.forget_the_dead();
        Ok(identity)
    }

    /// Removes the files of processes that ended without doing so. A repository's lock that names one of them is
    /// then known to be dead by the file's absence.
    fn forget_the_dead(&self) {
        let Ok(names) = self.disk.list(&self.processes) else { return };
        for (name, _) in names {
            let path = self.processes.join(&name);
            if name != *file_name(self.own.thread) && matches!(self.disk.try_lock(&path), Ok(Some(_))) {
                let _ = self.disk.remove_file(&path);
            }
        }
    }
}

impl LockIdentity for Identity {
    fn own(&self) -> LockId {
        self.own.clone()
    }

    fn is_dead(&self, holder: &LockId) -> bool {
        let ours = holder.host_id.rsplit_once('@').is_some_and(|(_, instance)| instance == self.instance);
        if !ours || holder.thread == 0 || holder.thread == self.own.thread {
            return false;
        }
        disk::is_abandoned(self.disk.as_ref(), &self.processes.join(file_name(holder.thread)))
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = self.disk.remove_file(&self.processes.join(file_name(self.own.thread)));
        // That file was the last that may have needed it.
        super::keep_reserve(|seed| self.disk.restore(super::RESERVE_BYTES, seed));
    }
}

/// Takes a lock that nobody holds for longer than a few small files take.
fn wait_for(disk: &dyn Disk, path: &Path) -> Result<Box<dyn FileLock>, StateError> {
    loop {
        if let Some(lock) = disk.try_lock(path)? {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn file_name(incarnation: u64) -> String {
    format!("{incarnation:x}")
}

/// The name of this state directory: read, or drawn on first use.
///
/// Beside it stands the number of the file it is in. A copy of the directory has the name, and not the number: it draws a name of its
/// own, or it would take processes that use the original for dead, since it cannot see their file locks.
fn instance(disk: &dyn Disk, path: &Path) -> Result<String, StateError> {
    let Some(bytes) = disk::read_if_there(disk, path, SMALL_FILE)? else {
        return draw_instance(disk, path);
    };
    let name = String::from_utf8_lossy(&bytes).trim().to_owned();
    if name.len() != 32 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(StateError::Damaged { path: path.into(), reason: "expected 32 hex digits".into() });
    }
    let Some(here) = disk.file_number(path)? else { return Ok(name) };
    match disk::read_if_there(disk, &path.with_extension(NUMBER), SMALL_FILE)? {
        Some(noted) if noted != here.to_string().as_bytes() => {
            warn!(
                "{} was copied, moved or restored: whoever holds a lock under its former name may use the original, and is waited \
                 for. If nobody does, `worldkeeper break-lock` removes a lock that was left",
                path.parent().unwrap_or(path).display()
            );
            draw_instance(disk, path)
        }
        Some(_) => Ok(name),
        // Drawn before numbers were.
        None => note_number(disk, path).map(|()| name),
    }
}

/// What stands behind the name of the file with the number of the one that has the name.
const NUMBER: &str = "number";

fn draw_instance(disk: &dyn Disk, path: &Path) -> Result<String, StateError> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes)?;
    let name = hex::encode(bytes);
    // Beside another one's number it is only drawn once more.
    disk::replace(disk, path, name.as_bytes())?;
    note_number(disk, path)?;
    Ok(name)
}

fn note_number(disk: &dyn Disk, path: &Path) -> Result<(), StateError> {
    if let Some(number) = disk.file_number(path)? {
        disk::replace(disk, &path.with_extension(NUMBER), number.to_string().as_bytes())?;
    }
    Ok(())
}

/// A name that can stand in a lock's file name: borg splits those at dots, dashes and the `@` of ours.
fn safe(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).take(40).collect();
    if safe.is_empty() { "worldkeeper".into() } else { safe }
}

#[cfg(test)]
mod tests {
    use worldkeeper_repository::OsDisk;

    use super::*;

    /// A missing file means that its process is dead: none may take away that of another one that is starting.
    #[test]
    fn processes_that_start_at_the_same_time_leave_each_other_alive() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Reserve::new(Arc::new(OsDisk), folder.path().join("reserve")));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let identity = Identity::open(Arc::clone(&disk), folder.path(), "test").unwrap();
                        let file = identity.processes.join(file_name(identity.own.thread));
                        assert!(file.exists());
                        let instance = std::fs::read_to_string(folder.path().join("instance")).unwrap();
                        assert_eq!(identity.instance, instance);
                    }
                });
            }
        });
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to.join(entry.file_name()));
            } else {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }

    /// Nobody sees the file locks of the original in a copy.
    #[test]
    fn a_copy_of_a_state_directory_takes_nobody_for_dead_who_uses_the_original() {
        let folder = tempfile::tempdir().unwrap();
        let (original, other) = (folder.path().join("original"), folder.path().join("copy"));
        let disk = Arc::new(Reserve::new(Arc::new(OsDisk), folder.path().join("reserve")));
        std::fs::create_dir(&original).unwrap();
        let open = |state: &Path| Identity::open(Arc::clone(&disk), state, "test").unwrap();
        let alive = open(&original);
        copy(&original, &other);
        if disk.file_number(&original.join("instance")).unwrap().is_none() {
            return;
        }
        let stranger = open(&other);
        assert!(!stranger.is_dead(&alive.own()));
        assert_ne!(stranger.instance, alive.instance);
        let dead = alive.own();
        drop(alive);
        assert!(!stranger.is_dead(&dead), "that is not to be seen from here");
        // The original goes on under its name, and so does the copy under its own.
        assert!(open(&original).is_dead(&dead));
        assert_eq!(open(&other).instance, stranger.instance);
    }

    #[test]
    fn a_name_without_a_number_gets_one_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instance");
        let name = "0123456789abcdef".repeat(2);
        std::fs::write(&path, &name).unwrap();
        for _ in 0..2 {
            assert_eq!(instance(&OsDisk, &path).unwrap(), name);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), name, "the version before can read it");
        let number = OsDisk.file_number(&path).unwrap().map(|number| number.to_string());
        assert_eq!(std::fs::read_to_string(path.with_extension(NUMBER)).ok(), number);
    }
}
