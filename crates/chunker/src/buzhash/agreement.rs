//! All instructions find the same cuts, whatever the bytes, the parameters and the pieces the bytes come in.

use proptest::prelude::*;
use worldkeeper_testkit::gate::{self, Random};

use super::tests::{cuts, cuts_by_definition};
use super::{Buzhash, Instructions};

/// One search for each of the instructions there are here, the plain ones first. Blocks are used for any number of bytes.
fn searches(buzhash: &Buzhash) -> Vec<(Instructions, Buzhash)> {
    let available = Instructions::ALL.into_iter().filter(|instructions| instructions.are_available());
    available.map(|here| (here, Buzhash { blocks_from: 0, ..buzhash.clone().with(here) })).collect()
}

/// Bytes that make trouble: hashes that repeat, stay as they are, or are hits one after the other.
fn bytes(kind: usize, len: usize, window: usize, random: &mut Random) -> Vec<u8> {
    match kind {
        0 => (0..len).map(|_| random.below(256) as u8).collect(),
        1 => vec![random.below(256) as u8; len],
        2 => (0..len).map(|_| random.below(2) as u8).collect(),
        // What leaves is what enters: the hash only turns, or is the same every so many bytes.
        3 => {
            let period = *random.pick(&[window, window + 1, 31, 32, 64, 4096]);
            let unit: Vec<u8> = (0..period).map(|_| random.below(256) as u8).collect();
            unit.into_iter().cycle().take(len).collect()
        }
        // Long runs of one byte each.
        _ => {
            let mut bytes = Vec::with_capacity(len);
            while bytes.len() < len {
                let run = 1 + random.below(3 * window);
                bytes.resize(len.min(bytes.len() + run), random.below(256) as u8);
            }
            bytes
        }
    }
}

/// The cuts when the bytes come in pieces of these sizes, over and over.
fn cuts_in_pieces(buzhash: &mut Buzhash, bytes: &[u8], pieces: &[usize]) -> Vec<usize> {
    let mut pieces = pieces.iter().cycle();
    let mut cuts = Vec::new();
    let (mut start, mut end) = (0, 0);
    while start < bytes.len() {
        if let Some(len) = buzhash.next_cut(&bytes[start..end]) {
            start += len;
            cuts.push(start);
        } else if end == bytes.len() {
            buzhash.restart();
            start = end;
            cuts.push(start);
        } else {
            end = bytes.len().min(end + pieces.next().unwrap());
        }
    }
    cuts
}

proptest! {
    #[test]
    fn all_find_what_the_definition_says(
        window in prop_oneof![(0_u32..150).prop_map(|half| 2 * half + 1), Just(1), Just(63), Just(65)],
        exps in (6_u32..8, 0_u32..4),
        seed: i32,
        (kind, len) in (0_usize..5, 0_usize..3000),
        random: u64,
    ) {
        let (min, more) = exps;
        let buzhash = Buzhash::new(min, 10, min + more, window, seed);
        let bytes = bytes(kind, len, window as usize, &mut Random::new(random));
        let expected = cuts_by_definition(&buzhash, &bytes);
        for (instructions, mut search) in searches(&buzhash) {
            prop_assert_eq!(&cuts(&mut search, &bytes), &expected, "{}", instructions);
        }
    }

    #[test]
    fn all_go_on_where_they_stopped(
        window in prop_oneof![(0_u32..150).prop_map(|half| 2 * half + 1), Just(4095)],
        mask_bits in 6_u32..13,
        seed: i32,
        (kind, len) in (0_usize..5, 0_usize..20_000),
        random: u64,
        pieces in prop::collection::vec(prop_oneof![1_usize..200, 1_usize..9000], 1..10),
    ) {
        let buzhash = Buzhash::new(6, 13, mask_bits, window, seed);
        let bytes = bytes(kind, len, window as usize, &mut Random::new(random));
        let expected = cuts(&mut buzhash.clone().with(Instructions::Plain), &bytes);
        for (instructions, mut search) in searches(&buzhash) {
            prop_assert_eq!(&cuts_in_pieces(&mut search, &bytes, &pieces), &expected, "{}", instructions);
        }
    }
}

