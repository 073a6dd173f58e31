//! A tree of everything a file system allows and a backup tool likes to forget.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::make::write;
use crate::fixtures::sha_stream;
use crate::peers;

/// Makes the tree at `root`. What only root can make (devices, foreign owners, `trusted` attributes) is left out for
/// others.
pub fn nasty(root: &Path) {
    names(root);
    links(root);
    modes(root);
    attributes(root);
    sparse(&root.join("sparse"));
    if peers::is_root() {
        devices(&root.join("devices"));
        owners(&root.join("owners"));
    }
    times(root);
}

/// Names are bytes; only `/` and NUL are not allowed in them.
fn names(root: &Path) {
    let long = [b'x'; 255];
    let names: [&[u8]; 11] = [
        b"bad-\xff-name",
        "späce näme.txt".as_bytes(),
        b"new\nline",
        b"-dash",
        b"quote'\"`$(x)",
        b" around ",
        b"*glob?[a]",
        b"back\\slash",
        b"\x01\x7f",
        b"\x1b[31mred",
        &long,
    ];
    for name in names {
        write(&root.join("names").join(OsStr::from_bytes(name)), name);
    }
    let deep = (0..60).fold(root.join("deep"), |path, level| path.join(format!("level-{level}")));
    write(&deep.join("bottom"), b"found");
    fs::create_dir_all(root.join("empty/folder")).expect("folders can be made");
}

fn links(root: &Path) {
    let folder = root.join("links");
    write(&folder.join("hard1"), b"one inode, three names");
    write(&folder.join("other/x"), b"");
    fs::hard_link(folder.join("hard1"), folder.join("hard2")).expect("hard links can be made");
    fs::hard_link(folder.join("hard1"), folder.join("other/hard3")).expect("hard links can be made");
    let targets: [(&str, &[u8]); 5] = [
        ("relative", b"../names/-dash"),
        ("absolute", b"/etc/hostname"),
        ("dangling", b"no/such/file"),
        ("folder", b"other"),
        ("bytes", b"\xff\xfe"),
    ];
    for (name, target) in targets {
        symlink(OsStr::from_bytes(target), folder.join(name)).expect("symlinks can be made");
    }
    let fifo = folder.join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o640), 0).expect("fifos can be made");
}

