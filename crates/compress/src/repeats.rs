//! Finds out whether data repeat anything that LZ4 could refer back to: a fraction of the work of compressing them, and
//! what is compressed or encrypted already repeats nothing.

/// Looks for repetitions in the way that the library does, at the same places, up to the first it would find. Made to be
/// kept: its table is not cleared between data.
///
/// Source: `lz4_flex` 0.14 `block/compress.rs`, `compress_internal`, and `block/hashtable.rs`.
pub(crate) struct Repeats {
    /// Where a sequence was seen last, counted through all data.
    places: Box<[u32; PLACES]>,
    /// Where the data begin, so counted; what was seen before is of others.
    base: u32,
}

impl Repeats {
    pub(crate) fn new() -> Self {
        Self { places: Box::new([0; PLACES]), base: 1 }
    }

    /// Returns whether a search through `data` finds anything.
    pub(crate) fn are_in(&mut self, data: &[u8]) -> bool {
        let Some(last) = data.len().checked_sub(LAST_BYTES) else { return false };
        let Some(end) = u32::try_from(data.len()).ok().and_then(|len| self.base.checked_add(len)) else {
            // Once in 4 GiB.
            *self = Self::new();
            return data.len() >= u32::MAX as usize || self.are_in(data);
        };
        let base = std::mem::replace(&mut self.base, end);
        let (mut at, mut tries) = (0, TRIES - 1);
        while at <= last {
            let sequence = &data[at..][..8];
            let place = &mut self.places[slot(sequence)];
            // What was never seen counts as seen where the data begin, as in the library.
            let before = std::mem::replace(place, base + at as u32).saturating_sub(base) as usize;
            if before < at && at - before <= FARTHEST && data[before..][..4] == sequence[..4] {
                return true;
            }
            // One byte at a time at first, then ever more.
            at += (tries / TRIES).max(1);
            tries += 1;
        }
        false
    }
}

/// Where a sequence has its place: by its first five bytes.
fn slot(sequence: &[u8]) -> usize {
    let bytes = u64::from_le_bytes(sequence.try_into().expect("there are eight"));
    ((bytes << 24).wrapping_mul(889_523_592_379) >> (64 - PLACES.ilog2())) as usize
}

/// How many sequences have a place.
const PLACES: usize = 4096;
/// How many tries it takes until the steps become longer by one.
const TRIES: usize = 1 << 5;
/// How far back a repetition may lie.
const FARTHEST: usize = 65_535;
/// The end of a block, where none may begin.
const LAST_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
    use proptest::prelude::*;
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;

    /// Whether the library finds anything to refer to: else its block ends with all of the data.
    fn finds(data: &[u8]) -> bool {
        let mut block = vec![0; get_maximum_output_size(data.len())];
        let len = compress_into_with_table(data, &mut block, &mut CompressTable::large()).unwrap();
        !block[..len].ends_with(data)
    }

    #[test]
    fn noise_repeats_nothing_and_text_does() {
        let mut repeats = Repeats::new();
        for len in [0, 1, 11, 12, 13, 100, 65_536, 1 << 20] {
            assert!(!repeats.are_in(&sha_stream("noise", len)), "{len} bytes");
        }
        assert!(repeats.are_in(b"as often as often as often"));
        assert!(repeats.are_in(&[0; 100]));
        assert!(!repeats.are_in(&[0; 12]), "no block ends with a repetition");
    }

    #[test]
    fn what_was_seen_in_other_data_is_not_in_these() {
        let mut repeats = Repeats::new();
        let noise = sha_stream("noise", 1000);
        assert!((0..1000).all(|_| !repeats.are_in(&noise)));
        repeats.base = u32::MAX - 1500;
        assert!((0..5).all(|_| !repeats.are_in(&noise)));
        assert!(repeats.base < 10_000, "it began anew");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn the_library_finds_something_where_it_says_so_and_nowhere_else(
            seed in any::<u32>(),
            len in prop_oneof![0..200_usize, 0..300_000_usize],
            copies in proptest::collection::vec((0..300_000_usize, 0..300_000_usize, 3..40_usize), 0..4),
            before in 0..100_000_usize,
        ) {
            let mut data = sha_stream(&seed.to_string(), len);
            for (from, to, len) in copies {
                let len = len.min(data.len());
                let (from, to) = (from % (data.len() - len + 1), to % (data.len() - len + 1));
                data.copy_within(from..from + len, to);
            }
            let mut repeats = Repeats::new();
            _ = repeats.are_in(&sha_stream("before", before));
            prop_assert_eq!(repeats.are_in(&data), finds(&data));
        }
    }
}
