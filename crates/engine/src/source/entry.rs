//! One object of the tree, as the walk found it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::FileType;
use worldkeeper_archive::Item;

use super::stat::Stat;

/// One object of the tree: its item but for content, and how to get at that.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Complete, but for `chunks` and `size` where [`has_content`](Self::has_content).
    pub item: Item,
    /// What the item's fields were taken from; the files cache compares it.
    pub stat: Stat,
    /// Where it is, as walked: for messages.
    pub path: Vec<u8>,
    /// The directory it is an entry of, and its name there.
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
}

impl Entry {
    /// Returns whether archives cannot hold its time of modification, and the item has the nearest that they can.
    pub(crate) fn has_clamped_time(&self) -> bool {
        self.item.mtime_ns != self.stat.mtime_ns
    }

    /// Returns whether the item has chunks of its own: it is a regular file, and no further link to one.
    pub(crate) fn has_content(&self) -> bool {
        self.stat.file_type() == FileType::RegularFile && self.item.source.is_none()
    }
}
