//! Every way to compress, held against the `blake2` crate; and the kernels against their safe twin.

use blake2::{Blake2b256, Digest};
use proptest::prelude::*;
use worldkeeper_testkit::gate;

use super::dealer::{Kernel, States, deal_out};
use super::*;

/// A kernel of any width in safe code: what the others must do, and what shows that dealing out is right where no other
/// kernel runs.
#[derive(Clone, Copy)]
struct Twin<const WORTHWHILE: usize>;

impl<const N: usize, const WORTHWHILE: usize> Kernel<N> for Twin<WORTHWHILE> {
    const WORTHWHILE: usize = WORTHWHILE;

    fn compress(self, states: &mut States<N>, blocks: &[&[u8]; N]) {
        for (lane, blocks) in blocks.iter().enumerate() {
            let mut state = states.words.map(|words| words[lane]);
            plain::compress(&mut state, &mut states.counters[lane], blocks, states.marks[lane]);
            for (words, word) in states.words.iter_mut().zip(state) {
                words[lane] = word;
            }
        }
    }
}

/// A way to compress some streams.
#[derive(Clone, Copy, Debug)]
enum Way {
    Lanes(Lanes),
    TwinOf8,
    TwinOf4,
    TwinOf3,
    TwinOf1,
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        Lanes::all().map(Self::Lanes).chain([Self::TwinOf8, Self::TwinOf4, Self::TwinOf3, Self::TwinOf1])
    }

    fn compress<'a>(self, streams: impl Iterator<Item = Stream<'a>>, width: usize) {
        match self {
            Self::Lanes(lanes) => lanes.compress(streams, width),
            Self::TwinOf8 => deal_out::<8, _>(Twin::<3>, streams, width),
            Self::TwinOf4 => deal_out::<4, _>(Twin::<1>, streams, width),
            Self::TwinOf3 => deal_out::<3, _>(Twin::<2>, streams, width),
            Self::TwinOf1 => deal_out::<1, _>(Twin::<0>, streams, width),
        }
    }

    /// Lets one digest per message take it in pieces of these lengths, over and over, a piece of each message at a time.
    fn in_pieces(self, messages: &[Vec<u8>], lens: &[usize]) -> Vec<[u8; 32]> {
        let mut digests = vec![Blake2b::keyed(&key()); messages.len()];
        let mut rests: Vec<_> = messages.iter().map(|message| &message[..]).collect();
        let mut round = 0;
        while rests.iter().any(|rest| !rest.is_empty()) {
            let pieces: Vec<_> = rests
                .iter_mut()
                .enumerate()
                .map(|(at, rest)| {
                    let len = lens[(round * messages.len() + at) % lens.len()].min(rest.len());
                    rest.split_off(..len).expect("there are as many")
                })
                .collect();
            self.compress(digests.iter_mut().zip(&pieces).map(|(digest, piece)| Stream::piece(digest, piece)), 0);
            round += 1;
        }
        digests.into_iter().map(Blake2b::finish).collect()
    }

    fn at_once(self, messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let mut digests = vec![Blake2b::keyed(&key()); messages.len()];
        let mut places = vec![[0; 32]; messages.len()];
        let work = digests.iter_mut().zip(messages).zip(&mut places);
        self.compress(work.map(|((digest, message), place)| Stream::end(digest, message, place)), 0);
        places
    }

    /// Lets so many messages take their bytes at a time, `most` each, while `width` lanes are in use; who is done makes room
    /// for the next.
    fn by_and_by(self, messages: &[Vec<u8>], at_a_time: usize, width: usize, most: usize) -> Vec<[u8; 32]> {
        let mut work: Vec<_> =
            messages.iter().map(|message| (Blake2b::keyed(&key()), [0; 32], Some(message.len()))).collect();
        // How many are not done, and how many bytes are left of them.
        let left = |work: &[(Blake2b, [u8; 32], Option<usize>)]| {
            let left = work.iter().filter_map(|(.., left)| *left);
            (left.clone().count(), left.sum::<usize>())
        };
        loop {
            let before = left(&work);
            let unfinished = work.iter_mut().zip(messages).filter(|((.., left), _)| left.is_some());
            let unfinished: Vec<_> = unfinished.take(at_a_time).collect();
            if unfinished.is_empty() {
                return work.into_iter().map(|(_, digest, _)| digest).collect();
            }
            let width = width.min(unfinished.len());
            let streams = unfinished.into_iter().map(|((digest, place, left), message)| {
                let bytes = &message[message.len() - left.expect("it is not finished")..];
                Stream::end_or_later(Unfinished { digest, bytes, place, left }, most)
            });
            self.compress(streams, width);
            let after = left(&work);
            assert!(after.0 < before.0 || after < before && most < 5000, "one at least is done, or has had its share");
        }
    }
}

