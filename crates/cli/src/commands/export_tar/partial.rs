//! The file that an export writes until it is whole, beside the one that it is to be; and what exports have left that were killed.
//!
//! Whoever writes one holds a lock on it (`flock`), which ends with the process: what nobody has locked, nobody goes on with.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

const PREFIX: &str = "worldkeeper-export-";
const SUFFIX: &str = ".partial";

/// Creates one, under a name that nobody can know before.
pub(super) fn create(path: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let partial = name(path)?;
        // Nobody else reads it, as with stock; and what somebody has put there is neither followed nor replaced.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
        match file.try_lock() {
            // An export that has begun at the same time has taken it for one that was left.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if file.metadata()?.nlink() == 0 => {}
            // Where there are no locks, nobody takes anything away.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok((partial, file)),
        }
    }
}

/// Removes what killed exports have left beside a file: regular files of ours that nobody has locked. That some of it stays is no
/// reason not to export.
pub(super) fn remove_left(path: &Path) {
    let Ok(entries) = fs::read_dir(folder(path)) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_name) {
            _ = remove_one(&entry.path());
        }
    }
}

fn remove_one(path: &Path) -> io::Result<()> {
    let is_ours = |metadata: &fs::Metadata| metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours(&fs::symlink_metadata(path)?) {
        return Ok(());
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
    if is_ours(&file.metadata()?) && file.try_lock().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// A name beside a file. That of the file is not part of it: names have lengths of their own on some file systems.
fn name(path: &Path) -> io::Result<PathBuf> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    Ok(path.with_file_name(format!("{PREFIX}{number:016x}{SUFFIX}")))
}

fn is_name(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    number.is_some_and(|number| number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_folder_is_beside_it() {
        let partial = name(Path::new("a.tar")).unwrap();
        assert_eq!((partial.parent(), folder(&partial)), (Some(Path::new("")), Path::new(".")));
        assert_ne!(partial, name(Path::new("a.tar")).unwrap());
        assert!(is_name(partial.to_str().unwrap()));
        assert_eq!(folder(Path::new("/a/b.tar")), Path::new("/a"));
    }

    #[test]
    fn one_that_is_written_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let (partial, file) = create(&path).unwrap();
        let other = file.try_clone().unwrap();
        drop(file);
        remove_left(&path);
        assert!(partial.exists());
        drop(other);
        remove_left(&path);
        assert!(!partial.exists());
    }
}
