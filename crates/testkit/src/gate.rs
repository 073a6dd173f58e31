//! How much a gate tries: a sample in the run of each change, everything at night; and the seed that makes it repeatable.
//!
//! A gate is a test whose name begins with `gate_`. `tests/nightly` runs all of them, whole, under a new seed.

use std::env;
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

pub use crate::random::Random;

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

/// A folder for one case, in memory where there is such a place: a gate waits for no disk, and none of what it tries
/// is about one.
pub fn folder() -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let base = if Path::new(MEMORY).is_dir() { MEMORY.into() } else { env::temp_dir() };
    tempfile::tempdir_in(base).expect("temporary directories can be made")
}

/// Tries all `cases` on two threads, each with what `begin` makes for it once. Whatever fails, the others are tried.
///
/// # Panics
///
/// If any failed: with the seed and the names of those cases.
#[track_caller]
pub fn each<C: Display + Sync, T>(cases: &[C], begin: impl Fn() -> T + Sync, try_case: impl Fn(&mut T, &C) + Sync) {
    const THREADS: usize = 2;
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS.min(cases.len()) {
            scope.spawn(|| {
                let mut begun = begin();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = panic::catch_unwind(AssertUnwindSafe(|| try_case(&mut begun, case)));
                    if tried.is_err() {
                        eprintln!("this was {case}");
                        failed.lock().expect("nobody panics here").push(case.to_string());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics here");
    let count = failed.len();
    assert!(count == 0, "{count} of {} failed under seed {}:\n{}", cases.len(), seed(), failed.join("\n"));
}
