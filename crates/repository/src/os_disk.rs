//! The machine's own files: the one place of this crate that asks the operating system.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise, statvfs};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use worldkeeper_core::disk::{Disk, DiskError, DiskFile, EntryKind, FileLock, Metadata};

use crate::own_disks::is_on_own_disk;
use crate::ownership;

/// The files of this machine, as the operating system shows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

#[derive(Debug)]
struct OsFile {
    file: File,
    path: PathBuf,
}

/// Holds the `flock` until its file is closed.
#[derive(Debug)]
struct OsLock {
    _file: File,
}

impl FileLock for OsLock {}

impl OsFile {
    fn open(action: &'static str, path: &Path, options: &mut OpenOptions) -> Result<Self, DiskError> {
        // A pipe that somebody put in the place of a file would keep us waiting for ever.
        let file = options
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(|error| DiskError::new(action, path, error))?;
        Ok(Self { file, path: path.to_owned() })
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DiskError::new("read", &self.path, error)),
            }
        }
        Ok(filled)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(bytes).map_err(|error| DiskError::new("write", &self.path, error))
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.file.metadata().map_err(|error| DiskError::new("look at", &self.path, error))?.len())
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|error| DiskError::new("sync", &self.path, error))
    }

    fn forget(&self) {
        // Linux also starts to write out what is dirty, so that the sync at the end has less to wait for.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(Box::new(OsFile::open("open", path, OpenOptions::new().read(true))?))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(Box::new(OsFile::open("open", path, OpenOptions::new().read(true).append(true))?))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create_new(true).mode(0o600);
        let made = OsFile::open("create", path, options)?;
        ownership::follow(&made.file, path);
        Ok(Box::new(made))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        let metadata = fs::metadata(path).map_err(|error| DiskError::new("look at", path, error))?;
        Ok(Metadata {
            kind: kind(metadata.file_type()),
            len: metadata.len(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
        })
    }

    fn file_number(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let ask = || {
            let file = File::open(path)?;
            Ok(if is_on_own_disk(&file) { Some(file.metadata()?.ino()) } else { None })
        };
        ask().map_err(|error| DiskError::new("look at", path, error))
    }

    fn list(&self, path: &Path) -> Result<Vec<(std::ffi::OsString, EntryKind)>, DiskError> {
        let list = || -> io::Result<Vec<_>> {
            fs::read_dir(path)?
                .map(|entry| {
                    let entry = entry?;
                    Ok((entry.file_name(), kind(entry.file_type()?)))
                })
                .collect()
        };
        list().map_err(|error| DiskError::new("list", path, error))
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(|error| DiskError::new("create directory", path, error))?;
        ownership::directory_follows(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(|error| DiskError::new("rename a file to", to, error))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).map_err(|error| DiskError::new("remove", path, error))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_dir(path).map_err(|error| DiskError::new("remove directory", path, error))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        match File::open(path).and_then(|directory| directory.sync_all()) {
            // Some network file systems cannot sync a directory, and say so in this way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result.map_err(|error| DiskError::new("sync directory", path, error)),
        }
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let result = statvfs(path).map_err(|error| DiskError::new("ask for the free space of", path, error.into()))?;
        Ok(result.f_bavail.saturating_mul(result.f_frsize))
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        fs::canonicalize(path).map_err(|error| DiskError::new("resolve", path, error))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        let file = open_lock(path).map_err(|error| DiskError::new("open", path, error))?;
        match file.try_lock() {
            Ok(()) if is_locked_from_afar(&file) => Ok(None),
            Ok(()) => Ok(Some(Box::new(OsLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(DiskError::new("lock", path, error)),
        }
    }
}

/// Opens the file that a lock is taken on, or makes it.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.create_new(true).open(path) {
        // Not what was there already: somebody else may have put a link in its place.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create_new(false).create(true).open(path),
        made => made.inspect(|file| ownership::follow(file, path)),
    }
}

/// Returns whether somebody has locked a file whom `flock` does not know of. A machine that has this one's disk by NFS or SMB takes
/// the same locks as we do; its server puts them down here as locks on ranges of bytes (`fcntl`), which are no business of `flock`.
fn is_locked_from_afar(file: &File) -> bool {
    // On another machine's file systems, ours are put down so as well.
    is_on_own_disk(file) && matches!(fcntl_getlk(file, &Flock::from(FlockType::WriteLock)), Ok(Some(_)))
}

fn kind(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_file_is_created_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let mut file = OsDisk.create(&path).unwrap();
        file.append(b"abc").unwrap();
        file.sync().unwrap();
        file.forget();
        assert_eq!(OsDisk.create(&path).map(drop).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let metadata = OsDisk.metadata(&path).unwrap();
        assert_eq!((metadata.kind, metadata.len, metadata.mode), (EntryKind::File, 3, 0o600));

        let mut buffer = [0; 8];
        assert_eq!(OsDisk.open(&path).unwrap().read_at(&mut buffer, 1).unwrap(), 2);
        assert_eq!(&buffer[..2], b"bc");
        OsDisk.open_append(&path).unwrap().append(b"d").unwrap();
        assert_eq!(worldkeeper_core::disk::read(&OsDisk, &path, 10).unwrap(), b"abcd");
    }

    #[test]
    fn what_root_makes_is_whose_the_directory_is() {
        let directory = tempfile::tempdir().unwrap();
        let owner = |name: &str| {
            let metadata = fs::metadata(directory.path().join(name)).unwrap();
            (metadata.uid(), metadata.gid())
        };
        OsDisk.create(&directory.path().join("before")).unwrap();
        let before = owner("before");
        if std::os::unix::fs::chown(directory.path(), Some(1234), Some(1235)).is_err() {
            return;
        }
        OsDisk.create(&directory.path().join("file")).unwrap();
        OsDisk.create_dir(&directory.path().join("directory")).unwrap();
        OsDisk.create(&directory.path().join("directory/file")).unwrap();
        for lock in ["lock", "before"] {
            OsDisk.try_lock(&directory.path().join(lock)).unwrap().unwrap();
        }
        for made in ["file", "directory", "directory/file", "lock"] {
            assert_eq!(owner(made), (1234, 1235), "{made}");
        }
        assert_eq!(owner("before"), before, "what is there already may be a link to anything");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let read = OsDisk.open(&path).and_then(|file| file.read_at(&mut [0; 8], 0));
        assert!(read.is_err(), "{read:?}");
    }

    #[test]
    fn a_renamed_directory_takes_the_place_of_an_empty_one_only() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        OsDisk.create_dir(&from).unwrap();
        OsDisk.create(&from.join("holder")).unwrap();
        OsDisk.create_dir(&to).unwrap();
        OsDisk.rename(&from, &to).unwrap();
        OsDisk.create_dir(&from).unwrap();
        let error = OsDisk.rename(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        OsDisk.sync_dir(directory.path()).unwrap();
        assert!(OsDisk.available_bytes(directory.path()).unwrap() > 0);
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = OsDisk.try_lock(&path).unwrap().unwrap();
        assert!(OsDisk.try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(OsDisk.try_lock(&path).unwrap().is_some());
    }

    /// As the server of a network file system locks for its clients.
    #[test]
    fn a_lock_on_a_range_of_bytes_counts_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        drop(OsDisk.try_lock(&path).unwrap().unwrap());
        if !is_on_own_disk(File::open(&path).unwrap()) {
            return;
        }
        let script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()";
        let mut server = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        server.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!(OsDisk.try_lock(&path).unwrap().is_none());
        drop(server.stdin.take());
        server.wait().unwrap();
        assert!(OsDisk.try_lock(&path).unwrap().is_some());
    }
}
