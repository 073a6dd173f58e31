//! What the tests of the binary share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The root of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// Copies a tree with everything, times and links among it.
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp can be started");
    assert!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
}

/// Asks `look` again and again until it gives something, for things only another process can bring about; `None` if it
/// has not within `limit`.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() > limit {
            return found;
        }
        // Whoever looks by `list` holds the lock for a moment each time, and must leave the others theirs.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The same for what must come.
///
/// # Panics
///
/// If it has not after `limit`.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(limit, look).unwrap_or_else(|| panic!("{what}: not within {limit:?}"))
}

/// The locks that lie in a repository or a state directory.
pub fn locks(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lock."))).collect()
}
