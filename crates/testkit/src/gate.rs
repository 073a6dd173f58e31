//! How much a gate tries: a sample in the run of each change, everything at night; and the seed that makes it repeatable.
//!
//! A gate is a test whose name begins with `gate_`. `tests/nightly` runs all of them, whole, under a new seed.

use std::env;

/// Returns whether gates are to be run whole (`TESTS_NIGHTLY`).
pub fn is_nightly() -> bool {
    env::var_os("TESTS_NIGHTLY").is_some_and(|value| !value.is_empty())
}

/// How many of something to try: `sample` in the run of each change, `whole` at night.
pub fn amount(sample: usize, whole: usize) -> usize {
    if is_nightly() { whole } else { sample }
}

/// What random choices begin from (`TESTS_SEED`); the same in each run unless it is set. A gate that fails names it.
///
/// # Panics
///
/// If the variable holds something else than a number.
pub fn seed() -> u64 {
    const DEFAULT: u64 = 20_261_106;
    env::var("TESTS_SEED").map_or(DEFAULT, |text| text.parse().expect("TESTS_SEED is a number"))
}