fn modes(root: &Path) {
    let folder = root.join("modes");
    for mode in [0o000, 0o200, 0o400, 0o600, 0o644, 0o755, 0o777, 0o2755, 0o4755, 0o6711] {
        let path = folder.join(format!("{mode:04o}"));
        write(&path, b"#!/bin/true\n");
        set_mode(&path, mode);
    }
    for mode in [0o700, 0o1777, 0o2750] {
        let path = folder.join(format!("folder-{mode:04o}"));
        fs::create_dir(&path).expect("folders can be made");
        set_mode(&path, mode);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("modes can be set");
}

fn attributes(root: &Path) {
    let folder = root.join("attributes");
    let set = |name: &str, attribute: &str, value: &[u8]| {
        let path = folder.join(name);
        if !path.exists() {
            write(&path, name.as_bytes());
        }
        let done = rustix::fs::lsetxattr(&path, attribute, value, XattrFlags::empty());
        done.unwrap_or_else(|error| panic!("cannot set {attribute} on {}: {error}", path.display()));
    };
    set("noted", "user.note", b"some value");
    set("noted", "user.empty", b"");
    set("noted", "user.bytes", b"\x00\xff\x00");
    set("large", "user.large", &sha_stream("large", 2000));
    // The named user and group have no entry in any /etc/passwd: they must come back by number.
    let user_obj = (0x01, 6, NO_ID);
    let (named_user, named_group) = ((0x02, 4, 54321), (0x08, 5, 54322));
    let (group_obj, mask, other) = ((0x04, 4, NO_ID), (0x10, 5, NO_ID), (0x20, 0, NO_ID));
    let list = acl(&[user_obj, named_user, group_obj, named_group, mask, other]);
    set("shared", "system.posix_acl_access", &list);
    fs::create_dir_all(folder.join("inherits")).expect("folders can be made");
    set("inherits", "system.posix_acl_default", &list);
    set("inherits", "user.note", b"on a folder");
    if peers::is_root() {
        set("noted", "trusted.note", b"root alone sees this");
        // Version 2, effective: CAP_NET_BIND_SERVICE.
        set("capable", "security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    largest_attribute(&folder.join("largest"));
    no_dump(&folder.join("not dumped"));
}

/// As much as one attribute may hold, where the file system has room for it: many have for 4 KiB only.
fn largest_attribute(path: &Path) {
    write(path, b"");
    let value = sha_stream("largest", 64 << 10);
    match rustix::fs::lsetxattr(path, "user.largest", &value, XattrFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOSPC | rustix::io::Errno::TOOBIG) => {}
        Err(error) => panic!("cannot set an attribute of 64 KiB: {error}"),
    }
}

/// The one file flag that hinders nobody from removing the tree.
fn no_dump(path: &Path) {
    write(path, b"");
    let file = File::open(path).expect("it was just written");
    let set = rustix::fs::ioctl_getflags(&file)
        .and_then(|flags| rustix::fs::ioctl_setflags(&file, flags | rustix::fs::IFlags::NODUMP));
    match set {
        Ok(()) | Err(rustix::io::Errno::NOTTY | rustix::io::Errno::NOTSUP) => {}
        Err(error) => panic!("cannot set a file flag: {error}"),
    }
}

/// Entries that name nobody have this id.
const NO_ID: u32 = u32::MAX;

/// A POSIX ACL as the kernel keeps it: version 2, then (tag, permissions, id) of each entry, little endian.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Data between two holes, and a hole at the end.
fn sparse(path: &Path) {
    write(path, b"");
    let mut file = File::options().write(true).open(path).expect("it was just written");
    file.seek(SeekFrom::Start(3 << 20)).expect("files can be sought");
    file.write_all(&sha_stream("island", 100_000)).expect("files can be written");
    file.set_len(12 << 20).expect("files can be lengthened");
}

fn devices(folder: &Path) {
    fs::create_dir_all(folder).expect("folders can be made");
    let mode = Mode::from_raw_mode(0o660);
    for (name, kind, major, minor) in
        [("null", FileType::CharacterDevice, 1, 3), ("block", FileType::BlockDevice, 7, 300)]
    {
        let made = rustix::fs::mknodat(CWD, folder.join(name), kind, mode, rustix::fs::makedev(major, minor));
        match made {
            Ok(()) => {}
            // Some containers withhold CAP_MKNOD even from root.
            Err(rustix::io::Errno::PERM) => eprintln!("no devices in this tree: making one is not permitted"),
            Err(error) => panic!("cannot make a device: {error}"),
        }
    }
}

fn owners(folder: &Path) {
    for (name, uid, gid, mode) in [
        ("game", 1000, 1000, 0o600),
        ("unknown", 54321, 54322, 0o640),
        ("mixed", 0, 100, 0o4750),
        ("beyond 2^31", (1 << 31) + 1, (1 << 31) + 2, 0o644),
        ("the last", u32::MAX - 1, u32::MAX - 1, 0o644),
    ] {
        let path = folder.join(name);
        write(&path, name.as_bytes());
        lchown(&path, Some(uid), Some(gid)).expect("root may give files away");
        set_mode(&path, mode); // after the owner: a change of owner drops the setuid bit
    }
    let link = folder.join("link");
    symlink("game", &link).expect("symlinks can be made");
    lchown(&link, Some(1000), Some(1000)).expect("root may give links away");
}

/// Times last, folders after what they hold.
fn times(root: &Path) {
    let times: [(&str, i64, i64); 6] = [
        ("links/hard1", 0, 0),
        ("links/relative", 1_234_567_890, 987_654_321),
        ("links/fifo", 1_700_000_000, 1),
        ("sparse", 2_147_310_846, 999_999_999), // the latest that borg keeps
        ("empty/folder", 1_600_000_000, 500),
        ("empty", 1_600_000_001, 123_456_789),
    ];
    for (name, seconds, nanoseconds) in times {
        set_time(&root.join(name), seconds, nanoseconds);
    }
}

/// Makes files with times that archives cannot hold at `root`, which borg clamps: a tree that comes back otherwise than
/// it went in.
pub fn untimely(root: &Path) {
    let times: [(&str, i64, i64); 6] = [
        ("before 1970", -1, 999_999_999),
        ("before 1902", -3_000_000_000, 0),
        ("after 2038", 1 << 31, 1),
        ("just too late", 2_147_310_847, 1),
        ("after 2262", 9_300_000_000, 5),
        ("after 2106", 1 << 32, 0),
    ];
    for (name, seconds, nanoseconds) in times {
        write(&root.join(name), name.as_bytes());
        set_time(&root.join(name), seconds, nanoseconds);
    }
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("times can be set");
}
