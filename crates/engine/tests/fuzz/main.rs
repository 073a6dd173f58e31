//! Whatever the bytes are that somebody left for us: reading them ends in a value or an error, takes no more memory than
//! there is reason for, and what was read is written and read again alike.

mod bodies;
mod mutate;
mod seeds;

use std::panic::catch_unwind;
use std::path::PathBuf;

use bodies::{TARGETS, Target};
use mutate::mutated;
use peak_alloc::PeakAlloc;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::random::Random;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most that a byte of input may be the reason for: a list of nothing takes a byte for each element.
const BYTES_FOR_A_BYTE: usize = 300;

/// One test, so that nothing else takes memory meanwhile.
#[test]
fn gate_fuzz_bodies() {
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(!seeds.is_empty(), "{}", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            run(target, seed, &format!("recording {number}"));
        }
        for case in 0..gate::amount(1_000, 100_000) as u64 {
            let mut random = Random::new(gate::seed().wrapping_mul(0x0100_0003).wrapping_add(case));
            let input = mutated(target.name, &seeds, &mut random);
            run(target, &input, &format!("TESTS_SEED={}, case {case}", gate::seed()));
        }
    }
}

/// For a fuzzer, which begins with them: written to a folder for each target, where `TESTS_FUZZ_CORPUS` says so.
#[test]
fn recordings_are_written_out() {
    let Some(corpus) = std::env::var_os("TESTS_FUZZ_CORPUS").map(PathBuf::from) else { return };
    for target in TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds::of(target.name).iter().enumerate() {
            std::fs::write(folder.join(format!("recording-{number}")), seed).unwrap();
        }
    }
}

#[track_caller]
fn run(target: &Target, input: &[u8], case: &str) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let survived = catch_unwind(|| (target.body)(input));
    assert!(survived.is_ok(), "{}, {case}: {}", target.name, hex::encode(input));
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let limit = target.room_bytes + input.len() * BYTES_FOR_A_BYTE;
    assert!(taken <= limit, "{}, {case}: {} bytes took {taken}, {}", target.name, input.len(), hex::encode(input));
}
