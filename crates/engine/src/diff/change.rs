//! In what two items of one path differ.
//!
//! Stock's words and stock's order; its equality, too, which sees more than it has words for: a file that has become a
//! directory differs in its mode.
//!
//! Source: borg 1.4 `item.pyx`, `ItemDiff`.

use std::collections::HashSet;

use worldkeeper_archive::Item;

use super::DiffOptions;

/// One thing in which two items differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A regular file is new.
    Added {
        /// Its size.
        size: u64,
    },
    /// A regular file is gone.
    Removed {
        /// Its size.
        size: u64,
    },
    /// Something of another kind is new.
    AddedOther(&'static str),
    /// Something of another kind is gone.
    RemovedOther(&'static str),
    /// A symbolic link leads elsewhere.
    ChangedLink,
    /// The content of a regular file.
    Modified {
        /// Bytes in chunks that only the new one has, and in those that only the old one has; `None` where chunks say nothing.
        bytes: Option<(u64, u64)>,
    },
    /// The owner or the group.
    Owner {
        /// What they were.
        old: (OwnerName, OwnerName),
        /// What they are.
        new: (OwnerName, OwnerName),
    },
    /// Permissions, or the type.
    Mode {
        /// What it was.
        old: u32,
        /// What it is.
        new: u32,
    },
    /// When metadata was changed, in nanoseconds since 1970.
    Ctime {
        /// What it was.
        old_ns: i64,
        /// What it is.
        new_ns: i64,
    },
    /// When content was changed, in nanoseconds since 1970.
    Mtime {
        /// What it was.
        old_ns: i64,
        /// What it is.
        new_ns: i64,
    },
}

/// What an owner or group is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerName {
    /// By name, where there is one.
    Name(Option<Vec<u8>>),
    /// By number.
    Id(i64),
}

const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// Returns whether an item may be one of several links to one object.
pub(super) fn may_have_links(item: &Item) -> bool {
    matches!(item.mode & TYPE, REGULAR | 0o060_000 | 0o020_000 | 0o010_000)
}

/// Returns whether two items are equal, but for their content.
pub(super) fn are_equal(old: Option<&Item>, new: Option<&Item>, options: &DiffOptions) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => {
            old.source == new.source
                && (options.content_only
                    || (old.mode == new.mode
                        && old.ctime_ns == new.ctime_ns
                        && old.mtime_ns == new.mtime_ns
                        && owner(old, options) == owner(new, options)))
        }
        _ => false,
    }
}

/// What is known of the contents of two items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKnown {
    /// They were not read, and their chunks say nothing.
    Nothing,
    /// What has another id is other content.
    ById,
    /// They are equal, whatever the ids.
    Equal,
}

/// In what two items differ that are not equal.
pub(super) fn changes(
    old: Option<&Item>,
    new: Option<&Item>,
    content: ContentKnown,
    options: &DiffOptions,
) -> Vec<Change> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (Some(item), None) => return presence(item, |size| Change::Removed { size }, Change::RemovedOther),
        (None, Some(item)) => return presence(item, |size| Change::Added { size }, Change::AddedOther),
        (Some(old), Some(new)) => (old, new),
    };
    let mut changes = Vec::new();
    let are_links = old.mode & TYPE == SYMLINK && new.mode & TYPE == SYMLINK;
    if are_links && old.source != new.source {
        changes.push(Change::ChangedLink);
    }
    if old.chunks.is_some() && new.chunks.is_some() {
        let bytes = match content {
            ContentKnown::Nothing => None,
            ContentKnown::ById => Some((size_without(new, old), size_without(old, new))),
            ContentKnown::Equal => Some((0, 0)),
        };
        // As stock, which says nothing of chunks that have changed their places.
        if bytes != Some((0, 0)) {
            changes.push(Change::Modified { bytes });
        }
    }
    if options.content_only {
        return changes;
    }
    let owners = (owner(old, options), owner(new, options));
    if owners.0 != owners.1 {
        changes.push(Change::Owner { old: owners.0, new: owners.1 });
    }
    if old.mode != new.mode {
        changes.push(Change::Mode { old: old.mode, new: new.mode });
    }
    if let (Some(old_ns), Some(new_ns)) = (old.ctime_ns, new.ctime_ns)
        && old_ns != new_ns
    {
        changes.push(Change::Ctime { old_ns, new_ns });
    }
    if old.mtime_ns != new.mtime_ns {
        changes.push(Change::Mtime { old_ns: old.mtime_ns, new_ns: new.mtime_ns });
    }
    changes
}