/// The only hit far and wide, sought from every place up to 300 bytes before it: so it is in each lane and row of a
/// block, in the first and in later ones, and among the bytes after the last whole block.
#[test]
fn a_hit_is_found_wherever_it_lies() {
    for window in [1, 3, 31, 63, 65, 255, 4095] {
        let window_len = window as usize;
        let mut random = Random::new(u64::from(window));
        let bytes = bytes(0, 300_000, window_len, &mut random);
        // With a window of one byte there are but 256 hashes.
        let buzhash = Buzhash::new(6, 23, if window == 1 { 7 } else { 13 }, window, 1);
        let hash = |position: usize| buzhash.hash(&bytes[position..position + window_len]);
        let is_hit = |position: &usize| hash(*position) & buzhash.mask == 0;
        let hit = (400..bytes.len() - window_len).filter(is_hit).find(|hit| !(hit - 300..*hit).any(|p| is_hit(&p)));
        let Some(hit) = hit else {
            assert_eq!(window, 1, "there are hits");
            continue;
        };
        for (instructions, mut search) in searches(&buzhash) {
            for distance in 1..=300 {
                let position = hit - distance;
                for after in [0, 1, 17, 64, 200] {
                    let end = hit + window_len + after;
                    let found = search.roll(hash(position), &bytes[..end], position + window_len);
                    assert_eq!(found, Ok(distance), "{instructions}, window {window}, {after} bytes after");
                }
                let found = search.roll(hash(position), &bytes[..hit + window_len - 1], position + window_len);
                assert_eq!(found, Err(hash(hit - 1)), "{instructions}, window {window}, {distance} before");
            }
        }
    }
}

#[test]
fn where_all_are_hits_the_first_is_found() {
    for window in [1, 31, 4095] {
        let buzhash = Buzhash { mask: 0, ..Buzhash::new(6, 20, 6, window, 3) };
        let bytes = vec![1; 10_000];
        for (instructions, mut search) in searches(&buzhash) {
            let begin = 100 + window as usize;
            assert_eq!(search.roll(5, &bytes, begin), Ok(1), "{instructions}");
            assert_eq!(search.next_cut(&bytes), Some(64), "{instructions}");
        }
    }
}

#[test]
fn the_longest_windows_are_left_to_the_plain_path() {
    for window in [65_535, 65_537, 300_001] {
        let buzhash = Buzhash::new(10, 20, 12, window, 9);
        let bytes = bytes(0, 1 << 20, 0, &mut Random::new(u64::from(window)));
        let expected = cuts(&mut buzhash.clone().with(Instructions::Plain), &bytes);
        assert!(expected.len() > 2);
        for (instructions, mut search) in searches(&buzhash) {
            assert_eq!(cuts(&mut search, &bytes), expected, "{instructions}, window {window}");
        }
    }
}

#[test]
fn gate_all_instructions_cut_alike() {
    for case in 0..gate::amount(60, 6000) {
        let random = &mut Random::of(case as u64);
        let window = *random.pick(&[4095, 4095, 1, 31, 63, 65, 127, 1023, 4097, 9999]);
        let min = 6 + random.below(7) as u32;
        let mask_bits = min + random.below(6) as u32;
        let buzhash = Buzhash::new(min, 19, mask_bits, window, random.below(1 << 32) as u32 as i32);
        let (kind, len) = (random.below(5), random.below(1 << 19));
        let bytes = bytes(kind, len, window as usize, random);
        let limits: Vec<usize> = (0..8).map(|_| 1 << random.below(18)).collect();
        let pieces: Vec<usize> = limits.iter().map(|&limit| 1 + random.below(limit)).collect();
        let expected = cuts(&mut buzhash.clone().with(Instructions::Plain), &bytes);
        for (instructions, mut search) in searches(&buzhash) {
            let about = format!("{instructions}, case {case} under seed {}", gate::seed());
            assert_eq!(cuts(&mut search, &bytes), expected, "{about}");
            assert_eq!(cuts_in_pieces(&mut search, &bytes, &pieces), expected, "{about}, in pieces of {pieces:?}");
            let mut as_used = buzhash.clone().with(instructions);
            assert_eq!(cuts_in_pieces(&mut as_used, &bytes, &pieces), expected, "{about}, in pieces of {pieces:?}");
        }
    }
}
