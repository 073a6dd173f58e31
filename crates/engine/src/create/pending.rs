//! What was read of a file and is not cut yet.

use std::sync::Arc;

use crate::pipeline::{Buffer, Buffers, Dealer};

/// A buffer that is filled behind and emptied in front.
///
/// It is as large as the longest chunk and one read can be, from the beginning; where nothing was read, memory costs
/// nothing. A file that is wholly in it may be a little larger, and it stays so. It is not of the memory that chunks share: a reader that hangs keeps it.
#[derive(Debug)]
pub(crate) struct Pending {
    dealer: Dealer,
    /// Holds something from `start` to `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Pending {
    pub(super) fn new(max_chunk_size: usize, buffers: Arc<Buffers>) -> Self {
        Self { dealer: Dealer::new(buffers), bytes: vec![0; max_chunk_size + READ_BYTES], start: 0, end: 0 }
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
            // Somebody wants more at once than the longest chunk.
            self.bytes.resize(self.end + len, 0);
        }
        let read = read(&mut self.bytes[self.end..self.end + len])?;
        self.end += read;
        Ok(read)
    }

    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// What is there, to be brought up to date.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Appends as many zeros, for what is yet to be read.
    pub(super) fn extend(&mut self, len: usize) {
        let end = self.end + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.end..end].fill(0);
        self.end = end;
    }

    /// Takes the first `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Buffer {
        let mut taken = self.dealer.take(len);
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
    fn what_is_there_can_be_brought_up_to_date_and_more_appended() {
        let mut pending = Pending::new(0, Buffers::new(0));
        fill(&mut pending, 1, 3);
        pending.take(1);
        pending.bytes_mut()[1] = 9;
        pending.extend(READ_BYTES);
        assert_eq!(pending.bytes()[..3], [2, 9, 0]);
        assert_eq!(pending.bytes().len(), 2 + READ_BYTES);
        pending.clear();
        fill(&mut pending, 1, 3);
        pending.clear();
        pending.extend(2);
        assert_eq!(pending.bytes(), [0, 0]);
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
    fn the_buffer_never_moves() {
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
    }
}
