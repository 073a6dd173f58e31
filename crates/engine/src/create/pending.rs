//! What was read of a file and is not cut yet.

use std::sync::Arc;

use crate::pipeline::{Buffer, Buffers};

/// A buffer that is filled behind and emptied in front.
///
/// It is as large as the file where one chunk can be all of it, and then it becomes that chunk; else it is as large as
/// the longest chunk and one read can be, from the beginning: growing would hold the old buffer beside the new one.
#[derive(Debug)]
pub(crate) struct Pending {
    buffers: Arc<Buffers>,
    /// Holds something from `start` to `end`.
    bytes: Buffer,
    start: usize,
    end: usize,
    /// What a buffer for several chunks has room for.
    room: usize,
}

impl Pending {
    pub(super) fn new(max_chunk_size: usize, buffers: Arc<Buffers>) -> Self {
        Self { bytes: buffers.take(0), buffers, start: 0, end: 0, room: max_chunk_size + READ_BYTES }
    }

    /// Appends what `read` puts into the buffer it is given, of at most `left` bytes; returns how much that was.
    pub(crate) fn fill<E>(&mut self, left: u64, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        // Cuts are looked for after every read: what is moved here is a part of the last one.
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let len = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        if self.bytes.len() < self.end + len {
            let is_all = self.end == 0 && left == len as u64;
            let room = if is_all { len } else { self.room.max(self.end + len) };
            let mut larger = self.buffers.take(room);
            larger[..self.end].copy_from_slice(self.bytes());
            self.bytes = larger;
        }
        let read = read(&mut self.bytes[self.end..self.end + len])?;
        self.end += read;
        Ok(read)
    }

    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the first `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Buffer {
        let is_all = (self.start, self.end) == (0, len);
        let is_snug = is_all && self.bytes.len() - len <= len / 8;
        if is_snug {
            self.end = 0;
            let mut taken = std::mem::replace(&mut self.bytes, self.buffers.take(0));
            taken.truncate(len);
            return taken;
        }
        let mut taken = self.buffers.take(len);
        taken.copy_from_slice(&self.bytes()[..len]);
        self.start += len;
        taken
    }

    /// Throws away what is there.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// How much is asked for at a time.
const READ_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends `len` bytes that count up from `first`; as many as asked for come, if there are so many.
    fn fill(pending: &mut Pending, first: u8, len: usize) {
        let read = |buffer: &mut [u8]| {
            let len = len.min(buffer.len());
            buffer[..len]
                .iter_mut()
                .zip((0..=255_u8).cycle())
                .for_each(|(byte, more)| *byte = first.wrapping_add(more));
            Ok::<_, ()>(len)
        };
        pending.fill(len as u64, read).unwrap();
    }

    #[test]
    fn what_goes_in_comes_out_in_pieces_of_any_size() {
        let mut pending = Pending::new(1000, Buffers::new(0));
        fill(&mut pending, 0, 5);
        assert_eq!(pending.take(2)[..], [0, 1]);
        assert_eq!(pending.bytes(), [2, 3, 4]);
        fill(&mut pending, 5, 3);
        assert_eq!(pending.take(4)[..], [2, 3, 4, 5]);
        assert_eq!(pending.take(2)[..], [6, 7]);
        assert_eq!(pending.bytes(), b"");
        fill(&mut pending, 9, 1);
        pending.clear();
        fill(&mut pending, 3, 1);
        assert_eq!(pending.take(1)[..], [3]);
    }

    #[test]
    fn a_read_that_fails_or_stops_early_leaves_what_is_there() {
        let mut pending = Pending::new(1000, Buffers::new(0));
        fill(&mut pending, 0, 2);
        assert_eq!(pending.fill(9, |_| Err("broken")), Err("broken"));
        assert_eq!(pending.fill(9, |_| Ok::<_, ()>(0)), Ok(0));
        assert_eq!(pending.bytes(), [0, 1]);
    }

    #[test]
    fn a_small_file_is_read_into_its_chunk() {
        let mut pending = Pending::new(8 << 20, Buffers::new(0));
        fill(&mut pending, 0, 300);
        let read_to = pending.bytes().as_ptr();
        pending.fill(0, |buffer| Ok::<_, ()>(buffer.len())).unwrap();
        let chunk = pending.take(300);
        assert_eq!((chunk.as_ptr(), chunk.len()), (read_to, 300));
    }

    #[test]
    fn no_chunk_takes_the_buffer_for_many_which_never_moves() {
        const MAX: usize = 8 << 20;
        let mut pending = Pending::new(MAX, Buffers::new(0));
        let more = |pending: &mut Pending| pending.fill(1 << 40, |buffer| Ok::<_, ()>(buffer.len())).unwrap();
        assert_eq!(more(&mut pending), READ_BYTES);
        let buffer = pending.bytes().as_ptr();
        for len in [1, 5, MAX, MAX - 1, 70_000, MAX, MAX].into_iter().cycle().take(100) {
            while pending.bytes().len() < len {
                more(&mut pending);
            }
            assert_eq!(pending.take(len).len(), len);
        }
        assert_eq!(pending.bytes.as_ptr(), buffer);
        pending.clear();
        fill(&mut pending, 0, 10);
        let chunk = pending.take(10);
        assert_ne!(chunk.as_ptr(), buffer, "what was for a large file is not for a small chunk");
    }
}
