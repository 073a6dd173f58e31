//! Programs a test needs beside ours, and what happens where one is missing.
//!
//! On a developer's machine such a test is skipped, loudly. Where `TESTS_REQUIRE` names the peer (`borg,docker`), as in
//! CI, its absence is a failure: a suite that skips its oracle proves nothing.

use std::panic::resume_unwind;
use std::thread;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Returns `found`, or says that the test is skipped for want of `peer`.
///
/// # Panics
///
/// If `TESTS_REQUIRE` names `peer` and it was not found.
#[track_caller]
pub fn or_skip<T>(peer: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(why) => {
            let required = std::env::var("TESTS_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name.trim() == peer), "TESTS_REQUIRE names {peer}: {why}");
            let thread = thread::current();
            eprintln!("SKIPPED {}: {peer}: {why}", thread.name().unwrap_or("a test"));
            None
        }
    }
}

/// Whether this process is root, which devices, foreign owners and mounts need.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Does what `act` does, on a thread to which the modes of files apply even if it is root's: without the two capabilities
/// that let it read everything, as in a container that drops them.
///
/// # Panics
///
/// If `act` does.
pub fn without_reading_everything<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let dropped = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    // Each thread has its own, and gives them to those it starts.
    let drop_and_act = || {
        let mut sets = capabilities(None).expect("a thread knows what it is capable of");
        sets.effective.remove(dropped);
        set_capabilities(None, sets).expect("a thread may be capable of less");
        act()
    };
    thread::scope(|scope| match scope.spawn(drop_and_act).join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    })
}

/// Whether `program` is on the `PATH`.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
