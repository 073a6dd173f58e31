//! Brings what was restored to the disk: in place, what was there before is gone, and a power failure would leave neither it nor
//! its successor.
//!
//! A source is often a file system of its own, and what is mounted within it another one: each is asked for by itself.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, syncfs};

use super::origin::Part;
use crate::mounts::MountLine;

/// What was restored may be lost again.
#[derive(Debug, thiserror::Error)]
#[error("what was restored into {} is not certain to be on its disk: look after that, then restore again", path.display())]
pub(crate) struct NotDurable {
    path: PathBuf,
    source: io::Error,
}

/// Waits until all that was restored to `parts` is on its disk.
pub(super) fn settle(parts: &[Part]) -> Result<(), NotDurable> {
    let places = places(parts, &MountLine::all());
    places.into_iter().try_for_each(|path| sync(&path).map_err(|source| NotDurable { path, source }))
}

/// What was restored, and what is mounted beneath.
fn places(parts: &[Part], table: &[MountLine]) -> Vec<PathBuf> {
    let below = |part: &Part| part.paths.iter().map(|path| part.root.join(OsStr::from_bytes(path))).collect();
    let whole = |part: &Part| if part.paths.is_empty() { vec![part.root.clone()] } else { below(part) };
    // The table has no links in its paths.
    let mut places: Vec<_> = parts.iter().flat_map(whole).map(|path| path.canonicalize().unwrap_or(path)).collect();
    let is_beneath =
        |line: &&MountLine| places.iter().any(|place| line.point != *place && line.point.starts_with(place));
    let mounted: Vec<_> = table.iter().filter(is_beneath).map(|line| line.point.clone()).collect();
    places.extend(mounted);
    places
}

/// Syncs the file system that something lies on. Where nothing could be put, there is nothing.
fn sync(place: &Path) -> io::Result<()> {
    // What is no directory lies on the file system of its own, and is not opened: it may be a pipe, or not be for us to read.
    for directory in place.ancestors() {
        let opened = open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        match opened.map_err(io::Error::from) {
            Ok(directory) => return Ok(syncfs(File::from(directory))?),
            Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // What is mounted there is dead: nothing was restored to it.
            Err(error) if matches!(error.kind(), ErrorKind::NotConnected | ErrorKind::StaleNetworkFileHandle) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_and_each_mount_beneath_is_synced() {
        let table = MountLine::parse_all(
            "1 0 0:50 / / rw - overlay overlay rw\n\
             2 1 8:17 / /none/data rw - ext4 /dev/sdb1 rw\n\
             3 2 8:33 / /none/data/plugins rw - ext4 /dev/sdc1 rw\n\
             4 1 8:49 / /none/database rw - ext4 /dev/sdd1 rw\n",
        );
        let places = |root: &str, paths: &[&str]| {
            let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
            let places = places(&[Part { root: root.into(), paths }], &table);
            places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places("/", &["none/data"]), ["/none/data", "/none/data/plugins"]);
        assert_eq!(places("/none", &["data/world", "lobby"]), ["/none/data/world", "/none/lobby"]);
        assert_eq!(places("/none/data/plugins", &[]), ["/none/data/plugins"]);
        assert_eq!(places("/none", &[]), ["/none", "/none/data", "/none/data/plugins", "/none/database"]);
    }

    #[test]
    fn whatever_was_restored_is_on_some_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for place in [folder.path(), &pipe, &link, &folder.path().join("missing")] {
            sync(place).unwrap();
        }
    }
}
