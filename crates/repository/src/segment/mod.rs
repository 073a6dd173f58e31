//! Segments: the numbered files that hold the log of everything put, deleted and committed.
//!
//! A segment is the eight bytes [`MAGIC`] and then entries, back to back. Numbers only grow, a file is written once
//! from front to back, and what the repository contains is what replaying all committed segments in order gives.

mod entry;
mod files;
mod open_files;
mod reader;
mod salvage;
mod writer;

pub(crate) use entry::{Body, EntryError, Header, MAX_ENTRY_SIZE, PutHeader};
pub(crate) use files::{Segments, is_beside, parse_number};
pub(crate) use reader::SegmentReader;
pub(crate) use salvage::{Damage, SalvageReader, Salvaged};
pub(crate) use writer::SegmentWriter;

use std::fmt;

use worldkeeper_core::RepositoryError;

/// What every segment begins with.
pub(crate) const MAGIC: [u8; 8] = *b"BORG_SEG";

/// Length of a segment that holds a COMMIT and nothing else.
pub(crate) const COMMIT_SEGMENT_BYTES: u64 = (MAGIC.len() + Header::LEN) as u64;

/// What a segment of borg's predecessor begins with.
pub(crate) const ATTIC_MAGIC: [u8; 8] = *b"ATTICSEG";

/// Highest number a segment can have: the index keeps the ones above for its own marks.
///
/// Source: borg 1.4 `_hashindex.c`, `MAX_VALUE`.
pub(crate) const MAX_SEGMENT: u32 = u32::MAX - 1024;

/// Where an entry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    /// The segment's number.
    pub(crate) segment: u32,
    /// Offset of the entry's first byte in the file.
    pub(crate) offset: u32,
}

/// Says that the bytes of a segment are not what was written.
pub(crate) fn damaged(segment: u32, offset: impl Into<u64>, reason: &dyn fmt::Display) -> RepositoryError {
    RepositoryError::Damaged { segment, offset: offset.into(), reason: reason.to_string() }
}
