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
//! Turning each byte's share by its position instead of the hash by one takes the chain of rotations out of it, and
//! what is left is a running XOR, which vector code finds for a whole block at once:
//!
//! ```text
//! V(j)   = ror(T[d[j]], j + 1)
//! X(p)   = XOR over j = p .. p+w-1 of V(j)        X(p+1) = X(p) XOR V(p) XOR V(p+w)
//! H(p)   = rol(X(p), p + w)                       low bits of H(p) zero: X(p) AND ror(mask, p + w) = 0
//! ```
//!
//! `plain` has the first form, `avx2` and `avx512` the second, with positions counted from where they begin, and `ring`
//! keeps each `V(j)` until it leaves the window.
//!
//! Source: borg 1.4 `_chunker.c`, `buzhash`, `buzhash_update` and `chunker_process`.

#[cfg(test)]
mod agreement;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod instructions;
mod plain;
#[cfg(target_arch = "x86_64")]
mod ring;

use self::instructions::Blocks;
pub use self::instructions::Instructions;
use self::plain::roll;
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
    /// Length of a chunk of zeros, if enough of them follow.
    zeros: usize,
    blocks: Blocks,
    /// For fewer bytes than this it does not pay to look at the window before them once more, as `blocks` does.
    blocks_from: usize,
    /// The last position looked at and its hash, which was no hit; `None` before the first.
    last: Option<(usize, u32)>,
}

impl Buzhash {
    /// Takes the values of [`crate::ChunkerParams::Buzhash`], which are within borg's limits.
    pub(crate) fn new(min_exp: u32, max_exp: u32, mask_bits: u32, window: u32, seed: i32) -> Self {
        let entering = TABLE_BASE.map(|base| base ^ seed as u32);
        let mut buzhash = Self {
            entering,
            leaving: entering.map(|value| value.rotate_left(window % u32::BITS)),
            mask: (1 << mask_bits) - 1,
            min: 1 << min_exp,
            max: 1 << max_exp,
            window: window as usize,
            zeros: 1 << max_exp,
            blocks: Blocks::new(Instructions::best(), &entering, window as usize),
            blocks_from: (window as usize).max(256),
            last: None,
        };
        // All windows of zeros have one hash: the first is a hit or none is.
        if buzhash.hash(&vec![0; window as usize]) & buzhash.mask == 0 {
            buzhash.zeros = buzhash.min;
        }
        buzhash
    }

