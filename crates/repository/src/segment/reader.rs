//! Reads a segment from front to back, verifying every entry.

use std::fmt;
use std::sync::Arc;

use worldkeeper_core::RepositoryError;
use worldkeeper_core::disk::DiskFile;

use super::entry::{self, Body, EntryError, Header};
use super::{MAGIC, damaged};

/// How much is read at once; longer entries are read whole.
const BUFFER_BYTES: usize = 1024 * 1024;

/// One verified entry of a segment.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Where in the segment it begins.
    pub(crate) offset: u32,
    /// What it does, to which object.
    pub(crate) body: Body,
    /// All its bytes, header included.
    pub(crate) bytes: &'a [u8],
}

/// Takes the entries of one segment in order.
pub(crate) struct SegmentReader {
    file: Arc<dyn DiskFile>,
    segment: u32,
    /// Bytes `start..end` are read and not taken yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the file `start` is.
    offset: u64,
}

impl SegmentReader {
    /// Starts behind the magic of a segment, which is verified.
    pub(crate) fn new(file: Arc<dyn DiskFile>, segment: u32) -> Result<Self, RepositoryError> {
        let mut reader = Self { file, segment, buffer: Vec::new(), start: 0, end: 0, offset: 0 };
        if reader.fill(MAGIC.len())? < MAGIC.len() || reader.buffer[..MAGIC.len()] != MAGIC {
            return Err(damaged(segment, 0u32, &"it does not begin like a segment"));
        }
        reader.advance(MAGIC.len());
        Ok(reader)
    }

    /// Takes the next entry; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Damaged`] if what follows is no entry. There is no way to go on behind it: where the next
    /// one would begin is not known.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, RepositoryError> {
        let available = self.fill(Header::LEN)?;
        if available == 0 {
            return Ok(None);
        }
        let Some(head) = self.buffer[self.start..self.end].first_chunk() else {
            return Err(self.error(&EntryError::Truncated { missing: (Header::LEN - available) as u64 }));
        };
        let header = Header::decode(head).map_err(|error| self.error(&error))?;
        let size = header.size as usize;
        let available = self.fill(size)?;
        if available < size {
            return Err(self.error(&EntryError::Truncated { missing: (size - available) as u64 }));
        }
        let Ok(offset) = u32::try_from(self.offset) else {
            return Err(self.error(&"no entry can begin so far into a segment"));
        };
        let start = self.start;
        let body = entry::decode(header, &self.buffer[start..start + size]).map_err(|error| self.error(&error))?;
        self.advance(size);
        Ok(Some(Entry { offset, body, bytes: &self.buffer[start..start + size] }))
    }

    /// Reads until at least `wanted` bytes are there or the file ends; returns how many are there.
    fn fill(&mut self, wanted: usize) -> Result<usize, RepositoryError> {
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            // `wanted` is at most the size of the largest entry, so a wrong size cannot ask for much memory.
            if self.buffer.len() < wanted.max(BUFFER_BYTES) {
                self.buffer.resize(wanted.max(BUFFER_BYTES), 0);
            }
            self.end += self.file.read_at(&mut self.buffer[self.end..], self.offset + self.end as u64)?;
        }
        Ok(self.end - self.start)
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn error(&self, reason: &dyn fmt::Display) -> RepositoryError {
        damaged(self.segment, self.offset, reason)
    }
}
