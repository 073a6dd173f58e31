//! What a repository keeps of its disk for the day it is full: `docs/design/reserve.md` says why two files, and why so
//! large.
//!
//! | file | who may use it | made again |
//! |---|---|---|
//! | `worldkeeper.reserve-small` | everybody, for the lock, the nonce and the config: what is given back, or replaces what was there | when the lock is given back |
//! | `worldkeeper.reserve` | transactions that store no object but the manifest: they make room | behind a commit, when there is space |
//!
//! Stock borg looks at neither.

use std::path::Path;
use std::sync::Arc;

use tracing::info;
use worldkeeper_core::{Disk, DiskError, Reserve, error_text};

/// The names of the files.
const SMALL: &str = "worldkeeper.reserve-small";
const LARGE: &str = "worldkeeper.reserve";

/// Some files and directories of a block each, with what the file system needs for them.
const SMALL_BYTES: u64 = 256 * 1024;

/// What the smallest repository keeps: the segments, the manifest and the state files of a few transactions.
const LARGE_BYTES: u64 = 1024 * 1024;

/// A transaction that deletes everything writes about the length of the index in DELETEs, and then a new index; and so
/// does the compaction behind it.
const PER_INDEX_BYTE: u64 = 4;

/// The disk of a repository, with its reserves.
pub(crate) struct Reserves {
    /// For the lock, the nonce and the config.
    pub(crate) small: Arc<Reserve>,
    /// For the segments and the state files.
    pub(crate) large: Arc<Reserve>,
}

impl Reserves {
    pub(crate) fn new(disk: Arc<dyn Disk>, repository: &Path) -> Self {
        let small = Arc::new(Reserve::new(Arc::clone(&disk), repository.join(SMALL)));
        let reserves = Self { small, large: Arc::new(Reserve::new(disk, repository.join(LARGE))) };
        reserves.withhold(true);
        reserves
    }

    /// Says whether what is written now is worth the large one.
    pub(crate) fn withhold(&self, is_withheld: bool) {
        self.large.withhold(is_withheld);
    }

    /// Sees to it that they are there, if there is space for them.
    pub(crate) fn keep(&self, index_bytes: u64) {
        say(self.small.keep(SMALL_BYTES, seed()));
        say(self.large.keep(LARGE_BYTES + PER_INDEX_BYTE * index_bytes, seed()));
    }

    /// Makes the small one again; the lock that may have needed it is given back.
    pub(crate) fn restore_small(&self) {
        say(self.small.restore(SMALL_BYTES, seed()));
    }
}

/// It is for later, so nothing fails for it now.
fn say(kept: Result<(), DiskError>) {
    if let Err(error) = kept {
        info!("no space is reserved for a full disk: {}", error_text(&error));
    }
}

/// Where there is no randomness the content is the same each time, which may compress.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_default()
}
