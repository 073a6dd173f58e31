//! Cuts at multiples of a block size, counted from the end of an optional header. A header that is longer than a block is
//! cut into blocks too.
//!
//! Source: borg 1.4 `chunker.pyx`, `ChunkerFixed`.

/// State of the cutting of one stream into blocks.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    block: usize,
    header: usize,
    /// What is left of the header.
    header_left: usize,
}

impl Fixed {
    /// Starts at the header, or at the first block if `header` is 0.
    pub(crate) fn new(block: u32, header: u32) -> Self {
        Self { block: block as usize, header: header as usize, header_left: header as usize }
    }

    /// Begins another stream.
    pub(crate) fn restart(&mut self) {
        self.header_left = self.header;
    }

    /// Length of the next chunk; `None` if it needs more than `available` bytes.
    pub(crate) fn next_cut(&mut self, available: usize) -> Option<usize> {
        let next = if self.header_left > 0 { self.header_left.min(self.block) } else { self.block };
        if available < next {
            return None;
        }
        self.header_left = self.header_left.saturating_sub(next);
        Some(next)
    }
}
