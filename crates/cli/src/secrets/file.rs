//! A passphrase in a file that nobody else can read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The longest passphrase file taken, in bytes.
pub(super) const LIMIT: u64 = 64 * 1024;

/// Where container engines put secrets; Docker's swarm makes them readable by everyone, on a file system in memory
/// that only this container has.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// `f_type` of file systems in memory, from `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// Why a file cannot hold the passphrase.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Group or others may read it.
    #[error("{} can be read by others (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// In what is backed up, where the game can write it too.
    #[error("{} lies inside the source {}", path.display(), source_dir.display())]
    InSource {
        /// The file.
        path: PathBuf,
        /// The source.
        source_dir: PathBuf,
    },
    /// Nothing in it.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// More than any passphrase.
    #[error("{} is longer than {LIMIT} bytes", .0.display())]
    TooLong(PathBuf),
    /// No text.
    #[error("{} is not valid UTF-8", .0.display())]
    NotText(PathBuf),
}

/// Reads a passphrase file, if it is as it should be.
pub(super) fn read(path: &Path, sources: &[PathBuf]) -> Result<Zeroizing<String>, FileError> {
    let failed = |action| move |source| FileError::Io { action, path: path.to_owned(), source };
    let real = path.canonicalize().map_err(failed("find"))?;
    for source in sources {
        if real_place(source).is_ok_and(|source| real.starts_with(source)) {
            return Err(FileError::InSource { path: path.to_owned(), source_dir: source.clone() });
        }
    }
    // Opening a pipe would wait for a writer: what it is has to be known before.
    let is_regular = real.metadata().map_err(failed("look at"))?.is_file();
    if !is_regular {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    let file = File::open(&real).map_err(failed("open"))?;
    let metadata = file.metadata().map_err(failed("look at"))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 && !is_container_secret(&real, &file, &metadata) {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    read_all(path, file)
}

/// Where a source really is. The source itself is not looked at: its file system may not answer. Whether it is missing, or
/// a link, is somebody else's to complain about.
fn real_place(source: &Path) -> io::Result<PathBuf> {
    match (source.parent(), source.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => Ok(parent.canonicalize()?.join(name)),
        (_, Some(name)) => Ok(Path::new(".").canonicalize()?.join(name)),
        _ => source.canonicalize(),
    }
}

/// Reads a passphrase from what is open already, behind a path in `/proc/self/fd`.
pub(super) fn read_open(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let file = File::open(path).map_err(|source| FileError::Io { action: "open", path: path.to_owned(), source })?;
    read_all(path, file)
}

fn read_all(path: &Path, file: File) -> Result<Zeroizing<String>, FileError> {
    // Enough room from the start, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT as usize + 1));
    let failed = |source| FileError::Io { action: "read", path: path.to_owned(), source };
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(FileError::TooLong(path.to_owned()));
    }
    let text = super::text(&bytes).ok_or_else(|| FileError::NotText(path.to_owned()))?;
    if text.is_empty() { Err(FileError::Empty(path.to_owned())) } else { Ok(text) }
}

/// Nobody but this container can reach it, whatever its mode says.
fn is_container_secret(path: &Path, file: &File, metadata: &Metadata) -> bool {
    let in_memory =
        || rustix::fs::fstatfs(file).is_ok_and(|system| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&(system.f_type as u64)));
    path.starts_with(CONTAINER_SECRETS) && metadata.mode() & 0o022 == 0 && in_memory()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(folder: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = folder.join("passphrase");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o400, 0o600, 0o700] {
            let path = file(folder.path(), b"secret\n", mode);
            assert_eq!(*read(&path, &[]).unwrap(), "secret", "{mode:o}");
        }
        for exposed in [0o640, 0o604, 0o660, 0o644, 0o601, 0o620] {
            let path = file(folder.path(), b"secret\n", exposed);
            let error = read(&path, &[]).unwrap_err();
            assert!(matches!(error, FileError::Exposed { mode, .. } if mode == exposed), "{exposed:o}: {error}");
        }
    }

    #[test]
    fn a_file_the_game_can_write_is_refused_wherever_a_link_makes_it_seem() {
        let folder = tempfile::tempdir().unwrap();
        let world = folder.path().join("world");
        fs::create_dir(&world).unwrap();
        let path = file(&world, b"secret", 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        let folders = folder.path().join("folders");
        symlink(folder.path(), &folders).unwrap();
        for path in [&path, &link] {
            for source in [world.clone(), folders.join("world/"), world.join(".."), folder.path().to_owned()] {
                let error = read(path, &[source]).unwrap_err();
                assert!(matches!(error, FileError::InSource { .. }), "{error}");
            }
        }
        assert!(read(&path, &[folder.path().join("other")]).is_ok());
    }

    #[test]
    fn what_holds_no_passphrase_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![b'x'; LIMIT as usize + 1];
        let refused = |content: &[u8]| read(&file(folder.path(), content, 0o600), &[]).unwrap_err();
        assert!(matches!(refused(b""), FileError::Empty(_)));
        assert!(matches!(refused(b"\r\n"), FileError::Empty(_)));
        assert!(matches!(refused(b"\xff\xfe"), FileError::NotText(_)));
        assert!(matches!(refused(&long), FileError::TooLong(_)));
        assert!(matches!(read(folder.path(), &[]).unwrap_err(), FileError::NotRegular(_)));
        assert!(matches!(read(Path::new("/dev/null"), &[]).unwrap_err(), FileError::NotRegular(_)));
        assert!(matches!(read(&folder.path().join("x"), &[]).unwrap_err(), FileError::Io { .. }));
    }
}
