//! Space that is kept occupied, so that there is some when the disk is full.
//!
//! Nothing can be freed on a full disk without writing first: a lock, a DELETE, a new index. So a [`Reserve`] holds a
//! file of real blocks, and is a [`Disk`] that gives it up when a call fails for want of space, and makes that call once
//! more. Whoever must not use it takes the disk below it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{self, Disk, DiskError, DiskFile, EntryKind, FileLock, Metadata};

/// A reserve is made only where there is so many times its length free, so that it is never what fills a disk.
const AMPLE: u64 = 8;

/// How much of it is written at once.
const PIECE: usize = 64 * 1024;

/// A disk with a file that is given up when there is no space left. Clones share the file.
#[derive(Clone)]
pub struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// While set, the file is not given up.
    is_withheld: AtomicBool,
    /// The file was given up here, and not made again.
    is_used: AtomicBool,
    /// Taken while the file is made or removed.
    changing: Mutex<()>,
}

impl Reserve {
    /// A disk that gives up the file at `path`, if it is there.
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, shared: Arc::default() }
    }

    /// Says whether the file stays, even if there is no space.
    pub fn withhold(&self, is_withheld: bool) {
        self.shared.is_withheld.store(is_withheld, Ordering::SeqCst);
    }

    /// The disk below, for what must not use the file.
    pub fn below(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The length of the file, in bytes; 0 if it is not there.
    pub fn held_bytes(&self) -> Result<u64, DiskError> {
        match self.disk.metadata(&self.path) {
            Ok(metadata) => Ok(metadata.len),
            Err(error) if error.is_not_found() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the file was given up here and was not made again.
    pub fn is_used(&self) -> bool {
        self.shared.is_used.load(Ordering::SeqCst)
    }

    /// Makes the file, of at least `len` bytes, if it is not there and space is ample. One of more than twice as many is
    /// made anew. `seed` makes its content its own: it must neither compress nor be the same as anything else.
    ///
    /// # Errors
    ///
    /// [`DiskError`] if it is not there afterwards, though there was space.
    pub fn keep(&self, len: u64, seed: u64) -> Result<(), DiskError> {
        let found = self.held_bytes()?;
        if (len..=len.saturating_mul(2)).contains(&found) {
            self.shared.is_used.store(false, Ordering::SeqCst);
            return Ok(());
        }
        let available = self.disk.available_bytes(disk::parent(&self.path))?.saturating_add(found);
        if available / AMPLE < len { Ok(()) } else { self.make(len, seed) }
    }

    /// Makes the file anew after it was given up, with whatever of `len` bytes is left: what it was used for is over, but
    /// may have left a block or two behind.
    ///
    /// # Errors
    ///
    /// [`DiskError`] if there is no space for an eighth of it.
    pub fn restore(&self, len: u64, seed: u64) -> Result<(), DiskError> {
        if !self.is_used() || self.held_bytes()? > 0 {
            return Ok(());
        }
        let eighths = (1..8).rev().map(|eighths| len / 8 * eighths);
        eighths.fold(self.make(len, seed), |made, less| made.or_else(|_| self.make(less, seed)))
    }

    fn make(&self, len: u64, seed: u64) -> Result<(), DiskError> {
        let _changing = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        disk::remove_if_there(&*self.disk, &temporary)?;
        let made = (|| {
            let mut file = self.disk.create(&temporary)?;
            let mut noise = Noise(seed);
            let mut left = len;
            while left > 0 {
                let piece = noise.bytes(left.min(PIECE as u64) as usize);
                file.append(&piece)?;
                left -= piece.len() as u64;
            }
            // Space that is only promised may turn out not to be there when the file is written out.
            file.sync()?;
            file.forget();
            self.disk.rename(&temporary, &self.path)
        })();
        if made.is_err() {
            // The next one removes what cannot be removed now.
            let _ = self.disk.remove_file(&temporary);
            return made;
        }
        self.shared.is_used.store(false, Ordering::SeqCst);
        self.disk.sync_dir(disk::parent(&self.path))
    }

    /// Gives the file up; returns whether there was one.
    fn give_up(&self) -> bool {
        if self.shared.is_withheld.load(Ordering::SeqCst) {
            return false;
        }
        let _changing = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.disk.remove_file(&self.path).is_err() {
            return false;
        }
        self.shared.is_used.store(true, Ordering::SeqCst);
        // Some file systems hand out what was freed only when the removal has reached the disk.
        let _ = self.disk.sync_dir(disk::parent(&self.path));
        true
    }

    fn with_space<T>(&self, act: impl Fn() -> Result<T, DiskError>) -> Result<T, DiskError> {
        match act() {
            Err(error) if error.is_out_of_space() && self.give_up() => act(),
            result => result,
        }
    }

    fn file(&self, file: Box<dyn DiskFile>, len: u64) -> Box<dyn DiskFile> {
        Box::new(ReservedFile { file, len, reserve: self.clone() })
    }
}

impl Disk for Reserve {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.disk.open(path)
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let file = self.disk.open_append(path)?;
        let len = file.len()?;
        Ok(self.file(file, len))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(self.file(self.with_space(|| self.disk.create(path))?, 0))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        self.disk.metadata(path)
    }

    fn file_number(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.disk.file_number(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(std::ffi::OsString, EntryKind)>, DiskError> {
        self.disk.list(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.with_space(|| self.disk.create_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.with_space(|| self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.sync_dir(path)
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk.available_bytes(path)
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.disk.canonicalize(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        self.with_space(|| self.disk.try_lock(path))
    }
}

/// A file that is written to a disk with a reserve.
struct ReservedFile {
    file: Box<dyn DiskFile>,
    /// What is surely in it.
    len: u64,
    reserve: Reserve,
}

impl DiskFile for ReservedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.file.read_at(buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        match self.file.append(bytes) {
            Err(error) if error.is_out_of_space() && self.reserve.give_up() => {
                // Some of it may have come through.
                let written = self.file.len()?.saturating_sub(self.len);
                let rest = usize::try_from(written).ok().and_then(|written| bytes.get(written..)).ok_or(error)?;
                self.file.append(rest)?;
            }
            result => result?,
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    // No second try: a file whose sync failed is lost, for want of space as for any other reason.
    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }

    fn forget(&self) {
        self.file.forget();
    }
}

/// Bytes that no file system can make smaller.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            // Splitmix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
