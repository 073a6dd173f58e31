//! What is in the place of a regular file that is about to be restored.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FallocateFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags, fallocate, fstat, openat, statx,
};
use rustix::io::{self, Errno};

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// A regular file.
    File,
    /// A regular file that is mounted there by itself, as compose files do with a `server.properties`: nothing can be moved to
    /// its place, and who has mounted it sees this file and no other.
    MountedFile,
    /// Something else, or nothing.
    Other,
}

impl There {
    /// Looks at what `name` is in `directory`.
    pub(super) fn at(directory: &OwnedFd, name: &[u8]) -> Self {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        // What cannot be looked at cannot be replaced either, which is told then.
        let Ok(found) = statx(directory, name, flags, StatxFlags::TYPE) else { return Self::Other };
        if FileType::from_raw_mode(found.stx_mode.into()) != FileType::RegularFile {
            Self::Other
        } else if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            Self::MountedFile
        } else {
            Self::File
        }
    }
}

/// Replaces the content of the regular file `name` in `directory` by that of `content`.
/// Returns the file; its content is on the disk.
pub(super) fn pour(content: OwnedFd, directory: &OwnedFd, name: &[u8]) -> std::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let place = openat(directory, name, flags, Mode::empty())?;
    require_regular(&place)?;
    let len = fstat(&content)?.st_size as u64;
    // Before anything is lost: is there room?
    match fallocate(&place, FallocateFlags::KEEP_SIZE, 0, len.max(1)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let mut place = File::from(place);
    std::io::copy(&mut File::from(content), &mut place)?;
    place.set_len(len)?;
    place.sync_all()?;
    Ok(place.into())
}

/// Somebody else may have put another thing there meanwhile.
fn require_regular(file: &OwnedFd) -> io::Result<()> {
    let is_regular = FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::RegularFile;
    if is_regular { Ok(()) } else { Err(Errno::STALE) }
}
