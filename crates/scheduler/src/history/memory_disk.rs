//! For tests: files in memory, on a disk that can be told to fail.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use worldkeeper_core::disk::{DiskFile, EntryKind, FileLock, Metadata};
use worldkeeper_core::{Disk, DiskError};

#[derive(Default)]
pub(super) struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Content by path; a directory has none.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    locked: bool,
    /// How many changes still succeed.
    changes_left: Option<usize>,
}

impl MemoryDisk {
    /// Makes every change after the next `changes` fail; `None` mends the disk.
    pub(super) fn fail_after(&self, changes: Option<usize>) {
        self.state.lock().unwrap().changes_left = changes;
    }

    pub(super) fn names(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let files = state.files.iter().filter(|(_, content)| content.is_some());
        files.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// Replaces the content of every file with such an extension.
    pub(super) fn overwrite(&self, extension: &str, content: &[u8]) {
        for (path, file) in &mut self.state.lock().unwrap().files {
            if path.extension().is_some_and(|found| found == extension) {
                *file = Some(content.to_vec());
            }
        }
    }

    fn change<T>(
        &self,
        action: &'static str,
        path: &Path,
        change: impl FnOnce(&mut State) -> Result<T, ErrorKind>,
    ) -> Result<T, DiskError> {
        let mut state = self.state.lock().unwrap();
        state.spend().and_then(|()| change(&mut state)).map_err(|kind| DiskError::new(action, path, kind.into()))
    }
}

impl State {
    fn spend(&mut self) -> Result<(), ErrorKind> {
        match &mut self.changes_left {
            Some(0) => Err(ErrorKind::StorageFull),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn content(&self, path: &Path) -> Result<&Vec<u8>, ErrorKind> {
        self.files.get(path).and_then(Option::as_ref).ok_or(ErrorKind::NotFound)
    }
}

struct MemoryFile {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let state = self.state.lock().unwrap();
        let rest = &state.content(&self.path).unwrap()[offset as usize..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.state.lock().unwrap();
        let spent = state.spend();
        // A disk that fills up has taken some of it.
        let taken = if spent.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        state.files.get_mut(&self.path).unwrap().as_mut().unwrap().extend_from_slice(taken);
        spent.map_err(|kind| DiskError::new("write", &self.path, kind.into()))
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.state.lock().unwrap().content(&self.path).unwrap().len() as u64)
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.state.lock().unwrap().spend().map_err(|kind| DiskError::new("sync", &self.path, kind.into()))
    }
}

struct MemoryLock(Arc<Mutex<State>>);

impl FileLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.lock().unwrap().locked = false;
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        match self.state.lock().unwrap().content(path) {
            Ok(_) => Ok(Box::new(MemoryFile { state: Arc::clone(&self.state), path: path.to_owned() })),
            Err(kind) => Err(DiskError::new("open", path, kind.into())),
        }
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.change("create", path, |state| match state.files.insert(path.to_owned(), Some(Vec::new())) {
            None => Ok(()),
            Some(_) => Err(ErrorKind::AlreadyExists),
        })?;
        Ok(Box::new(MemoryFile { state: Arc::clone(&self.state), path: path.to_owned() }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        match self.state.lock().unwrap().files.get(path) {
            Some(None) => Ok(Metadata { kind: EntryKind::Directory, len: 0, mode: 0o700, uid: 0 }),
            Some(Some(bytes)) => Ok(Metadata { kind: EntryKind::File, len: bytes.len() as u64, mode: 0o600, uid: 0 }),
            None => Err(DiskError::new("look at", path, ErrorKind::NotFound.into())),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, EntryKind)>, DiskError> {
        self.metadata(path)?;
        let state = self.state.lock().unwrap();
        let inside = state.files.iter().filter(|(file, _)| file.parent() == Some(path));
        Ok(inside.map(|(file, _)| (file.file_name().unwrap().to_owned(), EntryKind::File)).collect())
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.change("create", path, |state| match state.files.insert(path.to_owned(), None) {
            None => Ok(()),
            Some(_) => Err(ErrorKind::AlreadyExists),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.change("rename", from, |state| {
            let content = state.files.remove(from).ok_or(ErrorKind::NotFound)?;
            state.files.insert(to.to_owned(), content);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.change("remove", path, |state| state.files.remove(path).map(|_| ()).ok_or(ErrorKind::NotFound))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.change("sync", path, |_| Ok(()))
    }

    fn try_lock(&self, _: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        let was_locked = std::mem::replace(&mut self.state.lock().unwrap().locked, true);
        Ok((!was_locked).then(|| Box::new(MemoryLock(Arc::clone(&self.state))) as Box<dyn FileLock>))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Err(not_needed(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        Err(not_needed(path))
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        Err(not_needed(path))
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        Err(not_needed(path))
    }
}

fn not_needed(path: &Path) -> DiskError {
    DiskError::new("do more than the history needs with", path, io::Error::from(ErrorKind::Unsupported))
}
