//! Keeps the memory of this process in small pages.
//!
//! A huge page is resident as a whole, however little of it is used, and the allocator asks for them: that would be some
//! 40 MB that a game beside us may want, and no time gained that could be measured.

use rustix::thread::disable_transparent_huge_pages;
use tracing::debug;

/// Begins with it. Where the system refuses, the work goes on.
pub(crate) fn start() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        debug!("huge pages cannot be ruled out: {error}");
    }
}
