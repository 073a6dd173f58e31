//! Cuts at multiples of a block size, after an optional header.

/// State of the cutting of one stream into blocks.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    block: usize,
    header: usize,
    /// Length of the chunk that comes next: of the header first, then of a block.
    next: usize,
}

impl Fixed {
    /// Starts at the header, or at the first block if `header` is 0.
    pub(crate) fn new(block: u32, header: u32) -> Self {
        let mut fixed = Self { block: block as usize, header: header as usize, next: 0 };
        fixed.restart();
        fixed
    }

    /// Begins another stream.
    pub(crate) fn restart(&mut self) {
        self.next = if self.header > 0 { self.header } else { self.block };
    }

    /// Length of the next chunk; `None` if it needs more than `available` bytes.
    pub(crate) fn next_cut(&mut self, available: usize) -> Option<usize> {
        if available < self.next {
            return None;
        }
        Some(std::mem::replace(&mut self.next, self.block))
    }
}