fn key() -> [u8; BLOCK_LEN] {
    std::array::from_fn(|i| i as u8 ^ 0x5a)
}

fn expected(message: &[u8]) -> [u8; 32] {
    Blake2b256::new().chain_update(key()).chain_update(message).finalize().into()
}

fn message(len: usize, first: u8) -> Vec<u8> {
    (0..len).map(|at| first.wrapping_add((at % 251) as u8)).collect()
}

#[test]
fn a_message_of_any_length_in_pieces_of_any_length() {
    let message = message(600, 0);
    for len in 0..message.len() {
        let message = &message[..len];
        for piece in [1, 7, 127, 128, 129, 256, 600] {
            let mut hash = Blake2b::keyed(&key());
            message.chunks(piece).for_each(|bytes| hash.update(bytes));
            assert_eq!(hash.finish(), expected(message), "{len} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn any_number_of_messages_around_the_ends_of_blocks() {
    const LENS: [usize; 14] = [0, 1, 127, 128, 129, 255, 256, 257, 383, 384, 385, 1000, 1024, 5000];
    for way in Way::all() {
        for count in 0..=20 {
            for first in 0..LENS.len() {
                let lens = (0..count).map(|at| LENS[(first + at * 5) % LENS.len()]);
                let messages: Vec<_> = lens.enumerate().map(|(at, len)| message(len, at as u8)).collect();
                let expected: Vec<_> = messages.iter().map(|message| expected(message)).collect();
                assert_eq!(way.at_once(&messages), expected, "{way:?}, {count} messages from {first}");
                let in_pieces = way.in_pieces(&messages, &[128, 256, 1, 127, 4096]);
                assert_eq!(in_pieces, expected, "{way:?}, {count} messages from {first} in pieces");
                for (at_a_time, width, most) in
                    [(1, 1, 128), (3, 2, 5000), (9, 4, 9000), (9, 8, 384), (9, 8, 129), (20, 0, 9000)]
                {
                    let by_and_by = way.by_and_by(&messages, at_a_time, width, most);
                    let name = format!("{way:?}, {count} messages from {first}, {at_a_time}, {width}, {most}");
                    assert_eq!(by_and_by, expected, "{name}");
                }
            }
        }
    }
}

#[test]
fn counters_are_carried_far_beyond_32_bits() {
    let message = message(1000, 3);
    for counter in [(1 << 32) - 128, (1 << 32) - 256, 1 << 32, (1 << 40) - 384, (1 << 63) - 128, u64::MAX - 2047] {
        let begun = Blake2b { counter, ..Blake2b::keyed(&key()) };
        let mut plainly = begun.clone();
        plainly.update(&message);
        assert_eq!(plainly.counter, counter + 896);
        let digest = plainly.finish();
        for other in [counter ^ 1 << 32, counter ^ 1 << 63, counter & 0xffff_ffff] {
            let mut plainly = Blake2b { counter: other, ..begun.clone() };
            plainly.update(&message);
            assert_eq!(plainly.finish() == digest, counter == other, "every bit of it counts");
        }
        for way in Way::all() {
            let (mut clones, mut places) = (vec![begun.clone(); 9], [[0; 32]; 9]);
            let work = clones.iter_mut().zip(&mut places);
            way.compress(work.map(|(clone, place)| Stream::end(clone, &message, place)), 0);
            assert_eq!(places, [digest; 9], "{way:?}, {counter}");
        }
    }
}

/// What the kernels make of states that no message leads to.
fn kernel_is_as_its_twin<const N: usize>(kernel: impl Kernel<N>, case: usize) {
    let mut random = gate::Random::of(case as u64);
    let mut word = || random.below(usize::MAX) as u64;
    let mut states = States::<N>::new();
    states.words = states.words.map(|words| words.map(|_| word()));
    states.counters = states.counters.map(|_| word());
    states.marks = states.marks.map(|_| if word() % 2 == 0 { LAST } else { NOT_LAST });
    let len = (word() % 5) as usize * BLOCK_LEN;
    let bytes: Vec<u8> = (0..N * (len + 1)).map(|_| word() as u8).collect();
    // Not aligned, each in its own way.
    let blocks: [&[u8]; N] = std::array::from_fn(|lane| &bytes[lane * (len + 1)..][..len]);
    let mut twins = States::<N>::new();
    (twins.words, twins.counters, twins.marks) = (states.words, states.counters, states.marks);
    kernel.compress(&mut states, &blocks);
    Twin::<0>.compress(&mut twins, &blocks);
    let all = |states: &States<N>| (states.words, states.counters, states.marks);
    assert_eq!(all(&states), all(&twins), "seed {}, case {case}, {N} lanes", gate::seed());
}

#[test]
fn gate_kernels_are_as_their_twin() {
    for case in 0..gate::amount(2000, 200_000) {
        kernel_is_as_its_twin::<5>(Twin::<1>, case);
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(kernel) = avx512::Avx512::detect() {
                kernel_is_as_its_twin(kernel, case);
            }
            if let Some(kernel) = avx2::Avx2::detect() {
                kernel_is_as_its_twin(kernel, case);
            }
        }
    }
}

/// Messages as a backup has them, in every way, whole and in pieces.
#[test]
fn gate_many_messages_are_digested_as_the_crate_does() {
    for case in 0..gate::amount(20, 2000) {
        let random = &mut gate::Random::of(case as u64);
        let longest = *random.pick(&[300, 3000, 30_000]);
        let messages: Vec<_> =
            (0..random.below(40)).map(|_| message(random.below(longest), random.below(256) as u8)).collect();
        let expected: Vec<_> = messages.iter().map(|message| expected(message)).collect();
        let lens: Vec<_> = (0..7).map(|_| 1 + random.below(longest)).collect();
        for way in Way::all() {
            let name = format!("seed {}, case {case}, {way:?}", gate::seed());
            assert_eq!(way.at_once(&messages), expected, "{name}, at once");
            assert_eq!(way.in_pieces(&messages, &lens), expected, "{name}, in pieces");
        }
    }
}

/// At night, long enough for the counter to leave 32 bits.
#[test]
fn gate_a_very_long_message() {
    let piece = message(1 << 20, 9);
    let pieces = gate::amount(3, (4 << 10) + 1);
    let mut crates = Blake2b256::new().chain_update(key());
    (0..pieces).for_each(|_| crates.update(&piece));
    let crates = crates.finalize();
    for lanes in Lanes::all() {
        let mut digests = vec![Blake2b::keyed(&key()); lanes.count()];
        for _ in 0..pieces {
            lanes.compress(digests.iter_mut().map(|digest| Stream::piece(digest, &piece)), 0);
        }
        for digest in digests {
            assert_eq!(digest.finish()[..], crates[..], "{lanes}, {pieces} MiB");
        }
    }
}

proptest! {
    #[test]
    fn any_pieces_of_any_messages(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..12),
        lens in proptest::collection::vec(1usize..400, 1..20),
    ) {
        let expected: Vec<_> = messages.iter().map(|message| expected(message)).collect();
        for way in Way::all() {
            prop_assert_eq!(way.at_once(&messages), &expected[..]);
            prop_assert_eq!(way.in_pieces(&messages, &lens), &expected[..]);
        }
    }
}
