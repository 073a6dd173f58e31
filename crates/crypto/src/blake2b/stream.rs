//! What one digest has still to take, as runs of blocks that lie together in memory.

use super::{BLOCK_LEN, Blake2b, LAST, NOT_LAST, Unfinished, plain};

/// A digest and the bytes it is about to take.
///
/// There are at most three runs: the block that waited, filled up; the whole blocks of the bytes; and, if the message
/// ends here, what is left of them.
pub(super) struct Stream<'a> {
    digest: &'a mut Blake2b,
    rest: &'a [u8],
    /// Where the digest goes, if these are the last bytes of the message.
    end: Option<&'a mut [u8; 32]>,
    /// For who goes on later.
    later: Option<Later<'a>>,
}

/// What is left of a message.
struct Later<'a> {
    /// Where to say how many bytes; `None` once the digest is there.
    left: &'a mut Option<usize>,
    /// So many come behind those of the stream.
    more: usize,
}

/// Blocks that can be compressed one after the other, without a look at anything else.
pub(super) struct Run<'a> {
    pub(super) blocks: &'a [u8],
    /// [`LAST`] or [`NOT_LAST`].
    pub(super) mark: u64,
    /// How many bytes of the blocks are not of the message and do not count.
    pub(super) padding: u64,
}

impl<'a> Stream<'a> {
    /// Bytes that others may follow.
    pub(super) fn piece(digest: &'a mut Blake2b, bytes: &'a [u8]) -> Self {
        let mut stream = Self { digest, rest: bytes, end: None, later: None };
        stream.settle();
        stream
    }

    /// The last bytes of a message.
    pub(super) fn end(digest: &'a mut Blake2b, bytes: &'a [u8], place: &'a mut [u8; 32]) -> Self {
        if digest.waiting == 0 && bytes.is_empty() {
            place.copy_from_slice(&digest.block[..32]);
            return Self { digest, rest: bytes, end: None, later: None };
        }
        let mut stream = Self { digest, rest: bytes, end: Some(place), later: None };
        stream.settle();
        stream
    }

    /// The last bytes of a message, of which no more than `most` are taken, and of those some may [be left](Self::suspend).
    pub(super) fn end_or_later(Unfinished { digest, bytes, place, left }: Unfinished<'a>, most: usize) -> Self {
        let more = bytes.len().saturating_sub(most);
        let stream = if more > 0 { Self::piece(digest, &bytes[..most]) } else { Self::end(digest, bytes, place) };
        Self { later: Some(Later { left, more }), ..stream }
    }

    /// Goes on behind the first `len` bytes of the run, which were compressed.
    pub(super) fn advance(&mut self, len: usize) {
        if self.digest.waiting > 0 {
            self.digest.waiting = 0;
        } else {
            self.rest = &self.rest[len..];
        }
        self.settle();
    }

    /// Lets bytes wait that are not to be compressed where they lie.
    fn settle(&mut self) {
        let Blake2b { block, waiting, .. } = &mut *self.digest;
        if *waiting > 0 || self.rest.len() <= BLOCK_LEN {
            let (taken, rest) = self.rest.split_at(self.rest.len().min(BLOCK_LEN - *waiting));
            block[*waiting..][..taken.len()].copy_from_slice(taken);
            *waiting += taken.len();
            self.rest = rest;
        }
        if self.end.is_some() && self.rest.is_empty() {
            block[*waiting..].fill(0);
        }
    }

    /// Compresses all runs that are left, here and now.
    pub(super) fn finish_plainly(mut self) {
        loop {
            let Blake2b { state, counter, block, waiting } = &mut *self.digest;
            let Some(run) = Run::next(block, *waiting, self.rest, self.end.is_some()) else { break };
            *counter = counter.wrapping_sub(run.padding);
            plain::compress(state, counter, run.blocks, run.mark);
            let len = run.blocks.len();
            self.advance(len);
        }
        self.finish();
    }

    /// Delivers the digest, where the message has ended.
    pub(super) fn finish(self) {
        if let Some(place) = self.end {
            *place = self.digest.digest();
        }
        if let Some(Later { left, more }) = self.later {
            *left = Some(more).filter(|more| *more > 0);
        }
    }
}

/// For a dealer.
#[cfg(any(test, target_arch = "x86_64"))]
impl Stream<'_> {
    /// The next run, if there is one.
    pub(super) fn run(&self) -> Option<Run<'_>> {
        Run::next(&self.digest.block, self.digest.waiting, self.rest, self.end.is_some())
    }

    /// Leaves the bytes that were not taken for later.
    pub(super) fn suspend(self) {
        if let Some(Later { left, more }) = self.later {
            *left = Some(self.rest.len() + more);
        }
    }

    /// The state, which is taken from here and put back by whoever compresses the runs elsewhere.
    pub(super) fn state(&mut self) -> (&mut [u64; 8], &mut u64) {
        (&mut self.digest.state, &mut self.digest.counter)
    }
}

impl<'a> Run<'a> {
    fn next(block: &'a [u8; BLOCK_LEN], waiting: usize, rest: &'a [u8], ends: bool) -> Option<Self> {
        let run = |blocks, mark, padding| Some(Self { blocks, mark, padding });
        match (waiting, rest.len()) {
            (0, 0) => None,
            // The last byte stays, with those of its block.
            (0, len) => run(&rest[..(len - 1) / BLOCK_LEN * BLOCK_LEN], NOT_LAST, 0),
            (_, 0) if ends => run(block, LAST, (BLOCK_LEN - waiting) as u64),
            (_, 0) => None,
            (..) => run(block, NOT_LAST, 0),
        }
    }
}