    /// The same on these instructions, or on the plain ones if the processor has not got them.
    pub(crate) fn with(self, instructions: Instructions) -> Self {
        Self { blocks: Blocks::new(instructions, &self.entering, self.window), ..self }
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

    /// Length of the next chunk if the longest there can be would be zeros alone.
    pub(crate) fn next_cut_in_zeros(&self, zeros: u64) -> Option<usize> {
        (self.last.is_none() && zeros >= self.max as u64).then_some(self.zeros)
    }

    /// Goes on with the search as far as the window stays before the end of `bytes`.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let (position, hash) = if let Some(last) = self.last {
            last
        } else {
            // One byte more than the window, as its last byte may not be the last of all.
            let first = bytes.get(self.min..=self.min + self.window)?;
            let hash = self.hash(&first[..self.window]);
            if hash & self.mask == 0 {
                return Some(self.min);
            }
            (self.min, hash)
        };
        let end = bytes.len().saturating_sub(1);
        let begin = position + self.window;
        let bytes = bytes.get(..end).filter(|bytes| begin <= bytes.len())?;
        match self.roll(hash, bytes, begin) {
            Ok(steps) => Some(position + steps),
            Err(hash) => {
                self.last = Some((end - self.window, hash));
                None
            }
        }
    }

    /// Moves the window, which ends before byte `begin`, along all of `bytes`, as [`plain::roll`] does.
    fn roll(&mut self, hash: u32, bytes: &[u8], begin: usize) -> Result<usize, u32> {
        let (done, hash) = if bytes.len() - begin < self.blocks_from {
            (0, hash)
        } else {
            match self.blocks.roll(self.mask, hash, bytes, begin) {
                Ok(steps) => return Ok(steps),
                Err(done) => done,
            }
        };
        let (leaving, entering) = (&bytes[begin - self.window + done..], &bytes[begin + done..]);
        roll(&self.entering, &self.leaving, self.mask, hash, leaving, entering).map(|steps| done + steps)
    }

    /// The hash of a whole window.
    fn hash(&self, window: &[u8]) -> u32 {
        let entering = |byte: u8| self.entering[usize::from(byte)];
        let (fours, rest) = window.as_chunks();
        // By fours, so that a step waits for one rotation only.
        let hash = fours.iter().fold(0_u32, |hash, &[a, b, c, d]| {
            let first = entering(a).rotate_left(3) ^ entering(b).rotate_left(2);
            hash.rotate_left(4) ^ (first ^ entering(c).rotate_left(1) ^ entering(d))
        });
        rest.iter().fold(hash, |hash, &byte| hash.rotate_left(1) ^ entering(byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use worldkeeper_testkit::fixtures;

    use super::*;

    /// The cut rule as the format's description has it, over a whole file: the oracle for everything above.
    pub(super) fn cuts_by_definition(buzhash: &Buzhash, bytes: &[u8]) -> Vec<usize> {
        let mut cuts = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            let end = bytes.len().min(start + buzhash.max);
            let is_hit = |p: &usize| buzhash.hash(&bytes[*p..*p + buzhash.window]) & buzhash.mask == 0;
            let hit = (start + buzhash.min..end.saturating_sub(buzhash.window)).find(is_hit);
            start = hit.unwrap_or(end);
            cuts.push(start);
        }
        cuts
    }

    /// The same cuts, found by the code above with all bytes at hand.
    pub(super) fn cuts(buzhash: &mut Buzhash, bytes: &[u8]) -> Vec<usize> {
        let mut cuts = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            start += buzhash.next_cut(&bytes[start..]).unwrap_or(bytes.len() - start);
            buzhash.restart();
            cuts.push(start);
        }
        cuts
    }

    proptest! {
        #[test]
        fn cuts_are_those_of_the_definition(
            window in (0_u32..31).prop_map(|half| 2 * half + 1),
            mask_bits in 6_u32..10,
            seed: i32,
            // Few different bytes make equal windows, and hashes that stay the same for long.
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..4000),
                prop::collection::vec(0_u8..2, 0..4000),
                (any::<u8>(), 0_usize..4000).prop_map(|(byte, len)| vec![byte; len]),
            ],
        ) {
            let mut buzhash = Buzhash::new(6, 10, mask_bits, window, seed);
            prop_assert_eq!(cuts(&mut buzhash, &bytes), cuts_by_definition(&buzhash, &bytes));
        }
    }

    #[test]
    fn the_last_window_ends_one_byte_before_the_end() {
        // A mask without bits makes every window a hit.
        let mut buzhash = Buzhash { mask: 0, ..Buzhash::new(6, 10, 6, 31, 0) };
        let bytes = [7; 64 + 31 + 1];
        assert_eq!(buzhash.next_cut(&bytes[..64 + 31]), None);
        assert_eq!(buzhash.next_cut(&bytes), Some(64));
    }

    #[derive(Deserialize)]
    struct Vectors {
        table_base_hex: Vec<String>,
        buzhash: Vec<HashCase>,
        buzhash_update: Vec<UpdateCase>,
    }

    #[derive(Deserialize)]
    struct HashCase {
        data_hex: Option<String>,
        data: Option<serde_json::Value>,
        seed: u32,
        hash: u32,
    }

    #[derive(Deserialize)]
    struct UpdateCase {
        sum: u32,
        remove: u8,
        add: u8,
        window: u32,
        seed: u32,
        result: u32,
    }

    #[test]
    fn recorded_hashes() {
        let vectors: Vectors = fixtures::json("vectors/chunker.json");
        let table: Vec<String> = TABLE_BASE.iter().map(|value| format!("{value:08x}")).collect();
        assert_eq!(table, vectors.table_base_hex);

        for case in vectors.buzhash {
            let data = match (&case.data_hex, &case.data) {
                (Some(text), _) => hex::decode(text).unwrap(),
                (None, Some(recipe)) if recipe[0] == "zeros" => vec![0; recipe[1].as_u64().unwrap() as usize],
                (None, Some(recipe)) => {
                    assert_eq!(recipe[0], "sha");
                    fixtures::sha_stream(recipe[1].as_str().unwrap(), recipe[2].as_u64().unwrap() as usize)
                }
                (None, None) => panic!("a case without data"),
            };
            assert_eq!(Buzhash::new(6, 10, 6, 1, case.seed as i32).hash(&data), case.hash);
        }

        for case in vectors.buzhash_update {
            let tables = Buzhash::new(6, 10, 6, case.window, case.seed as i32);
            // A full mask: only the hash 0 would be a hit.
            let moved = roll(&tables.entering, &tables.leaving, u32::MAX, case.sum, &[case.remove], &[case.add]);
            assert_eq!(moved, Err(case.result));
        }
    }
}
