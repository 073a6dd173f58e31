//! The fields of an item that are not content: from a stat, extended attributes and ACLs.

use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{FileType, fgetxattr, flistxattr, getxattr, lgetxattr, listxattr, llistxattr};
use rustix::io::{self, Errno};
use worldkeeper_archive::Item;

use super::entry::Attributes;
use super::error::{Action, SourceError};
use super::stat::Stat;
use crate::attributes::Names;
use crate::attributes::acl::{self, Acl};

/// Times that stock stores are clamped to this, so that 32-bit systems can restore them.
///
/// Source: borg 1.4 `helpers/time.py`, `MAX_NS`.
pub(crate) const MAX_TIME_NS: i64 = (0x7fff_ffff - 48 * 3600) * 1_000_000_000;

/// The kernel's limit for one value and for the list of names.
const MAX_XATTR_BYTES: usize = 65_536;
/// So many bytes of names and values are kept of one object; some file systems let it have half a gigabyte.
const MAX_XATTRS_BYTES: usize = 16 << 20;

/// Enough for nearly every list of names.
const FEW_BYTES: usize = 512;

/// Where an object's attributes are read: beneath a directory by name, without opening it, or from a descriptor.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Name(BorrowedFd<'a>, &'a [u8]),
    /// What a symlink of that name leads to.
    Target(BorrowedFd<'a>, &'a [u8]),
    Open(BorrowedFd<'a>),
}

/// Fills items in; holds the buffers that this needs, and the names of users and groups.
#[derive(Debug)]
pub(super) struct Collector {
    names: Names,
    path: Vec<u8>,
    list: Vec<u8>,
    value: Vec<u8>,
}

impl Collector {
    pub(super) fn new() -> Self {
        Self {
            names: Names::default(),
            path: Vec::new(),
            list: vec![0; MAX_XATTR_BYTES],
            value: vec![0; MAX_XATTR_BYTES],
        }
    }

    /// Sets the item's fields that a stat tells.
    pub(super) fn stat(&mut self, item: &mut Item, stat: &Stat) {
        item.mode = stat.mode;
        item.uid = i64::from(stat.uid);
        item.gid = i64::from(stat.gid);
        item.user = self.names.user(stat.uid);
        item.group = self.names.group(stat.gid);
        item.mtime_ns = stat.mtime_ns.clamp(0, MAX_TIME_NS);
        item.ctime_ns = Some(stat.ctime_ns.clamp(0, MAX_TIME_NS));
        item.bsdflags = (stat.bsdflags != 0).then_some(stat.bsdflags);
        let device = matches!(stat.file_type(), FileType::CharacterDevice | FileType::BlockDevice);
        item.rdev = device.then_some(stat.rdev);
    }

    /// Sets the item's extended attributes and ACLs. What goes away meanwhile is as if it had never been; what cannot
    /// be read is told to `report` and missing in the item, which is better than the file missing in the archive.
    pub(super) fn attributes(
        &mut self,
        item: &mut Item,
        stat: &Stat,
        at: At<'_>,
        path: &[u8],
        report: &mut dyn FnMut(SourceError),
    ) -> Result<Attributes, SourceError> {
        (item.xattrs, item.acl_access, item.acl_default) = (None, None, None);
        self.locate(at);
        let listed = match self.list(at) {
            Ok(0) => return Ok(Attributes::None),
            Err(Errno::NOTSUP | Errno::PERM) => return Ok(Attributes::Read),
            Ok(listed) => listed,
            // It is the object that vanished: an object without attributes has an empty list.
            Err(error @ (Errno::NOENT | Errno::STALE)) => return Err(SourceError::new(path, Action::Stat, error)),
            Err(error) => {
                report(SourceError::new(path, Action::ReadAttributes, error));
                return Ok(Attributes::Read);
            }
        };
        let names = self.list[..listed].to_vec();
        let (mut xattrs, mut bytes, mut access, mut default) = (Vec::new(), 0, None, None);
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let value = match self.get(at, name) {
                Ok(len) => &self.value[..len],
                Err(Errno::NODATA) => continue,
                Err(error) => {
                    report(SourceError::new(path, Action::ReadAttributes, error));
                    continue;
                }
            };
            match name {
                acl::ACCESS | acl::DEFAULT => match Acl::from_xattr(value) {
                    Ok(read) if name == acl::ACCESS => access = Some(read),
                    Ok(read) => default = Some(read),
                    Err(error) => report(SourceError::new(path, Action::ReadAttributes, invalid(error))),
                },
                _ if name.starts_with(b"system.posix_acl_") => {}
                _ if bytes + name.len() + value.len() > MAX_XATTRS_BYTES => {
                    let problem = format!("all of them have more than {MAX_XATTRS_BYTES} bytes");
                    report(SourceError::new(path, Action::ReadAttributes, std::io::Error::other(problem)));
                    break;
                }
                _ => {
                    bytes += name.len() + value.len();
                    xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        xattrs.sort();
        item.xattrs = (!xattrs.is_empty()).then_some(xattrs);
        if access.is_some() || default.is_some() {
            // As stock: where there is one, a directory gets both, the other one as its permission bits or empty.
            let access = access.unwrap_or_else(|| Acl::from_mode(stat.mode));
            item.acl_access = Some(access.to_text(&mut self.names));
            if stat.file_type() == FileType::Directory {
                item.acl_default = Some(default.unwrap_or_default().to_text(&mut self.names));
            }
        }
        Ok(Attributes::Read)
    }

    /// Makes the path by which a name beneath a directory is reached; there are no system calls for attributes that
    /// take a directory and a name.
    fn locate(&mut self, at: At<'_>) {
        if let At::Name(directory, name) | At::Target(directory, name) = at {
            self.path.clear();
            write!(self.path, "/proc/self/fd/{}/", directory.as_raw_fd()).expect("writing to memory does not fail");
            self.path.extend_from_slice(name);
        }
    }

    /// Most have no names or few: the kernel takes as much memory as it is offered.
    fn list(&mut self, at: At<'_>) -> io::Result<usize> {
        match self.list_at_most(FEW_BYTES, at) {
            Err(Errno::RANGE) => self.list_at_most(MAX_XATTR_BYTES, at),
            listed => listed,
        }
    }

    fn list_at_most(&mut self, bytes: usize, at: At<'_>) -> io::Result<usize> {
        let list = &mut self.list[..bytes];
        match at {
            At::Name(..) => llistxattr(self.path.as_slice(), list),
            At::Target(..) => listxattr(self.path.as_slice(), list),
            At::Open(file) => flistxattr(file.as_fd(), list),
        }
    }

    fn get(&mut self, at: At<'_>, name: &[u8]) -> io::Result<usize> {
        match at {
            At::Name(..) => lgetxattr(self.path.as_slice(), name, self.value.as_mut_slice()),
            At::Target(..) => getxattr(self.path.as_slice(), name, self.value.as_mut_slice()),
            At::Open(file) => fgetxattr(file, name, self.value.as_mut_slice()),
        }
    }
}

fn invalid(error: acl::AclError) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}
