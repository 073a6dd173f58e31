//! Whether two files hold the same bytes.

use worldkeeper_archive::{ChunkRef, Item};

use crate::cuts;
use crate::objects::ChunkReader;
use crate::session::{Session, SessionError};

/// Compares contents.
pub(super) struct Contents<'a> {
    session: &'a Session,
    compares_ids: bool,
    /// What chunks of either archive are shorter than that its parameters have not cut.
    shortest: [Option<u32>; 2],
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
    pub(super) fn new(session: &'a Session, compares_ids: bool, shortest: [Option<u32>; 2]) -> Self {
        let stream = || Stream { reader: session.reader(), chunk: Vec::new(), start: 0 };
        Self { session, compares_ids, shortest, old: stream(), new: stream() }
    }

    /// Whether equal content has equal chunks, in files that no plan has cut.
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
        if size(&old) != size(&new) || differ_at_one_place(&old, &new) {
            return Ok(false);
        }
        let sides = [&old, &new].into_iter().zip(self.shortest);
        let is_by_plan = |(chunks, shortest): (&Vec<_>, Option<u32>)| {
            shortest.is_some_and(|shortest| cuts::are_by_plan(chunks, shortest))
        };
        if self.compares_ids && !sides.into_iter().any(is_by_plan) {
            return Ok(false);
        }
        self.compare(&old, &new)
    }

    /// Reads and compares as much as both sides have of their chunks.
    fn compare(&mut self, old: &[ChunkRef], new: &[ChunkRef]) -> Result<bool, SessionError> {
        let (mut old_chunks, mut new_chunks) = (old.iter().peekable(), new.iter().peekable());
        self.old.clear();
        self.new.clear();
        loop {
            self.session.check_stop()?;
            while self.old.is_read()
                && self.new.is_read()
                && old_chunks.peek().is_some_and(|old| Some(old) == new_chunks.peek())
            {
                let _ = (old_chunks.next(), new_chunks.next());
            }
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

/// Returns whether two files have chunks of one size at one place that differ: then so do the files, however they are cut.
fn differ_at_one_place(old: &[ChunkRef], new: &[ChunkRef]) -> bool {
    let (mut old, mut new) = (old.iter(), new.iter());
    let (mut old_end, mut new_end) = (0, 0);
    loop {
        // Whichever is behind goes on; where both have come to one place, both do.
        let one = if old_end <= new_end { old.next() } else { None };
        let other = if new_end <= old_end { new.next() } else { None };
        match (one, other) {
            (None, None) => return false,
            (Some(one), Some(other)) if one.size == other.size && one.id != other.id => return true,
            _ => {}
        }
        old_end += one.map_or(0, |chunk| u64::from(chunk.size));
        new_end += other.map_or(0, |chunk| u64::from(chunk.size));
    }
}

impl Stream<'_> {
    fn clear(&mut self) {
        self.chunk.clear();
        self.start = 0;
    }

    /// Whether nothing is left of the chunk at hand.
    fn is_read(&self) -> bool {
        self.start == self.chunk.len()
    }

    /// What is left of the chunk at hand, or the next one that is not empty; nothing at the end.
    fn rest<'c>(&mut self, chunks: &mut impl Iterator<Item = &'c ChunkRef>) -> Result<&[u8], SessionError> {
        while self.is_read() {
            let Some(chunk) = chunks.next() else { break };
            self.chunk = self.reader.read(&chunk.id, Some(chunk.size))?;
            self.start = 0;
        }
        Ok(&self.chunk[self.start..])
    }
}
