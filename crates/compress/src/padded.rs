//! Compresses what has nothing to refer back to but the zeros at its end: a chunk of a region file, which is compressed
//! already, and what pads it. The library would copy all of it to find that out.

use crate::compressor::Body;
use crate::sequences::{LAST_LITERALS, SHORTEST_REPETITION, put_length};

/// How many zeros there are at the end of `data`.
pub(crate) fn zeros_behind(data: &[u8]) -> usize {
    const AT_ONCE: usize = 64;
    let is_zero = |piece: &&[u8]| piece.iter().fold(0, |any, byte| any | byte) == 0;
    let zeros = data.rchunks_exact(AT_ONCE).take_while(is_zero).count() * AT_ONCE;
    let rest = &data[..data.len() - zeros];
    zeros + rest.iter().rev().take_while(|byte| **byte == 0).count()
}

/// The block for `data`, which end with `zeros`, [`FEWEST`] at least: two sequences, the first around the data as they lie. What
/// else there is of them is put into `room`. `None` if it would not be smaller.
pub(crate) fn encode<'a>(data: &'a [u8], zeros: usize, room: &'a mut Vec<u8>) -> Option<Body<'a>> {
    debug_assert!(zeros >= FEWEST);
    // The first of the zeros is what the others repeat.
    let literals = data.len() - zeros + 1;
    let repeated = zeros - 1 - LAST_LITERALS;
    room.clear();
    room.push(0);
    let first = put_length(literals, room);
    let split = room.len();
    room.extend([1, 0]);
    let second = put_length(repeated - SHORTEST_REPETITION, room);
    room[0] = first << 4 | second;
    room.push((LAST_LITERALS as u8) << 4);
    room.extend([0; LAST_LITERALS]);
    let (token, repetition) = room.split_at(split);
    (room.len() + literals < data.len()).then_some([token, &data[..literals], repetition])
}

/// With fewer zeros it is not worth it; and no block repeats anything from 12 bytes before its end on.
pub(crate) const FEWEST: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;
    use crate::sequences;

    proptest! {
        #[test]
        fn the_library_makes_the_data_of_it_again(
            literals in prop_oneof![0..600_usize, 0..300_000_usize],
            zeros in prop_oneof![FEWEST..600, FEWEST..300_000],
        ) {
            let mut data = sha_stream("noise", literals);
            data.extend(std::iter::repeat_n(0, zeros));
            prop_assert!((zeros..zeros + 3).contains(&zeros_behind(&data)));
            let mut room = b"what was there".to_vec();
            let Some(block) = encode(&data, zeros, &mut room) else {
                prop_assert!(data.len() > 10_000, "much would have to be smaller");
                return Ok(());
            };
            let block = block.concat();
            prop_assert!(block.len() < data.len());
            prop_assert_eq!(sequences::give(&block, &data), Some(true));
            prop_assert_eq!(lz4_flex::block::decompress(&block, data.len()).unwrap(), data);
        }

        #[test]
        fn zeros_behind_are_counted(front in 0..300_usize, zeros in 0..300_usize) {
            let data = [vec![1; front], vec![0; zeros]].concat();
            prop_assert_eq!(zeros_behind(&data), zeros);
        }
    }
}
