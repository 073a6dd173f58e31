//! One file system object, as an archive describes it.

use worldkeeper_core::ChunkId;

/// A piece of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// The id hash of the plaintext.
    pub id: ChunkId,
    /// Bytes of plaintext.
    pub size: u32,
    /// Bytes of the stored object.
    pub csize: u32,
}

/// One file system object. Fields that are `None` or empty are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Relative, without leading `/` or `../`; any bytes but NUL.
    pub path: Vec<u8>,
    /// `st_mode`: type and permission bits.
    pub mode: u32,
    /// The owner's number. Signed and wide, because archives of odd systems hold such.
    pub uid: i64,
    /// The group's number.
    pub gid: i64,
    /// The owner's name; written as nil when unknown.
    pub user: Option<Vec<u8>>,
    /// The group's name; written as nil when unknown.
    pub group: Option<Vec<u8>>,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Nanoseconds since 1970.
    pub ctime_ns: Option<i64>,
    /// Nanoseconds since 1970; only when asked for.
    pub atime_ns: Option<i64>,
    /// Nanoseconds since 1970; not on Linux.
    pub birthtime_ns: Option<i64>,
    /// The content of a regular file that is no hard link slave, in order.
    pub chunks: Option<Vec<ChunkRef>>,
    /// As `chunks`, before a repair put zeros in the place of lost ones.
    pub chunks_healthy: Option<Vec<ChunkRef>>,
    /// The sum of the chunks' sizes, in bytes.
    pub size: Option<u64>,
    /// Files, fifos and devices: true for the first of several links, false where there is one link.
    pub hardlink_master: Option<bool>,
    /// A symlink's target; else the path in the archive of a hard link slave's master.
    pub source: Option<Vec<u8>>,
    /// `st_rdev` of a device.
    pub rdev: Option<u64>,
    /// Extended attributes, sorted by name.
    pub xattrs: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// POSIX access ACL, as text.
    pub acl_access: Option<Vec<u8>>,
    /// POSIX default ACL of a directory, as text.
    pub acl_default: Option<Vec<u8>>,
    /// NFSv4 ACL, from FreeBSD.
    pub acl_nfs4: Option<Vec<u8>>,
    /// Extended ACL, from macOS.
    pub acl_extended: Option<Vec<u8>>,
    /// `UF_NODUMP` 1, `UF_IMMUTABLE` 2, `UF_APPEND` 4.
    pub bsdflags: Option<u32>,
    /// Number of a part file that a checkpoint left.
    pub part: Option<u64>,
    /// Keys of a later version and their values, packed, kept as they are.
    pub unknown: Vec<(Vec<u8>, Vec<u8>)>,
}
