//! What the last window's bytes added to the hash, kept until they leave it: one table lookup a byte instead of two.
//!
//! Vector code takes a block of `4 * LANES` bytes at once, as four rows: lane `l` of row `k` is about byte `4 * l + k`.
//! A running XOR over the block is then three XORs of whole rows, and one scan over the lanes. The ring keeps the
//! rows of all blocks end to end, so that the same four rows of any number of bytes ago are also four stretches of it.

/// The rows of the last blocks, enough for one window.
#[derive(Clone)]
pub(super) struct Ring<const LANES: usize> {
    /// Four rows of `len` values, each with its first `LANES` once more behind, so that no stretch goes round the end.
    values: Box<[u32]>,
    len: usize,
    /// For each row of a block, how far behind `read` in all the values that begins what is a window older.
    older: [usize; 4],
    /// Where in its row that begins for row 0; for the others it is there or one further.
    read: usize,
    /// Where in each row the next block goes.
    write: usize,
}

/// What the bytes of one block add.
pub(super) type Rows<const LANES: usize> = [[u32; LANES]; 4];

impl<const LANES: usize> Ring<LANES> {
    /// Bytes in a block.
    pub(super) const BLOCK: usize = 4 * LANES;
    /// The longest window a ring is made for, in bytes. It takes four times as much memory, which would be 32 MiB for
    /// the longest there can be; borg's own is 4095.
    pub(super) const WINDOW_MAX: usize = 1 << 16;

    /// For windows of so many bytes.
    pub(super) fn new(window: usize) -> Self {
        // The window, and the block that is put before the one it reaches back to is read.
        let len = window.div_ceil(4).next_multiple_of(LANES) + LANES;
        let back = window.div_ceil(4);
        // Row `k` of a window ago is as many bytes behind the start of the stretch for row 0.
        let older = |k: usize| (4 * back - window + k) % 4 * (len + LANES) + (4 * back - window + k) / 4;
        Self {
            values: vec![0; 4 * (len + LANES)].into(),
            len,
            older: std::array::from_fn(older),
            read: len - back,
            write: 0,
        }
    }

    /// Takes a block's rows.
    #[expect(
        clippy::inline_always,
        reason = "around a call all vector registers go to memory: AVX-512 has 0.6 of its speed then"
    )]
    #[inline(always)]
    pub(super) fn put(&mut self, block: &Rows<LANES>) {
        for (row, new) in self.values.chunks_exact_mut(self.len + LANES).zip(block) {
            row[self.write..][..LANES].copy_from_slice(new);
            if self.write == 0 {
                row[self.len..].copy_from_slice(new);
            }
        }
        self.write = self.after(self.write);
        self.read = self.after(self.read);
    }

    /// Takes a block's rows, and returns the rows of the bytes that are one window older.
    #[expect(
        clippy::inline_always,
        reason = "around a call all vector registers go to memory: AVX-512 has 0.6 of its speed then"
    )]
    #[inline(always)]
    pub(super) fn exchange(&mut self, block: &Rows<LANES>) -> Rows<LANES> {
        let read = self.read;
        // First, as a short window begins in this very block.
        self.put(block);
        self.older.map(|older| *self.values[older + read..].first_chunk().expect("a stretch fits"))
    }

    /// The place one block on.
    fn after(&self, place: usize) -> usize {
        let next = place + LANES;
        if next >= self.len { next - self.len } else { next }
    }
}

/// The first byte of a block, in the order of the bytes, whose value is zero; the block's length if there is none.
pub(super) fn first_zero<const LANES: usize>(block: &Rows<LANES>) -> usize {
    (0..4 * LANES).find(|byte| block[byte % 4][byte / 4] == 0).unwrap_or(4 * LANES)
}
