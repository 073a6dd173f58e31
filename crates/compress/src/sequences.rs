//! What an LZ4 block is made of, for whoever needs something else of it than its data.
//!
//! A block is a row of sequences: a token with two lengths of 4 bits, more bytes of the first length, that many literals, a
//! 2-byte offset, more bytes of the second length, which begins at 4: as many bytes are repeated from that far back. The last
//! sequence ends after its literals.
//!
//! Source: lz4 `doc/lz4_Block_format.md`.

use worldkeeper_core::is_equal;

/// How many bytes at the end are always literals, where any are not: stock's decoder gives up on others.
pub(crate) const LAST_LITERALS: usize = 5;
/// More sequences are faster made than compared one by one.
const FEW: usize = 16;
/// How far from the end a repetition begins at least, in bytes; so does stock's decoder want it.
const LAST_BEGINNING: usize = 12;
/// What the second length of a sequence begins at, in bytes.
pub(crate) const SHORTEST_REPETITION: usize = 4;

/// How long the data of `block` is, without making it; `None` if a sequence is cut off.
pub(crate) fn data_size(block: &[u8]) -> Option<usize> {
    let mut rest = block;
    let mut size = 0;
    loop {
        let (token, literals) = literals(&mut rest)?;
        size += literals.len();
        if rest.is_empty() {
            return Some(size);
        }
        size += repetition(token, &mut rest)?.1;
    }
}

/// Returns whether `data` is what `block` gives, without making it again: what is repeated is found in `data` itself, whose
/// beginning is proven by then. `None` if it takes more than a [`FEW`] sequences to tell.
pub(crate) fn give(block: &[u8], data: &[u8]) -> Option<bool> {
    let (mut rest, mut at) = (block, 0);
    for _ in 0..FEW {
        match give_next(&mut rest, data, at) {
            Some(proven) if rest.is_empty() => return Some(proven == data.len()),
            Some(proven) => at = proven,
            None => return Some(false),
        }
    }
    None
}

/// Where in `data` what the next sequence gives ends, if it is what is there from `at` on.
fn give_next(rest: &mut &[u8], data: &[u8], at: usize) -> Option<usize> {
    let (token, literals) = literals(rest)?;
    let end = at + literals.len();
    is_equal(literals, data.get(at..end)?).then_some(())?;
    if rest.is_empty() {
        return Some(end);
    }
    let (offset, len) = repetition(token, rest)?;
    let from = end.checked_sub(offset).filter(|from| *from < end)?;
    let repeated = data.get(end..end + len)?;
    let ends_well = data.len() - end >= LAST_BEGINNING && data.len() - end - len >= LAST_LITERALS;
    (ends_well && !rest.is_empty() && is_equal(&data[from..][..len], repeated)).then_some(end + len)
}

/// Takes a token and its literals.
fn literals<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let token = *rest.split_off_first()?;
    let len = length(usize::from(token >> 4), rest)?;
    Some((token, rest.split_off(..len)?))
}

/// Takes how far back what is repeated begins, and how long it is.
fn repetition(token: u8, rest: &mut &[u8]) -> Option<(usize, usize)> {
    let (offset, behind) = rest.split_first_chunk()?;
    *rest = behind;
    let len = length(usize::from(token & 15), rest)?;
    Some((usize::from(u16::from_le_bytes(*offset)), SHORTEST_REPETITION + len))
}

/// Completes a length of 4 bits: 15 means that bytes to add follow, as long as they are 255.
fn length(start: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = start;
    if start == 15 {
        loop {
            let more = *rest.split_off_first()?;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

/// The 4 bits of a length, and what completes them.
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) -> u8 {
    let Some(more) = length.checked_sub(15) else { return length as u8 };
    out.extend(std::iter::repeat_n(255, more / 255));
    out.push((more % 255) as u8);
    15
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;

    #[test]
    fn lengths_come_back() {
        for len in [0, 1, 14, 15, 16, 269, 270, 271, 100_000] {
            let mut more = Vec::new();
            let bits = put_length(len, &mut more);
            let mut rest = &more[..];
            assert_eq!((length(bits.into(), &mut rest), rest.len()), (Some(len), 0));
        }
    }

    #[test]
    fn a_block_that_stock_would_not_take_gives_nothing() {
        // A literal, seven times it, and so many literals.
        let block = |last: u8| [&[0x13, 7, 1, 0, last << 4][..], &vec![7; last.into()]].concat();
        assert_eq!(give(&block(5), &[7; 13]), Some(true));
        for (block, data, why) in [
            (&block(4)[..], &[7; 12][..], "its end is too short"),
            (&[0x12, 7, 1, 0, 0x50, 7, 7, 7, 7, 7], &[7; 12], "what it repeats begins too late"),
            (&[0x1f, 7, 1, 0, 0], &[7; 20], "it has no end"),
            (&[0x13, 7, 0, 0, 0x50, 7, 7, 7, 7, 7], &[7; 13], "it repeats what is not there yet"),
            (&[0x13, 7, 2, 0, 0x50, 7, 7, 7, 7, 7], &[7; 13], "it repeats what was never there"),
            (&[], &[], "there is not even a token"),
        ] {
            assert_eq!(give(block, data), Some(false), "{why}");
        }
        assert_eq!(give(&[0], &[]), Some(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn a_block_gives_what_the_library_makes_of_it_and_nothing_else(
            seed in any::<u32>(),
            len in prop_oneof![0..100_usize, 0..100_000_usize],
            copies in proptest::collection::vec((0..100_000_usize, 0..100_000_usize, 3..300_usize), 0..6),
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0..8_u8, any::<bool>()), 1..20),
        ) {
            let mut data = sha_stream(&seed.to_string(), len);
            for (from, to, len) in copies {
                let len = len.min(data.len());
                let (from, to) = (from % (data.len() - len + 1), to % (data.len() - len + 1));
                data.copy_within(from..from + len, to);
            }
            let block = lz4_flex::block::compress(&data);
            prop_assert_eq!(data_size(&block), Some(data.len()));
            let Some(is_it) = give(&block, &data) else { return Ok(()) };
            prop_assert!(is_it);
            prop_assert_eq!(give(&block[..block.len() - 1], &data), Some(false));
            if !data.is_empty() {
                prop_assert_eq!(give(&block, &data[1..]), Some(false));
                prop_assert_eq!(give(&block, &data[..data.len() - 1]), Some(false));
            }
            for (place, bit, in_block) in flips {
                let (mut other_block, mut other) = (block.clone(), data.clone());
                if in_block || data.is_empty() {
                    *place.get_mut(&mut other_block[..]) ^= 1 << bit;
                } else {
                    *place.get_mut(&mut other[..]) ^= 1 << bit;
                }
                // A flipped bit may make another block of the same data.
                let mut made = vec![0; data.len()];
                let len = lz4_flex::block::decompress_into(&other_block, &mut made);
                let is_made = len.is_ok_and(|len| made[..len] == other[..]);
                prop_assert!(is_made || give(&other_block, &other) != Some(true));
            }
        }
    }
}
