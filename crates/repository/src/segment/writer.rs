//! Writes one segment, from front to back.
//!
//! Small entries are gathered in a buffer; large objects go to the file as they are, uncopied. What stands in the
//! buffer can be read back, so that a transaction's own objects are always found.

use worldkeeper_core::disk::DiskFile;
use worldkeeper_core::{ChunkId, DiskError};

use super::MAGIC;
use super::entry::{COMMIT, PutHeader};

/// The buffer is written out when it has reached this length.
const BUFFER_BYTES: usize = 256 * 1024;

/// Entries from this length on are written uncopied: two system calls cost less than copying them.
const DIRECT_BYTES: usize = 64 * 1024;

/// How much is written before the system is told to start bringing it to the disk, so that the sync at the end does
/// not have to wait for all of it. Stock borg's figure.
const WRITE_OUT_BYTES: u64 = 16 * 1024 * 1024;

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    number: u32,
    file: Box<dyn DiskFile>,
    /// What follows `flushed` and is not in the file yet.
    buffer: Vec<u8>,
    flushed: u64,
    written_out: u64,
    wanted: u64,
}

impl SegmentWriter {
    /// Starts a segment in a new, empty file.
    pub(crate) fn new(number: u32, file: Box<dyn DiskFile>) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + DIRECT_BYTES + PutHeader::LEN);
        buffer.extend_from_slice(&MAGIC);
        Self { number, file, buffer, flushed: 0, written_out: 0, wanted: MAGIC.len() as u64 }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Where the next entry will begin.
    pub(crate) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// Where the last entry ends, or would have ended if there had been space for it.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Appends a PUT whose header was encoded for `data`.
    pub(crate) fn put(&mut self, header: &[u8; PutHeader::LEN], data: &[u8]) -> Result<(), DiskError> {
        self.buffer.extend_from_slice(header);
        self.append(data)
    }

    /// Appends a DELETE.
    pub(crate) fn delete(&mut self, id: ChunkId) -> Result<(), DiskError> {
        self.append(&PutHeader::encode_delete(id))
    }

    /// Appends a COMMIT.
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        self.append(&COMMIT)
    }

    /// Appends an entry that was read, and verified, elsewhere.
    pub(crate) fn copy(&mut self, entry: &[u8]) -> Result<(), DiskError> {
        self.append(entry)
    }

    /// Waits until everything is durable. A file whose sync failed is lost: it must not be synced again, for the
    /// system may have dropped what it could not write.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.flush()?;
        self.file.sync()
    }

    /// Syncs and closes.
    pub(crate) fn close(mut self) -> Result<(), DiskError> {
        self.sync()?;
        self.file.forget();
        Ok(())
    }

    /// The bytes from `offset` on, if they are still in the buffer.
    pub(crate) fn buffered(&self, offset: u64) -> Option<&[u8]> {
        self.buffer.get(usize::try_from(offset.checked_sub(self.flushed)?).ok()?..)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.wanted = self.offset() + bytes.len() as u64;
        if bytes.len() < DIRECT_BYTES {
            self.buffer.extend_from_slice(bytes);
            return if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() };
        }
        self.flush()?;
        self.file.append(bytes)?;
        self.flushed += bytes.len() as u64;
        self.start_write_out();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.flushed += self.buffer.len() as u64;
            self.buffer.clear();
            self.start_write_out();
        }
        Ok(())
    }

    fn start_write_out(&mut self) {
        if self.flushed - self.written_out >= WRITE_OUT_BYTES {
            self.written_out = self.flushed;
            self.file.forget();
        }
    }
}
