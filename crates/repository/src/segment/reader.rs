//! Reads a segment from front to back, verifying every entry.

use std::sync::Arc;

use worldkeeper_core::disk::DiskFile;
use worldkeeper_core::{DiskError, RepositoryError};

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

/// An entry that was verified where the reader stands, and not taken yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    offset: u32,
    size: usize,
    body: Body,
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
        let mut reader = Self::at_start(file, segment)?;
        if !reader.take_magic()? {
            return Err(damaged(segment, 0u32, &EntryError::Magic));
        }
        Ok(reader)
    }

    /// Starts at the first byte of the file, whatever it is.
    pub(super) fn at_start(file: Arc<dyn DiskFile>, segment: u32) -> Result<Self, DiskError> {
        // Many segments hold a COMMIT and nothing else.
        let len = file.len()?.min(BUFFER_BYTES as u64) as usize;
        Ok(Self { file, segment, buffer: vec![0; len], start: 0, end: 0, offset: 0 })
    }

    /// Takes the next entry; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Damaged`] if what follows is no entry. There is no way to go on behind it: where the next
    /// one would begin is not known.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'_>>, RepositoryError> {
        match self.look()? {
            Ok(Some(seen)) => Ok(Some(self.take(seen))),
            Ok(None) => Ok(None),
            Err(error) => Err(damaged(self.segment, self.offset, &error)),
        }
    }

    /// Takes the magic, if that is what follows.
    pub(super) fn take_magic(&mut self) -> Result<bool, DiskError> {
        let found = self.fill(MAGIC.len())? >= MAGIC.len() && self.buffer[self.start..].starts_with(&MAGIC);
        if found {
            self.advance(MAGIC.len());
        }
        Ok(found)
    }

    /// Verifies the entry that follows; `None` at the end of the file.
    pub(super) fn look(&mut self) -> Result<Result<Option<Seen>, EntryError>, DiskError> {
        let Some(header) = self.header()? else { return Ok(Ok(None)) };
        let header = match header {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let size = header.size as usize;
        let available = self.fill(size)?;
        if available < size {
            return Ok(Err(EntryError::Truncated { missing: (size - available) as u64 }));
        }
        let Ok(offset) = u32::try_from(self.offset) else { return Ok(Err(EntryError::TooFar)) };
        let body = entry::decode(header, &self.buffer[self.start..self.start + size]);
        Ok(body.map(|body| Some(Seen { offset, size, body })))
    }

    /// Decodes the header that follows; `None` at the end of the file.
    pub(super) fn header(&mut self) -> Result<Option<Result<Header, EntryError>>, DiskError> {
        let available = self.fill(Header::LEN)?;
        if available == 0 {
            return Ok(None);
        }
        Ok(Some(match self.buffer[self.start..self.end].first_chunk() {
            Some(head) => Header::decode(head),
            None => Err(EntryError::Truncated { missing: (Header::LEN - available) as u64 }),
        }))
    }

    /// Takes the entry that was just seen.
    pub(super) fn take(&mut self, Seen { offset, size, body }: Seen) -> Entry<'_> {
        let start = self.start;
        self.advance(size);
        Entry { offset, body, bytes: &self.buffer[start..start + size] }
    }

    /// Where in the file the next byte is.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes to any place in the file.
    pub(super) fn seek(&mut self, offset: u64) {
        match offset.checked_sub(self.offset) {
            Some(ahead) if ahead <= (self.end - self.start) as u64 => self.advance(ahead as usize),
            _ => (self.start, self.end, self.offset) = (0, 0, offset),
        }
    }

    /// Reads until at least `wanted` bytes are there or the file ends; returns how many are there.
    fn fill(&mut self, wanted: usize) -> Result<usize, DiskError> {
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            // `wanted` is at most the size of the largest entry, so a wrong size cannot ask for much memory.
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.end += self.file.read_at(&mut self.buffer[self.end..], self.offset + self.end as u64)?;
        }
        Ok(self.end - self.start)
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use worldkeeper_core::{ChunkId, Disk, MAX_DATA_SIZE};
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;
    use crate::segment::{PutHeader, SegmentWriter};

    fn file(bytes: &[u8]) -> Arc<dyn DiskFile> {
        let mut file = MemoryDisk::new().create(Path::new("/0")).unwrap();
        file.append(bytes).unwrap();
        file.into()
    }

    /// Offset and body of each entry up to the end or the first error.
    fn entries(file: Arc<dyn DiskFile>) -> (Vec<(u32, Body)>, Option<String>) {
        let mut found = Vec::new();
        let mut reader = match SegmentReader::new(file, 0) {
            Ok(reader) => reader,
            Err(error) => return (found, Some(error.to_string())),
        };
        loop {
            match reader.next() {
                Ok(Some(entry)) => found.push((entry.offset, entry.body)),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn objects_of_all_sizes_are_written_and_read() {
        const KIB: usize = 1024;
        let lens = [0, 1, 64 * KIB - 1, 64 * KIB, 255 * KIB, 256 * KIB, 1024 * KIB, MAX_DATA_SIZE, 5, 1023 * KIB, 7];
        let disk = MemoryDisk::new();
        let mut writer = SegmentWriter::new(0, disk.create(Path::new("/0")).unwrap());
        let mut expected = Vec::new();
        for (number, len) in (1u8..).zip(lens) {
            let (id, data) = (ChunkId([number; 32]), vec![number; len]);
            expected.push((writer.offset() as u32, Body::Put(id)));
            let header = PutHeader::encode_put(id, &data);
            writer.put(&header, &data).unwrap();
            if let Some(buffered) = writer.buffered(expected.last().unwrap().0.into()) {
                assert_eq!(buffered, [&header[..], &data].concat(), "{len} bytes");
            }
        }
        expected.push((writer.offset() as u32, Body::Commit));
        writer.commit().unwrap();
        writer.close().unwrap();
        let file: Arc<dyn DiskFile> = disk.open(Path::new("/0")).unwrap().into();
        assert_eq!(entries(file), (expected, None));
    }

    #[test]
    fn a_segment_that_ends_anywhere_else_is_damaged_there() {
        let id = ChunkId([3; 32]);
        let put = [&PutHeader::encode_put(id, b"abc")[..], b"abc"].concat();
        let whole = [&MAGIC[..], &put, &PutHeader::encode_delete(id), &entry::COMMIT].concat();
        let starts = [8, 52, 93, 102];
        for len in 0..=whole.len() {
            let (found, error) = entries(file(&whole[..len]));
            assert_eq!(error.is_none(), starts.contains(&len), "{len} bytes");
            assert_eq!(found.len(), starts.iter().filter(|start| **start > 8 && **start <= len).count(), "{len} bytes");
        }
        let (_, error) = entries(file(&whole[..60]));
        let error = error.unwrap();
        assert!(error.ends_with("is damaged at offset 52: the file ends 1 bytes before the log entry does"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            size in any::<u32>(),
            tag in 0u8..4,
        ) {
            let mut header = [&MAGIC[..], &bytes].concat();
            entries(file(&header));
            if header.len() >= 17 {
                header[12..16].copy_from_slice(&size.to_le_bytes());
                header[16] = tag;
                entries(file(&header));
            }
        }
    }
}
