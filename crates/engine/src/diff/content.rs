//! Whether two files hold the same bytes.

use worldkeeper_archive::{ChunkRef, Item};

use crate::objects::ChunkReader;
use crate::session::{Session, SessionError};

/// Compares contents.
pub(super) struct Contents<'a> {
    session: &'a Session,
    compares_ids: bool,
    old: Stream<'a>,
    new: Stream<'a>,
}

/// What one side reads.
struct Stream<'a> {
    reader: ChunkReader<'a>,
    chunk: Vec<u8>,
    start: usize,
}

impl<'a> Contents<'a> {
    pub(super) fn new(session: &'a Session, compares_ids: bool) -> Self {
        let stream = || Stream { reader: session.reader(), chunk: Vec::new(), start: 0 };
        Self { session, compares_ids, old: stream(), new: stream() }
    }

    /// Whether equal content has equal chunks.
    pub(super) fn compares_ids(&self) -> bool {
        self.compares_ids
    }

    /// Returns whether the contents of two items are equal; what has none is equal to anything.
    pub(super) fn are_equal(&mut self, old: Option<&Item>, new: Option<&Item>) -> Result<bool, SessionError> {
        let chunks = |item: Option<&'_ Item>| item.and_then(|item| item.chunks.clone());
        let (Some(old), Some(new)) = (chunks(old), chunks(new)) else { return Ok(true) };
        if old.iter().map(|chunk| chunk.id).eq(new.iter().map(|chunk| chunk.id)) {
            return Ok(true);
        }
        let size = |chunks: &[ChunkRef]| chunks.iter().map(|chunk| u64::from(chunk.size)).sum::<u64>();
        if self.compares_ids || size(&old) != size(&new) {
            return Ok(false);
        }
        self.compare(&old, &new)
    }

    /// Reads and compares as much as both sides have of their chunks.
    fn compare(&mut self, old: &[ChunkRef], new: &[ChunkRef]) -> Result<bool, SessionError> {
        let (mut old_chunks, mut new_chunks) = (old.iter(), new.iter());
        self.old.clear();
        self.new.clear();
        loop {
            self.session.check_stop()?;
            let (old, new) = (self.old.rest(&mut old_chunks)?, self.new.rest(&mut new_chunks)?);
            let len = old.len().min(new.len());
            if old[..len] != new[..len] {
                return Ok(false);
            }
            if len == 0 {
                return Ok(old.len() == new.len());
            }
            self.old.start += len;
            self.new.start += len;
        }
    }
}

impl Stream<'_> {
    fn clear(&mut self) {
        self.chunk.clear();
        self.start = 0;
    }

    /// What is left of the chunk at hand, or the next one that is not empty; nothing at the end.
    fn rest<'c>(&mut self, chunks: &mut impl Iterator<Item = &'c ChunkRef>) -> Result<&[u8], SessionError> {
        while self.start == self.chunk.len() {
            let Some(chunk) = chunks.next() else { break };
            self.chunk = self.reader.read(&chunk.id, Some(chunk.size))?;
            self.start = 0;
        }
        Ok(&self.chunk[self.start..])
    }
}
