//! The disk as those see it who use it: its files, directories and locks.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldkeeper_core::disk::{DiskFile, EntryKind, FileLock, Metadata};
use worldkeeper_core::{Disk, DiskError};

use super::MemoryDisk;
use super::state::{Node, directory};

impl MemoryDisk {
    fn open_node(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let node = self.act("open", path, |state| {
            let node = state.find(path)?;
            if matches!(state.nodes[&node], Node::File { .. }) { Ok(node) } else { Err(ErrorKind::IsADirectory.into()) }
        })?;
        Ok(Box::new(MemoryFile { disk: self.clone(), node, path: path.to_owned() }))
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.open_node(path)
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.open_node(path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let empty = Node::File { content: Arc::default(), durable: 0, lost: false };
        let node = self.act("create", path, |state| state.link(path, empty))?;
        Ok(Box::new(MemoryFile { disk: self.clone(), node, path: path.to_owned() }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        self.act("look at", path, |state| {
            state.count_read(path)?;
            Ok(match &state.nodes[&state.find(path)?] {
                Node::File { content, .. } => {
                    Metadata { kind: EntryKind::File, len: content.len() as u64, mode: 0o600, uid: 0 }
                }
                Node::Directory { .. } => Metadata { kind: EntryKind::Directory, len: 0, mode: 0o700, uid: 0 },
            })
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, EntryKind)>, DiskError> {
        self.act("list", path, |state| {
            state.count_read(path)?;
            let kind = |node: &usize| match state.nodes[node] {
                Node::File { .. } => EntryKind::File,
                Node::Directory { .. } => EntryKind::Directory,
            };
            Ok(state.names(state.find(path)?)?.iter().map(|(name, node)| (name.clone(), kind(node))).collect())
        })
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("create directory", path, |state| state.link(path, directory()).map(drop))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.act("rename a file to", to, |state| state.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.act("remove", path, |state| state.unlink(path, false))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("remove directory", path, |state| state.unlink(path, true))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("sync directory", path, |state| state.sync_names(path))
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.act("ask for the free space of", path, |state| {
            state.find(path)?;
            Ok(state.capacity.map_or(1 << 50, |capacity| capacity.saturating_sub(state.used())))
        })
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.act("resolve", path, |state| state.find(path)).map(|_| path.to_owned())
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        let free = self.state().locks.insert(path.to_owned());
        Ok(free.then(|| Box::new(MemoryLock { disk: self.clone(), path: path.to_owned() }) as Box<dyn FileLock>))
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
    path: PathBuf,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.disk.act("read", &self.path, |state| {
            state.count_read(&self.path)?;
            let Node::File { content, .. } = &state.nodes[&self.node] else {
                return Err(ErrorKind::IsADirectory.into());
            };
            let rest = content.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.act("write", &self.path, |state| state.append(self.node, bytes))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.disk.act("look at", &self.path, |state| match &state.nodes[&self.node] {
            Node::File { content, .. } => Ok(content.len() as u64),
            Node::Directory { .. } => Ok(0),
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.disk.act("sync", &self.path, |state| state.sync(self.node, &self.path))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl FileLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}
