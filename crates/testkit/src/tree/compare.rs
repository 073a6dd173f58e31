//! What two trees must have in common: names, bytes, metadata, link structure.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use sha2::{Digest, Sha256};

/// Everything about one file that a backup must bring back. Access and change times are not among it: borg does not
/// restore the first, and nobody can restore the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is, with what it holds.
    pub content: Content,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Numeric owner and group.
    pub owner: (u32, u32),
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// Which of the flags that borg stores are set: nodump, immutable, append.
    pub flags: StatxAttributes,
    /// Extended attributes, ACLs among them.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// For a file with several names, the first of them.
    pub first_name: Option<PathBuf>,
}

/// What a file is and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Length and SHA-256 of a regular file.
    File(u64, String),
    /// A directory; its entries stand in the listing.
    Directory,
    /// Where a symlink points.
    Symlink(PathBuf),
    /// A fifo.
    Fifo,
    /// A character device's number.
    CharDevice(u64),
    /// A block device's number.
    BlockDevice(u64),
    /// A socket, which borg leaves out.
    Socket,
}

/// Everything below `root`, and `root` itself under the empty path. A `root` that is no directory or is missing gives
/// one entry or none.
pub fn listing(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut paths = vec![PathBuf::new()];
    while let Some(relative) = paths.pop() {
        // `join` of an empty path adds a slash, which a file does not bear.
        let path = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
        match fs::symlink_metadata(&path) {
            Ok(metadata) => {
                if metadata.is_dir() {
                    let names = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    paths.extend(names.map(|name| relative.join(name.expect("a directory can be read").file_name())));
                } else if metadata.nlink() > 1 {
                    inodes.entry(metadata.ino()).or_insert_with(Vec::new).push(relative.clone());
                }
                let entry = describe(&path, &metadata);
                entries.insert(relative, entry.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    for names in inodes.values().filter(|names| names.len() > 1) {
        let first = names.iter().min().expect("there are several");
        for name in names {
            entries.get_mut(name).expect("it was just listed").first_name = Some(first.clone());
        }
    }
    entries
}

fn describe(path: &Path, metadata: &Metadata) -> io::Result<Entry> {
    let kind = metadata.file_type();
    let content = if kind.is_dir() {
        Content::Directory
    } else if kind.is_symlink() {
        Content::Symlink(fs::read_link(path)?)
    } else if kind.is_fifo() {
        Content::Fifo
    } else if kind.is_char_device() {
        Content::CharDevice(metadata.rdev())
    } else if kind.is_block_device() {
        Content::BlockDevice(metadata.rdev())
    } else if kind.is_socket() {
        Content::Socket
    } else {
        let bytes = fs::read(path)?;
        Content::File(bytes.len() as u64, hex::encode(Sha256::digest(&bytes)))
    };
    Ok(Entry {
        content,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        flags: flags(path)?,
        xattrs: xattrs(path)?,
        first_name: None,
    })
}

fn flags(path: &Path) -> io::Result<StatxAttributes> {
    let stored = StatxAttributes::NODUMP | StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let stat = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?;
    Ok(stat.stx_attributes & stored)
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let len = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(len) => len,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            value.truncate(len);
            Ok((String::from_utf8_lossy(name).into_owned(), value))
        })
        .collect()
}

/// Asserts that two trees are the same, and says where they are not.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn assert_same(expected: &Path, found: &Path) {
    let left = listing(expected);
    assert!(left.contains_key(Path::new("")), "{} is missing", expected.display());
    assert_listed(&left, found);
}

/// Asserts that a tree is what another one was when it was listed, and says where it is not.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn assert_listed(left: &BTreeMap<PathBuf, Entry>, found: &Path) {
    let right = listing(found);
    let mut differences = Vec::new();
    for path in left.keys().chain(right.keys().filter(|path| !left.contains_key(*path))) {
        let name = String::from_utf8_lossy(path.as_os_str().as_bytes());
        match (left.get(path), right.get(path)) {
            (Some(left), Some(right)) if left == right => {}
            (Some(left), Some(right)) => {
                differences.push(format!("{name:?}\n  expected {left:?}\n  found    {right:?}"));
            }
            (Some(_), None) => differences.push(format!("{name:?} is missing")),
            _ => differences.push(format!("{name:?} should not be there")),
        }
    }
    let (shown, count) = (differences.iter().take(8).cloned().collect::<Vec<_>>().join("\n"), differences.len());
    assert!(count == 0, "{} differs in {count} places:\n{shown}", found.display());
}
