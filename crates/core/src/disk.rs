//! The seam through which files are reached.
//!
//! Everything that is done to a repository's or the state directory's files goes through [`Disk`], so that a test can
//! record, tear, reorder, fail or fill it. The methods are the few system calls the formats need, no more; what is
//! built from several of them ([`read`], [`replace`]) stands below as functions, so that every disk gets it alike.

use std::io;
use std::path::{Path, PathBuf};

/// What failed, on which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb that fits "cannot … PATH".
    pub action: &'static str,
    /// The file it was tried on.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    /// Names the action and the file an [`io::Error`] belongs to.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    /// What kind of failure the system reported.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns whether the file is simply not there.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// Returns whether a limit on the size of one file is what stopped it, however much space there is.
    pub fn is_too_large(&self) -> bool {
        self.kind() == io::ErrorKind::FileTooLarge
    }

    /// Returns whether the disk, a quota or a size limit is what stopped it.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) || self.is_too_large()
    }
}

/// What a directory entry is; symlinks are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// Its length in bytes.
    pub len: u64,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The user id of its owner.
    pub uid: u32,
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes were read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError>;

    /// Appends all of `bytes`.
    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError>;

    /// The length in bytes.
    fn len(&self) -> Result<u64, DiskError>;

    /// Returns whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }

    /// Waits until the content is durable. After a failure the file must not be trusted, not even if a second call
    /// succeeds: the system may have dropped the pages.
    fn sync(&self) -> Result<(), DiskError>;

    /// Says that the content will not be read again soon. A hint; never fails.
    fn forget(&self) {}
}

/// A file lock that lasts as long as this value.
pub trait FileLock: Send + Sync {}

/// The files of a machine. All paths are taken as they are; symlinks in the last part are followed by
/// [`open`](Disk::open) and [`metadata`](Disk::metadata) alone.
pub trait Disk: Send + Sync {
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError>;

    /// Opens an existing file for reading and appending.
    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError>;

    /// Creates a file, mode 0600; one that exists is an error (`O_EXCL`).
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError>;

    /// Looks at a file, following symlinks.
    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError>;

    /// The number that a file has as long as it is there, and that a copy of it does not have; `None` where there are none that last.
    fn file_number(&self, _path: &Path) -> Result<Option<u64>, DiskError> {
        Ok(None)
    }

    /// Lists the names in a directory, in no order.
    fn list(&self, path: &Path) -> Result<Vec<(std::ffi::OsString, EntryKind)>, DiskError>;

    /// Creates a directory, mode 0700; one that exists is an error.
    fn create_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Renames, replacing a file, or a directory that is empty.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Waits until the names in a directory are durable.
    fn sync_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Bytes that may still be written to the file system that holds `path`.
    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError>;

    /// The absolute path without symlinks.
    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError>;

    /// Takes the advisory lock (`flock`) on a file, made if it is missing; `None` when somebody else holds it.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError>;
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] if the file is longer.
pub fn read(disk: &dyn Disk, path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(path)?;
    let len = file.len()?;
    if len > limit {
        let reason = format!("it has {len} bytes, at most {limit} are expected");
        return Err(DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Like [`read`], but a missing file is `None`.
pub fn read_if_there(disk: &dyn Disk, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DiskError> {
    match read(disk, path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file by `bytes`: after a crash it has either all of the old content or all of the new.
///
/// Writes `PATH.tmp`, syncs it, renames it and syncs the directory. A `PATH.tmp` left by a crash is removed first, so
/// the caller must be the only writer of `path`.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    replace_with(disk, path, |file| file.append(bytes))
}

/// As [`replace`], by what `write` appends to an empty file.
pub fn replace_with(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut dyn DiskFile) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    replace_through(disk, path, Path::new(&temporary), write)
}

/// As [`replace_with`], by way of a file that may lie in another directory of the same file system.
pub fn replace_through(
    disk: &dyn Disk,
    path: &Path,
    temporary: &Path,
    write: impl FnOnce(&mut dyn DiskFile) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    remove_if_there(disk, temporary)?;
    let written = (|| {
        let mut file = disk.create(temporary)?;
        write(&mut *file)?;
        file.sync()?;
        disk.rename(temporary, path)
    })();
    if let Err(error) = written {
        // The error at hand says what went wrong; a left-over is removed next time.
        let _ = disk.remove_file(temporary);
        return Err(error);
    }
    disk.sync_dir(parent(path))
}

/// Removes a file; a missing one is fine.
pub fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether the process is gone that held the lock on a file of its own for as long as it lived: the system drops
/// the lock with the process, and who ends in order takes the file along. What cannot be found out is no.
pub fn is_abandoned(disk: &dyn Disk, path: &Path) -> bool {
    match disk.metadata(path) {
        Err(error) => error.is_not_found(),
        // Asked first, because to lock a file makes it.
        Ok(_) => matches!(disk.try_lock(path), Ok(Some(_))),
    }
}

/// Creates a directory and whatever is missing above it; existing ones are fine.
pub fn create_dir_all(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match create_if_missing(disk, path) {
        Err(error) if error.is_not_found() && parent(path) != path => {
            create_dir_all(disk, parent(path))?;
            // Once: a directory that was removed while it is mounted is there and takes nothing any more.
            create_if_missing(disk, path)
        }
        created => created,
    }
}

fn create_if_missing(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.create_dir(path) {
        Ok(()) => disk.sync_dir(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match disk.metadata(path)?.kind {
            EntryKind::Directory => Ok(()),
            _ => Err(DiskError::new("create directory", path, io::ErrorKind::NotADirectory.into())),
        },
        Err(error) => Err(error),
    }
}

/// The directory a path lies in; `.` for a bare name, itself for the root.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
