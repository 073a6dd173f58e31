//! What is at a path: a repository, room for one, or something else.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::{Disk, DiskError, RepositoryError};

/// What the file `README` of a repository says, word for word as stock writes it: stock recognises it by that, and
/// refuses to create a repository below.
pub(crate) const README: &str = "This is a Borg Backup repository.\nSee https://borgbackup.readthedocs.io/\n";

/// How much of a README is looked at; one that we stumble upon may be large.
const README_HEAD_BYTES: usize = 100;

/// What is left when creating a repository was interrupted; the config, which comes last, is missing.
const LEFT_BY_CREATE: [&str; 4] = ["README", "README.tmp", "data", "config.tmp"];

/// What was found at a path.
pub(crate) enum Place {
    /// Nothing at all.
    Missing,
    /// A directory that may become a repository: an empty one, or what an interrupted creation has left.
    Vacant,
    /// A borg 1 repository, as far as its `config` goes.
    Repository,
    /// A borg 2 repository, of this version.
    Borg2(String),
    /// Something else.
    Other(String),
}

impl Place {
    /// Looks at a path.
    pub(crate) fn look(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        match metadata(disk, path)? {
            None => return Ok(Self::Missing),
            Some(EntryKind::Directory) => {}
            Some(EntryKind::File) => return Ok(Self::Other("it is a file".into())),
            Some(EntryKind::Other) => return Ok(Self::Other("it is no directory".into())),
        }
        match metadata(disk, &path.join("config"))? {
            Some(EntryKind::File) => return Ok(Self::Repository),
            Some(EntryKind::Directory) => {
                // Borg 2 keeps its configuration as objects in a directory of this name.
                let version = disk::read(disk, &path.join("config/version"), 100);
                let version = version.map(|version| String::from_utf8_lossy(&version).trim().to_owned());
                return Ok(Self::Borg2(version.unwrap_or_else(|_| "2 or later".into())));
            }
            _ => {}
        }
        let is_left_over = |name: &OsString| LEFT_BY_CREATE.iter().any(|left| name == left);
        let names = disk.list(path)?;
        let is_foreign = names.iter().any(|(name, _)| name == "README") && !says_it_is_a_repository(disk, path);
        if is_foreign || !names.iter().all(|(name, _)| is_left_over(name)) {
            return Ok(Self::Other("it is a directory with other files in it, and has no config".into()));
        }
        let has_data = names.iter().any(|(name, _)| name == "data") && !disk.list(&path.join("data"))?.is_empty();
        Ok(if has_data { Self::Other("it has data, but its config is missing".into()) } else { Self::Vacant })
    }
}

/// Requires that there is a borg 1 repository at `path`.
pub(crate) fn require_repository(disk: &dyn Disk, path: &Path) -> Result<(), RepositoryError> {
    let shown = path.display().to_string();
    Err(match Place::look(disk, path)? {
        Place::Repository => return Ok(()),
        Place::Missing | Place::Vacant => RepositoryError::DoesNotExist(shown),
        Place::Borg2(version) => {
            RepositoryError::UnsupportedVersion { path: shown, version: format!("{version} (borg 2)") }
        }
        Place::Other(reason) => RepositoryError::NotARepository { path: shown, reason },
    })
}

/// Returns whether there is a README in `directory` that says it is a repository.
pub(crate) fn says_it_is_a_repository(disk: &dyn Disk, directory: &Path) -> bool {
    // What cannot be read says nothing: stock thinks so too.
    let mut head = [0; README_HEAD_BYTES];
    let read = disk.open(&directory.join("README")).and_then(|file| file.read_at(&mut head, 0));
    let head = &head[..read.unwrap_or(0)];
    let contains = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    contains(b"Borg Backup repository") || contains(b"Borg repository")
}

/// The absolute path, as stock borg writes it down: `.` and `..` are taken out, symlinks are not followed.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, DiskError> {
    let path = std::path::absolute(path).map_err(|error| DiskError::new("find the absolute path of", path, error))?;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn metadata(disk: &dyn Disk, path: &Path) -> Result<Option<EntryKind>, DiskError> {
    match disk.metadata(path) {
        Ok(metadata) => Ok(Some(metadata.kind)),
        Err(error) if error.is_not_found() || error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_without_a_look_at_the_disk() {
        for (path, plain) in [("/a/./b/../c", "/a/c"), ("/..", "/"), ("/a//b/", "/a/b")] {
            assert_eq!(absolute(Path::new(path)).unwrap(), Path::new(plain), "{path}");
        }
        assert!(absolute(Path::new("a")).unwrap().is_absolute());
        assert!(absolute(Path::new("")).is_err());
    }
}
