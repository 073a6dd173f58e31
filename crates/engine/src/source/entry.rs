//! One object of the tree, as the walk found it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::FileType;
use worldkeeper_archive::Item;

use super::root::name_of;
use super::stat::Stat;

/// One object of the tree: its item but for content, and how to get at that.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Complete, but for `chunks` and `size` where [`has_content`](Self::has_content), and for extended attributes and
    /// ACLs as long as nobody asks the [walker](super::Walker::read_attributes) for them.
    pub item: Box<Item>,
    /// What the item's fields were taken from; the files cache compares it.
    pub stat: Stat,
    /// Where it is, as walked: for messages.
    pub path: Vec<u8>,
    /// The directory it is an entry of.
    pub(super) directory: Arc<OwnedFd>,
    /// How it is read although it is no file; the item says that it is one.
    pub(super) special: Option<Special>,
    /// What is known of its extended attributes and ACLs.
    pub(super) attributes: Attributes,
    /// It lies where a change of those shows in its ctime.
    pub(super) shows_attributes: bool,
}

/// What is not longer is moved without a call, several times for every file.
const _: () = assert!(size_of::<Entry>() <= 128);

/// What is known of the extended attributes and ACLs of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attributes {
    /// They are yet to be read.
    Unread,
    /// They were read, as far as that could be done.
    Read,
    /// There are none.
    None,
}

/// A FIFO or device whose content is taken as a regular file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// The object is one.
    Itself,
    /// The object is a symlink that leads to one; what is known is of that.
    Target,
}

impl Entry {
    /// Its name in its directory.
    pub(super) fn name(&self) -> &[u8] {
        name_of(&self.path)
    }

    /// Returns whether archives cannot hold its time of modification, and the item has the nearest that they can.
    pub(crate) fn has_clamped_time(&self) -> bool {
        self.item.mtime_ns != self.stat.mtime_ns
    }

    /// Returns whether the item has chunks of its own: it is a regular file or read as one, and no further
    /// link to one.
    pub(crate) fn has_content(&self) -> bool {
        (self.stat.file_type() == FileType::RegularFile || self.is_special()) && self.item.source.is_none()
    }

    /// Returns whether it was seen to have no extended attributes and no ACLs.
    pub(crate) fn is_bare(&self) -> bool {
        self.attributes == Attributes::None
    }

    /// Returns whether its extended attributes and ACLs are what they were, if its ctime is.
    pub(crate) fn shows_attributes(&self) -> bool {
        self.shows_attributes
    }

    /// Returns whether its content is a FIFO's or device's: nothing that is known of it tells whether that changed.
    pub(crate) fn is_special(&self) -> bool {
        self.special.is_some()
    }

    /// Sees to it that the item is a regular file's, if it is read as one.
    ///
    /// Source: borg 1.4 `archive.py`, `FilesystemObjectProcessors.process_file`.
    pub(super) fn settle(&mut self) {
        if self.is_special() {
            self.item.mode = 0o100_000 | self.item.mode & 0o7777;
            self.item.rdev = None;
        }
    }
}
