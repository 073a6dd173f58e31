//! The chunker: says where the next chunk of a stream ends.

use crate::buzhash::{Buzhash, Instructions};
use crate::fixed::Fixed;
use crate::params::ChunkerParams;

/// Finds the ends of chunks in a stream whose bytes the caller holds.
///
/// One chunker serves many streams, one after the other; the cuts depend on the bytes alone, never on the pieces
/// they come in.
#[derive(Clone)]
pub struct Chunker {
    cutter: Cutter,
    max_chunk_size: usize,
}

/// The algorithm and where it stands.
#[derive(Clone)]
enum Cutter {
    // The tables take 2 KiB, and a chunker is moved about.
    Buzhash(Box<Buzhash>),
    Fixed(Fixed),
}

impl Chunker {
    /// A chunker at the start of a stream. `seed` is the key's chunk seed (0 without encryption); fixed chunking has
    /// no use for it.
    pub fn new(params: &ChunkerParams, seed: i32) -> Self {
        let cutter = match *params {
            ChunkerParams::Buzhash { min_exp, max_exp, mask_bits, window } => {
                Cutter::Buzhash(Box::new(Buzhash::new(min_exp, max_exp, mask_bits, window, seed)))
            }
            ChunkerParams::Fixed { block, header } => Cutter::Fixed(Fixed::new(block, header)),
        };
        Self { cutter, max_chunk_size: params.max_chunk_size() }
    }

    /// The same on these instructions instead of the best this processor has, or on the plain ones if it has not got
    /// them: the cuts do not depend on it. For tests and measurements.
    #[must_use]
    pub fn with(self, instructions: Instructions) -> Self {
        let cutter = match self.cutter {
            Cutter::Buzhash(buzhash) => Cutter::Buzhash(Box::new(buzhash.with(instructions))),
            fixed @ Cutter::Fixed(_) => fixed,
        };
        Self { cutter, ..self }
    }

    /// Returns the length of the next chunk, which begins where `pending` does.
    ///
    /// After `None` the caller comes again with the same bytes and more behind them, or says that this was all
    /// (`at_end`); the search goes on where it stopped. After `Some(n)` the next call's `pending` begins `n` bytes
    /// later. With `at_end` only an empty `pending` gives `None`. Once all bytes up to the end are in chunks, the
    /// chunker stands at the start of the next stream.
    ///
    /// A `pending` of [`max_chunk_size`](Self::max_chunk_size) bytes always gives a cut.
    pub fn next_cut(&mut self, pending: &[u8], at_end: bool) -> Option<usize> {
        let found = match &mut self.cutter {
            Cutter::Buzhash(buzhash) => buzhash.next_cut(pending),
            Cutter::Fixed(fixed) => fixed.next_cut(pending.len()),
        };
        if !at_end {
            return found;
        }
        let cut = found.unwrap_or(pending.len());
        if cut == pending.len() {
            self.restart();
        }
        (cut > 0).then_some(cut)
    }

    /// Returns the length of the next chunk if it lies wholly in a run of zeros, as long as `zeros`, that begins where the
    /// chunk does: without looking at them, and the same as [`next_cut`](Self::next_cut) would after that. `None` if the
    /// run is too short to know, or if a search for the end of this chunk has begun.
    pub fn next_cut_in_zeros(&mut self, zeros: u64) -> Option<usize> {
        match &mut self.cutter {
            Cutter::Buzhash(buzhash) => buzhash.next_cut_in_zeros(zeros),
            Cutter::Fixed(fixed) => fixed.next_cut(usize::try_from(zeros).unwrap_or(usize::MAX)),
        }
    }

    /// Gives up the current stream, as after a read that failed: the next call is about the start of another.
    pub fn restart(&mut self) {
        match &mut self.cutter {
            Cutter::Buzhash(buzhash) => buzhash.restart(),
            Cutter::Fixed(fixed) => fixed.restart(),
        }
    }

    /// Lengths of all chunks of a stream.
    fn lengths(mut self, mut stream: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(cut) = self.next_cut(stream, true) {
            assert!(0 < cut && cut <= self.max_chunk_size());
            lengths.push(cut);
            stream = &stream[cut..];
        }
        lengths
    }

    /// Length of the longest chunk there can be, in bytes: what a buffer must hold.
    pub fn max_chunk_size(&self) -> usize {
        self.max_chunk_size
    }
}

/// Cuts `bytes` in one call per chunk, on all instructions the processor has, and in small pieces, and checks that all
/// agree; for fuzzing.
///
/// The first four bytes choose parameters and pieces, the rest is cut.
pub fn fuzz_chunker(bytes: &[u8]) {
    let Some((&[kind, seed, window, step], stream)) = bytes.split_first_chunk() else { return };
    let params = match kind % 4 {
        0 => ChunkerParams::fixed(64 + u32::from(window), u32::from(seed)),
        exp => ChunkerParams::buzhash(6, 9, 6 + u32::from(exp), u32::from(window) | 1),
    }
    .expect("64 + 255 + 1 < 512, and blocks have at least 64 bytes");
    let mut chunker = Chunker::new(&params, i32::from(seed as i8));

    let whole = chunker.clone().lengths(stream);
    assert_eq!(whole.iter().sum::<usize>(), stream.len());
    for instructions in Instructions::ALL {
        assert_eq!(chunker.clone().with(instructions).lengths(stream), whole, "{instructions}");
    }

    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        match chunker.next_cut(&stream[start..end], end == stream.len()) {
            Some(cut) => {
                pieces.push(cut);
                start += cut;
            }
            None if end == stream.len() => break,
            None => end = stream.len().min(end + 1 + usize::from(step)),
        }
    }
    assert_eq!(pieces, whole);
}
