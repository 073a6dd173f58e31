//! Giving a restored object its attributes, in the order in which none undoes another.
//!
//! The owner comes first, as changing it clears setuid bits and capabilities; extended attributes before permissions,
//! as only root may set them on a file that its owner must not write; times late, as other changes touch them; flags
//! last, as an immutable file takes no change, not even of its name.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fremovexattr,
    fsetxattr, futimens, ioctl_getflags, ioctl_setflags, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;
use worldkeeper_archive::Item;

use super::error::{Attribute, Unset};
use super::target::RestoreOptions;
use crate::attributes::acl::{self, Acl, AclError};
use crate::attributes::{Names, flags};

const SET_ID: u32 = 0o6000;
/// What a program may do whoever runs it: as much worth as a setuid bit.
const CAPABILITIES: &[u8] = b"security.capability";

/// A restored object.
#[derive(Clone, Copy)]
pub(super) enum Object<'a> {
    /// A regular file or a directory, open.
    Open(BorrowedFd<'a>),
    /// Anything else: a descriptor that names the object itself, but does not open it (`O_PATH`).
    Named(BorrowedFd<'a>),
}

/// Sets attributes and reports what cannot be set.
pub(super) struct Setter {
    pub(super) names: Names,
    pub(super) options: RestoreOptions,
    pub(super) report: Box<dyn FnMut(Unset) + Send>,
}

impl Setter {
    /// Gives an object everything that its item says, but for the flags.
    pub(super) fn set(&mut self, object: Object<'_>, item: &Item) {
        let symlink = FileType::from_raw_mode(item.mode) == FileType::Symlink;
        let owned = self.attempt(item, Attribute::Owner, |this| this.owner(object, item));
        for (name, value) in item.xattrs.iter().flatten() {
            if name == CAPABILITIES && !self.options.setuid {
                self.unset(item, Attribute::Capabilities, not_asked_for());
                continue;
            }
            let attribute = if name == CAPABILITIES { Attribute::Capabilities } else { Attribute::Xattr(name.clone()) };
            self.attempt(item, attribute, |_| object.set_xattr(name, value));
        }
        if !symlink {
            self.permissions(object, item, owned);
        }
        let times = Timestamps {
            last_access: timespec(item.atime_ns.unwrap_or(item.mtime_ns)),
            last_modification: timespec(item.mtime_ns),
        };
        self.attempt(item, Attribute::Times, |_| object.set_times(&times));
    }

    /// Gives an object that is in its place its flags.
    pub(super) fn set_flags(&mut self, object: Object<'_>, item: &Item) {
        if let Some(bsdflags) = item.bsdflags {
            self.attempt(item, Attribute::Flags, |_| object.set_flags(bsdflags));
        }
    }

    /// Sets permission bits and ACLs.
    fn permissions(&mut self, object: Object<'_>, item: &Item, owned: bool) {
        let directory = FileType::from_raw_mode(item.mode) == FileType::Directory;
        let given = |text: &Option<Vec<u8>>| text.clone().filter(|text| !text.is_empty());
        let mut acls = vec![(acl::ACCESS, given(&item.acl_access))];
        if directory {
            acls.push((acl::DEFAULT, given(&item.acl_default)));
        }
        // What is made in a directory with a default ACL has inherited one, and then permission bits mean its mask.
        for (name, _) in acls.iter().filter(|(_, text)| text.is_none()) {
            self.attempt(item, Attribute::Acl, |_| object.remove_xattr(name));
        }
        let mut mode = item.mode & 0o7777;
        if mode & SET_ID != 0 && !directory && !self.options.setuid {
            mode &= !SET_ID;
            self.unset(item, Attribute::SetId, not_asked_for());
        } else if mode & SET_ID != 0 && !owned {
            // They would give away the rights of whoever restores.
            mode &= !SET_ID;
            self.unset(item, Attribute::SetId, io::Error::other("the owner could not be set"));
        }
        self.attempt(item, Attribute::Mode, |_| object.chmod(mode));
        for (name, text) in acls {
            if let Some(text) = text {
                self.attempt(item, Attribute::Acl, |this| this.acl(object, name, &text));
            }
        }
    }

    /// Reports something that an object lacks.
    pub(super) fn unset(&mut self, item: &Item, attribute: Attribute, source: io::Error) {
        (self.report)(Unset { path: item.path.clone(), attribute, source });
    }

    fn attempt(&mut self, item: &Item, attribute: Attribute, set: impl FnOnce(&mut Self) -> io::Result<()>) -> bool {
        set(self).map_err(|error| self.unset(item, attribute, error)).is_ok()
    }

    fn owner(&mut self, object: Object<'_>, item: &Item) -> io::Result<()> {
        let Self { names, options: RestoreOptions { numeric_ids, .. }, .. } = self;
        let user = item.user.as_ref().filter(|_| !*numeric_ids).and_then(|name| names.uid(name));
        let group = item.group.as_ref().filter(|_| !*numeric_ids).and_then(|name| names.gid(name));
        let uid = Uid::from_raw(user.map_or_else(|| number(item.uid), Ok)?);
        let gid = Gid::from_raw(group.map_or_else(|| number(item.gid), Ok)?);
        Ok(chownat(object.descriptor(), c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?)
    }

    fn acl(&mut self, object: Object<'_>, name: &[u8], text: &[u8]) -> io::Result<()> {
        let invalid = |error: AclError| io::Error::new(io::ErrorKind::InvalidData, error);
        let acl = Acl::from_text(text, &mut self.names, self.options.numeric_ids).map_err(invalid)?;
        object.set_xattr(name, &acl.to_xattr())
    }
}

impl<'a> Object<'a> {
    fn descriptor(self) -> BorrowedFd<'a> {
        match self {
            Self::Open(descriptor) | Self::Named(descriptor) => descriptor,
        }
    }

    /// A path that leads to just this object, even if it is a symlink: for calls that take no such descriptor.
    fn path(self) -> String {
        format!("/proc/self/fd/{}", self.descriptor().as_raw_fd())
    }

    fn chmod(self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        Ok(match self {
            Self::Open(file) => fchmod(file, mode),
            Self::Named(_) => chmodat(CWD, self.path(), mode, AtFlags::empty()),
        }?)
    }

    fn set_xattr(self, name: &[u8], value: &[u8]) -> io::Result<()> {
        Ok(match self {
            Self::Open(file) => fsetxattr(file, name, value, XattrFlags::empty()),
            Self::Named(_) => setxattr(self.path(), name, value, XattrFlags::empty()),
        }?)
    }

    /// Removes an extended attribute, if there is one.
    fn remove_xattr(self, name: &[u8]) -> io::Result<()> {
        let removed = match self {
            Self::Open(file) => fremovexattr(file, name),
            Self::Named(_) => removexattr(self.path(), name),
        };
        match removed {
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn set_times(self, times: &Timestamps) -> io::Result<()> {
        Ok(match self {
            Self::Open(file) => futimens(file, times),
            Self::Named(_) => utimensat(CWD, self.path(), times, AtFlags::empty()),
        }?)
    }

    fn set_flags(self, bsdflags: u32) -> io::Result<()> {
        let Self::Open(file) = self else {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        };
        let present = ioctl_getflags(file)?;
        let wanted = flags::to_inode_flags(bsdflags, present);
        if wanted == present { Ok(()) } else { Ok(ioctl_setflags(file, wanted)?) }
    }
}

fn not_asked_for() -> io::Error {
    io::Error::other("nobody asked for them")
}

/// A user or group number as the kernel takes it. As stock, a negative one means root.
fn number(id: i64) -> io::Result<u32> {
    match u32::try_from(id.max(0)) {
        // For the kernel this one means: leave it as it is.
        Ok(u32::MAX) | Err(_) => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        Ok(id) => Ok(id),
    }
}

fn timespec(time_ns: i64) -> Timespec {
    const SECOND: i64 = 1_000_000_000;
    Timespec { tv_sec: time_ns.div_euclid(SECOND), tv_nsec: time_ns.rem_euclid(SECOND) }
}
