//! What the kernel tells about an object.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io;

use crate::attributes::flags;

/// An object's place: device and inode number, the same for all its hard links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

/// What the kernel tells about an object. Equal values mean that nothing was noticed to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Where it is.
    pub id: FileId,
    /// Type and permission bits.
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Which device it stands for.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Nanoseconds since 1970.
    pub ctime_ns: i64,
    /// File flags as borg stores them.
    pub bsdflags: u32,
}

impl Stat {
    /// Asks for what `name` in a directory is; a symlink is not followed.
    pub(crate) fn of(directory: impl AsFd, name: &[u8]) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(directory, name, flags, StatxFlags::BASIC_STATS).map(|stat| Self::from(&stat))
    }

    /// Asks for what `name` in a directory is or, if it is a symlink, leads to.
    pub(crate) fn of_target(directory: impl AsFd, name: &[u8]) -> io::Result<Self> {
        statx(directory, name, AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS).map(|stat| Self::from(&stat))
    }

    /// Asks for what is open.
    pub(crate) fn of_open(file: impl AsFd) -> io::Result<Self> {
        statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|stat| Self::from(&stat))
    }

    /// Returns whether it is something that can be read and is no file: a FIFO or a device.
    pub(crate) fn is_special(&self) -> bool {
        matches!(self.file_type(), FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice)
    }

    /// What kind of object it is.
    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

impl From<&Statx> for Stat {
    fn from(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let flagged = matches!(FileType::from_raw_mode(mode), FileType::RegularFile | FileType::Directory);
        Self {
            id: FileId { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
            mode,
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            rdev: makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            size: stat.stx_size,
            mtime_ns: nanoseconds(&stat.stx_mtime),
            ctime_ns: nanoseconds(&stat.stx_ctime),
            bsdflags: if flagged { flags::from_attributes(stat.stx_attributes) } else { 0 },
        }
    }
}

/// Times that nanoseconds in 64 bits cannot express (before 1678, after 2261) become the nearest that they can.
fn nanoseconds(time: &StatxTimestamp) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
}
