//! Which file systems are this machine's own.

use std::os::fd::AsFd;

use rustix::fs::fstatfs;

/// File systems that no two machines have mounted at once, and whose inode numbers stay what they are, which those of FUSE and of
/// other machines need not do; by their `f_type`, from `linux/magic.h` and the file systems' own headers.
const OWN: [u64; 9] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0xF2F5_2010, // f2fs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs
];

/// Returns whether a file lies on a file system of this machine alone, as far as its kind tells.
pub fn is_on_own_disk(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|system| OWN.contains(&(system.f_type as u64 & 0xFFFF_FFFF)))
}