/// What is said of something that only one of the archives has.
fn presence(item: &Item, file: fn(u64) -> Change, other: fn(&'static str) -> Change) -> Vec<Change> {
    let kind = match item.mode & TYPE {
        0o010_000 => "fifo",
        0o060_000 => "blkdev",
        0o020_000 => "chrdev",
        0o040_000 => "directory",
        SYMLINK => "link",
        _ => return item.chunks.iter().map(|_| file(size(item))).collect(),
    };
    vec![other(kind)]
}

fn owner(item: &Item, options: &DiffOptions) -> (OwnerName, OwnerName) {
    if options.numeric_ids {
        (OwnerName::Id(item.uid), OwnerName::Id(item.gid))
    } else {
        (OwnerName::Name(item.user.clone()), OwnerName::Name(item.group.clone()))
    }
}

/// The size of an item's content.
fn size(item: &Item) -> u64 {
    let chunks = || item.chunks.iter().flatten().map(|chunk| u64::from(chunk.size)).sum();
    item.size.unwrap_or_else(chunks)
}

/// Bytes in chunks of one item that the other does not have.
fn size_without(item: &Item, other: &Item) -> u64 {
    let others: HashSet<_> = other.chunks.iter().flatten().map(|chunk| chunk.id).collect();
    let own = item.chunks.iter().flatten().filter(|chunk| !others.contains(&chunk.id));
    own.map(|chunk| u64::from(chunk.size)).sum()
}

#[cfg(test)]
mod tests {
    use worldkeeper_archive::ChunkRef;
    use worldkeeper_core::ChunkId;

    use super::*;

    fn file(chunks: &[(u8, u32)]) -> Item {
        let chunks = chunks.iter().map(|(id, size)| ChunkRef { id: ChunkId([*id; 32]), size: *size, csize: 1 });
        Item { mode: 0o100_644, chunks: Some(chunks.collect()), ..Item::default() }
    }

    fn changed(old: &Item, new: &Item, content: ContentKnown) -> Vec<Change> {
        changes(Some(old), Some(new), content, &DiffOptions::default())
    }

    /// As stock was seen to answer.
    #[test]
    fn content_is_told_by_chunks() {
        let (old, new) = (file(&[(1, 100), (1, 100)]), file(&[(2, 1500), (2, 1500)]));
        assert_eq!(changed(&old, &new, ContentKnown::ById), [Change::Modified { bytes: Some((3000, 200)) }]);
        assert_eq!(changed(&old, &new, ContentKnown::Nothing), [Change::Modified { bytes: None }]);
        assert_eq!(changed(&old, &new, ContentKnown::Equal), []);
        let (old, new) = (file(&[(1, 100), (2, 5)]), file(&[(2, 5), (1, 100)]));
        assert_eq!(changed(&old, &new, ContentKnown::ById), [], "the same chunks in another order");
        assert_eq!(
            changed(&old, &Item { mode: 0o040_755, ..Item::default() }, ContentKnown::ById),
            [Change::Mode { old: 0o100_644, new: 0o040_755 }]
        );
    }

    #[test]
    fn what_is_new_or_gone_is_told_by_its_kind() {
        let told = |item: &Item| changes(None, Some(item), ContentKnown::ById, &DiffOptions::default());
        assert_eq!(told(&file(&[(1, 7)])), [Change::Added { size: 7 }]);
        assert_eq!(told(&Item { mode: 0o140_644, ..Item::default() }), []);
        assert_eq!(told(&Item { chunks: None, ..file(&[]) }), [], "a link to nothing");
        let link = Item { mode: 0o120_777, ..Item::default() };
        let gone = changes(Some(&link), None, ContentKnown::ById, &DiffOptions::default());
        assert_eq!(gone, [Change::RemovedOther("link")]);
    }
}
