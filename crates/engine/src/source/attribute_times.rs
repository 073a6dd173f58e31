//! On which file systems a change of extended attributes or ACLs sets ctime.
//!
//! POSIX knows neither, so nobody says that it must. These were looked at; on all others attributes are asked for every
//! time.
//!
//! Source: Linux, `fs/ext4/xattr.c`, `ext4_xattr_set_handle`; `fs/xfs/libxfs/xfs_attr.c`, `xfs_attr_set`;
//! `fs/btrfs/xattr.c`, `btrfs_setxattr_trans`; `mm/shmem.c`, `shmem_xattr_handler_set`, since 6.1.

use std::os::fd::AsFd;
use std::sync::LazyLock;

use rustix::fs::fstatfs;
use rustix::system::uname;

/// Also of ext2 and ext3, which are the same code today.
const EXT4: u32 = 0xef53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683e;
const TMPFS: u32 = 0x0102_1994;

/// Returns whether changes of attributes show in the ctime of what is on the same file system as `directory`.
pub(super) fn show_changes(directory: impl AsFd) -> bool {
    fstatfs(directory).is_ok_and(|stat| match stat.f_type as u32 {
        EXT4 | XFS | BTRFS => true,
        TMPFS => *IN_TMPFS,
        _ => false,
    })
}

static IN_TMPFS: LazyLock<bool> = LazyLock::new(|| is_since_6_1(uname().release().to_str().unwrap_or_default()));

fn is_since_6_1(release: &str) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (6, 1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::path::Path;
    use std::thread::sleep;
    use std::time::Duration;

    use rustix::fs::{XattrFlags, removexattr, setxattr};
    use rustix::io::Errno;

    use super::*;
    use crate::source::Stat;

    /// An ACL that gives somebody a right: version, entries of tag, rights and number, as in `acl.rs`.
    fn acl() -> Vec<u8> {
        let entries = [(1u16, 6u16, u32::MAX), (2, 4, 4711), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 4, u32::MAX)];
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend([&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat());
        }
        bytes
    }

    #[test]
    fn where_changes_are_said_to_show_they_do() {
        let seen = Cell::new(0);
        for directory in [Path::new("/dev/shm"), &std::env::temp_dir(), Path::new(env!("CARGO_MANIFEST_DIR"))] {
            let Ok(folder) = tempfile::tempdir_in(directory) else { continue };
            if !show_changes(File::open(&folder).unwrap()) {
                continue;
            }
            let path = folder.path().join("file");
            fs::write(&path, "content").unwrap();
            let changed = |change: &dyn Fn() -> Result<(), Errno>| {
                let before = Stat::of_open(File::open(&path).unwrap()).unwrap();
                sleep(Duration::from_millis(30)); // longer than a tick of the file system's clock
                match change() {
                    Err(Errno::NOTSUP | Errno::PERM) => true,
                    done => {
                        done.unwrap();
                        seen.set(seen.get() + 1);
                        before.ctime_ns < Stat::of_open(File::open(&path).unwrap()).unwrap().ctime_ns
                    }
                }
            };
            for (name, value) in [("user.x", vec![1]), ("trusted.x", vec![1]), ("system.posix_acl_access", acl())] {
                let set = || setxattr(&path, name, &value, XattrFlags::empty());
                assert!(changed(&set), "{name} was set in {}", directory.display());
                let remove = || match removexattr(&path, name) {
                    Err(Errno::NODATA) => Err(Errno::NOTSUP),
                    removed => removed,
                };
                assert!(changed(&remove), "{name} was removed in {}", directory.display());
            }
        }
        assert!(seen.get() > 0, "nothing here is on such a file system");
    }

    #[test]
    fn releases_of_kernels_are_compared_by_number() {
        for release in ["6.1.0-18-amd64", "6.18.4", "10.0", "6.1"] {
            assert!(is_since_6_1(release), "{release}");
        }
        for release in ["5.15.0-91-generic", "6.0.19", "", "none", "4.4.302+"] {
            assert!(!is_since_6_1(release), "{release}");
        }
    }
}
