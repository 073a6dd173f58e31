//! Hard links, when not all of an archive is restored.
//!
//! An archive holds the content of several links once, with the first of them; the others name that one. Where the
//! first is not wanted, the first that is takes its place.
//!
//! Source: borg 1.4 `archiver.py`, `do_extract`; `archive.py`, `extract_helper`.

use std::collections::HashMap;

use worldkeeper_archive::{ChunkRef, Item};

const TYPE: u32 = 0o170_000;
const LINKABLE: [u32; 4] = [0o100_000, 0o060_000, 0o020_000, 0o010_000];

/// Returns whether something of this mode can have several links.
pub(crate) fn is_linkable(mode: u32) -> bool {
    LINKABLE.contains(&(mode & TYPE))
}

/// Returns whether something of this mode is a directory.
pub(crate) fn is_directory(mode: u32) -> bool {
    mode & TYPE == 0o040_000
}

/// Decides, item after item in archive order, what is restored as what.
#[derive(Debug, Default)]
pub(crate) struct HardLinks {
    left_out: HashMap<Vec<u8>, LeftOut>,
}

/// The first of several links, not restored itself.
#[derive(Debug)]
enum LeftOut {
    /// No other link is restored yet: what it holds.
    Content { chunks: Option<Vec<ChunkRef>>, chunks_healthy: Option<Vec<ChunkRef>>, size: Option<u64> },
    /// This one is restored in its place.
    RestoredAs(Vec<u8>),
}

impl HardLinks {
    /// What is restored for an item: nothing, if it is not selected; else the item, where a further link refers to one
    /// that is restored too, or has its content. To be called for every item of the archive.
    pub(crate) fn resolve(&mut self, mut item: Item, selected: bool) -> Option<Item> {
        if !is_linkable(item.mode) {
            return selected.then_some(item);
        }
        match (&item.source, selected) {
            (None, true) => {}
            (None, false) => {
                // Old borg did not say which items have further links.
                if item.hardlink_master != Some(false) {
                    let Item { path, chunks, chunks_healthy, size, .. } = item;
                    self.left_out.insert(path, LeftOut::Content { chunks, chunks_healthy, size });
                }
                return None;
            }
            (Some(_), false) => return None,
            (Some(master), true) => {
                if let Some(left_out) = self.left_out.get_mut(master) {
                    match std::mem::replace(left_out, LeftOut::RestoredAs(item.path.clone())) {
                        LeftOut::Content { chunks, chunks_healthy, size } => {
                            (item.chunks, item.chunks_healthy, item.size) = (chunks, chunks_healthy, size);
                            item.source = None;
                        }
                        LeftOut::RestoredAs(path) => {
                            item.source = Some(path.clone());
                            *left_out = LeftOut::RestoredAs(path);
                        }
                    }
                }
            }
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::ChunkId;

    use super::*;

    fn master(path: &str) -> Item {
        let chunks = vec![ChunkRef { id: ChunkId([1; 32]), size: 3, csize: 4 }];
        Item {
            path: path.into(),
            mode: 0o100_644,
            hardlink_master: Some(true),
            size: Some(3),
            chunks: Some(chunks),
            ..Item::default()
        }
    }

    fn slave(path: &str, master: &str) -> Item {
        Item { path: path.into(), mode: 0o100_644, source: Some(master.into()), ..Item::default() }
    }

    #[test]
    fn where_the_first_is_wanted_nothing_changes() {
        let mut links = HardLinks::default();
        assert_eq!(links.resolve(master("a"), true), Some(master("a")));
        assert_eq!(links.resolve(slave("b", "a"), true), Some(slave("b", "a")));
        assert_eq!(links.resolve(slave("c", "a"), false), None);
    }

    #[test]
    fn the_first_wanted_link_takes_the_place_of_the_first() {
        let mut links = HardLinks::default();
        assert_eq!(links.resolve(master("a"), false), None);
        assert_eq!(links.resolve(slave("b", "a"), false), None);
        let Item { chunks, size, .. } = master("a");
        assert_eq!(links.resolve(slave("c", "a"), true), Some(Item { chunks, size, source: None, ..slave("c", "a") }));
        assert_eq!(links.resolve(slave("d", "a"), true), Some(slave("d", "c")));
        assert_eq!(links.resolve(slave("e", "a"), true), Some(slave("e", "c")));
    }

    #[test]
    fn a_symlinks_target_is_no_link() {
        let symlink = Item { path: b"s".into(), mode: 0o120_777, source: Some(b"a".into()), ..Item::default() };
        let mut links = HardLinks::default();
        assert_eq!(links.resolve(master("a"), false), None);
        assert_eq!(links.resolve(symlink.clone(), true), Some(symlink));
    }

    #[test]
    fn only_files_that_may_have_links_are_remembered() {
        let mut links = HardLinks::default();
        links.resolve(Item { hardlink_master: Some(false), ..master("a") }, false);
        links.resolve(Item { mode: 0o040_755, ..master("b") }, false);
        assert!(links.left_out.is_empty());
        links.resolve(Item { hardlink_master: None, ..master("c") }, false);
        assert_eq!(links.left_out.len(), 1);
    }
}
