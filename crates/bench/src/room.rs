//! Where data are made: in memory if nobody says otherwise, with enough room, and gone at the end.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;
use tempfile::TempDir;

/// A folder of our own, removed when it is dropped.
pub(crate) struct Room {
    folder: TempDir,
    /// Locked as long as we live, so that others know it.
    _alive: File,
}

impl Room {
    /// Makes a folder below `parent`, or in memory, in which `needed` bytes have room.
    pub(crate) fn make(parent: Option<&Path>, needed: u64) -> anyhow::Result<Self> {
        let parent = match parent {
            Some(parent) => parent.to_owned(),
            None if Path::new(MEMORY).is_dir() => MEMORY.into(),
            None => std::env::temp_dir(),
        };
        let parent = parent.canonicalize().with_context(|| format!("{} cannot be used", parent.display()))?;
        clear(&parent);
        let free = free(&parent)?;
        if free < needed {
            bail!(
                "{} has room for {} MB, about {} are needed: make the corpora smaller, or name another directory with --dir",
                parent.display(),
                free / 1_000_000,
                needed / 1_000_000
            );
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent);
        let folder = folder.with_context(|| format!("no directory can be made in {}", parent.display()))?;
        let alive = File::create(folder.path().join(ALIVE))?;
        alive.lock()?;
        Ok(Self { folder, _alive: alive })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in it, removed when it is dropped.
    pub(crate) fn place(&self) -> anyhow::Result<TempDir> {
        tempfile::tempdir_in(self.path()).context("no directory can be made among the data")
    }
}

const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "worldkeeper-bench.";
const ALIVE: &str = "alive";

/// What can still be stored there. Memory may have a file system that is larger than itself.
fn free(parent: &Path) -> anyhow::Result<u64> {
    let space = rustix::fs::statvfs(parent).with_context(|| format!("{} cannot be used", parent.display()))?;
    let free = space.f_bavail * space.f_frsize;
    Ok(if parent == Path::new(MEMORY) { free.min(memory("MemAvailable").unwrap_or(free)) } else { free })
}

/// A line of `/proc/meminfo`, in bytes.
pub(crate) fn memory(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Removes what others left behind that were killed: ours by owner and name, and nobody holds its lock.
fn clear(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_ours = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw();
        if is_named && entry.metadata().is_ok_and(is_ours) && is_left(&entry.path().join(ALIVE)) {
            // What cannot be removed is no reason not to measure.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns whether whoever made the lock is gone. One that was not made yet belongs to somebody who begins.
fn is_left(lock: &PathBuf) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_at_the_end_and_so_is_what_others_left() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(ALIVE), "").unwrap();
        let stranger = parent.path().join("world");
        fs::create_dir(&stranger).unwrap();

        let rooms = [1, 2].map(|_| Room::make(Some(parent.path()), 1).unwrap());
        assert!(!left.exists() && stranger.exists());
        assert!(rooms.iter().all(|room| room.path().is_dir()), "one that lives was taken for one that was left");
        fs::write(rooms[0].place().unwrap().path().join("file"), "x").unwrap();
        drop(rooms);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn too_little_room_is_said() {
        let parent = tempfile::tempdir().unwrap();
        let error = Room::make(Some(parent.path()), u64::MAX).err().unwrap().to_string();
        assert!(error.contains("has room for") && error.contains("--dir"), "{error}");
        assert!(Room::make(Some(Path::new("/nowhere")), 0).is_err());
    }
}
