//! Cuts where a rolling hash of the content says so.
//!
//! The hash of the `w` bytes from position `p` of data `d` is
//!
//! ```text
//! H(p)   = XOR over k = 0 .. w-1 of rol(T[d[p+k]], w-1-k)
//! H(p+1) = rol(H(p), 1) XOR rol(T[d[p]], w) XOR T[d[p+w]]
//! ```
//!
//! where `rol` rotates 32 bits left (so counts are taken modulo 32) and `T` is borg's table XORed with the seed. A
//! chunk ends at the first `p` of at least the minimum size with the low bits of `H(p)` all zero: the window lies
//! *behind* the cut. It must lie wholly before the end of the file and before the maximum size; a hit whose window
//! reaches to that very end does not count. The hash starts anew in each chunk.
//!
//! Source: borg 1.4 `_chunker.c`, `buzhash`, `buzhash_update` and `chunker_process`.

use crate::table::TABLE_BASE;

/// State of the search for the end of one chunk.
#[derive(Clone)]
pub(crate) struct Buzhash {
    /// What a byte adds to the hash when it enters the window.
    entering: [u32; 256],
    /// What it takes away when it leaves: `entering`, rotated by the window's length.
    leaving: [u32; 256],
    mask: u32,
    min: usize,
    max: usize,
    window: usize,
    /// The last position looked at and its hash, which was no hit; `None` before the first.
    last: Option<(usize, u32)>,
}

impl Buzhash {
    /// Takes the values of [`crate::ChunkerParams::Buzhash`], which are within borg's limits.
    pub(crate) fn new(min_exp: u32, max_exp: u32, mask_bits: u32, window: u32, seed: i32) -> Self {
        let entering = TABLE_BASE.map(|base| base ^ seed as u32);
        Self {
            entering,
            leaving: entering.map(|value| value.rotate_left(window % u32::BITS)),
            mask: (1 << mask_bits) - 1,
            min: 1 << min_exp,
            max: 1 << max_exp,
            window: window as usize,
            last: None,
        }
    }

    /// Forgets the chunk that was begun.
    pub(crate) fn restart(&mut self) {
        self.last = None;
    }

    /// Length of the next chunk, which begins where `pending` does; `None` if that takes more bytes to know.
    pub(crate) fn next_cut(&mut self, pending: &[u8]) -> Option<usize> {
        let within = &pending[..pending.len().min(self.max)];
        let cut = self.scan(within).or((within.len() == self.max).then_some(self.max));
        if cut.is_some() {
            self.last = None;
        }
        cut
    }

    /// Goes on with the search as far as the window stays before the end of `bytes`.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let (position, hash) = match self.last {
            Some(last) => last,
            None => {
                // One byte more than the window, as its last byte may not be the last of all.
                let first = bytes.get(self.min..self.min + self.window + 1)?;
                let hash = self.hash(&first[..self.window]);
                if hash & self.mask == 0 {
                    return Some(self.min);
                }
                (self.min, hash)
            }
        };
        let end = bytes.len().saturating_sub(1);
        let entering = bytes.get(position + self.window..end)?;
        let leaving = &bytes[position..];
        match roll(&self.entering, &self.leaving, self.mask, hash, leaving, entering) {
            Ok(steps) => Some(position + steps),
            Err(hash) => {
                self.last = Some((position + entering.len(), hash));
                None
            }
        }
    }

    /// The hash of a whole window.
    fn hash(&self, window: &[u8]) -> u32 {
        window.iter().fold(0, |hash: u32, &byte| hash.rotate_left(1) ^ self.entering[byte as usize])
    }
}

/// Moves the window along until the hash is a hit: `Ok` is the number of bytes moved, `Err` the hash after all of
/// `entering` came in without one.
fn roll(
    entering_table: &[u32; 256],
    leaving_table: &[u32; 256],
    mask: u32,
    mut hash: u32,
    leaving: &[u8],
    entering: &[u8],
) -> Result<usize, u32> {
    for (moved, (&out, &into)) in leaving.iter().zip(entering).enumerate() {
        hash = hash.rotate_left(1) ^ leaving_table[out as usize] ^ entering_table[into as usize];
        if hash & mask == 0 {
            return Ok(moved + 1);
        }
    }
    Err(hash)
}
