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
    /// Length of a chunk of zeros, if enough of them follow.
    zeros: usize,
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
            last: None,
        };
        // All windows of zeros have one hash: the first is a hit or none is.
        if buzhash.hash(&vec![0; window as usize]) & buzhash.mask == 0 {
            buzhash.zeros = buzhash.min;
        }
        buzhash
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
///
/// This loop is what chunking costs. It takes two bytes a step, so that the second hash need not wait for the first:
/// that is a third faster than one byte a step, and more than two gain nothing.
fn roll(
    entering_table: &[u32; 256],
    leaving_table: &[u32; 256],
    mask: u32,
    mut hash: u32,
    leaving: &[u8],
    entering: &[u8],
) -> Result<usize, u32> {
    let change = |out: u8, into: u8| leaving_table[usize::from(out)] ^ entering_table[usize::from(into)];
    let (leaving_pairs, leaving_rest) = leaving[..entering.len()].as_chunks();
    let (entering_pairs, entering_rest) = entering.as_chunks();
    for (step, (&[out, next_out], &[into, next_into])) in leaving_pairs.iter().zip(entering_pairs).enumerate() {
        let (first, second) = (change(out, into), change(next_out, next_into));
        let between = hash.rotate_left(1) ^ first;
        if between & mask == 0 {
            return Ok(2 * step + 1);
        }
        hash = hash.rotate_left(2) ^ (first.rotate_left(1) ^ second);
        if hash & mask == 0 {
            return Ok(2 * step + 2);
        }
    }
    for (&out, &into) in leaving_rest.iter().zip(entering_rest) {
        hash = hash.rotate_left(1) ^ change(out, into);
        if hash & mask == 0 {
            return Ok(entering.len());
        }
    }
    Err(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use worldkeeper_testkit::fixtures;

    use super::*;

    /// The cut rule as the format's description has it, over a whole file: the oracle for everything above.
    fn cuts_by_definition(buzhash: &Buzhash, bytes: &[u8]) -> Vec<usize> {
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
    fn cuts(buzhash: &mut Buzhash, bytes: &[u8]) -> Vec<usize> {
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
