//! Hard links, when paths lose their first components and several items come to the same place.
//!
//! The later item replaces the earlier one. If that was the first of several links, its path is another file's by then,
//! and a further link must not be made to it: it brings the content along once more. Stock links whatever is there.

use std::collections::HashMap;

use worldkeeper_archive::{ChunkRef, Item};

use crate::paths::strip_components;
use crate::restore::is_linkable;

/// Takes the first components away, item after item in archive order.
pub(super) struct Stripper {
    count: usize,
    /// Items that may have further links, by the path they have in the archive.
    firsts: HashMap<Vec<u8>, First>,
    /// Which of them is at a path that is left.
    places: HashMap<Vec<u8>, Vec<u8>>,
}

/// What several links have in common.
struct First {
    chunks: Option<Vec<ChunkRef>>,
    chunks_healthy: Option<Vec<ChunkRef>>,
    size: Option<u64>,
    /// The path of the link that is there; none, if another item has replaced it.
    place: Option<Vec<u8>>,
}

impl Stripper {
    /// Takes `count` components away.
    pub(super) fn new(count: usize) -> Self {
        Self { count, firsts: HashMap::new(), places: HashMap::new() }
    }

    /// Returns whether anything is left of a path.
    pub(super) fn leaves(&self, path: &[u8]) -> bool {
        !strip_components(path, self.count).is_empty()
    }

    /// An item under the path that is left of its own, as a link to what is still there or with the content; nothing, if
    /// it is there already. To be called for every item that is restored; a link refers to one of these.
    pub(super) fn strip(&mut self, mut item: Item) -> Option<Item> {
        if self.count == 0 {
            return Some(item);
        }
        let path = strip_components(&item.path, self.count).to_vec();
        let stored = std::mem::replace(&mut item.path, path);
        let first = match &item.source {
            _ if !is_linkable(item.mode) => None,
            Some(first) => Some(first.clone()),
            // Old borg did not say which items have further links.
            None => (item.hardlink_master != Some(false)).then_some(stored),
        };
        self.replace(&item.path, first.as_deref());
        if let Some(first) = first {
            self.link(&mut item, first);
            if item.source.as_ref() == Some(&item.path) {
                return None;
            }
        }
        Some(item)
    }

    /// Forgets what was at `path`, unless it is a link of the same file.
    fn replace(&mut self, path: &[u8], by: Option<&[u8]>) {
        if self.places.get(path).is_some_and(|first| Some(first.as_slice()) != by) {
            let replaced = self.places.remove(path).and_then(|first| self.firsts.get_mut(&first));
            replaced.expect("what has a place is known").place = None;
        }
    }

    fn link(&mut self, item: &mut Item, first: Vec<u8>) {
        let Some(source) = &mut item.source else {
            let (chunks, chunks_healthy) = (item.chunks.clone(), item.chunks_healthy.clone());
            let content = First { chunks, chunks_healthy, size: item.size, place: Some(item.path.clone()) };
            self.places.insert(item.path.clone(), first.clone());
            self.firsts.insert(first, content);
            return;
        };
        match self.firsts.get_mut(&first) {
            Some(First { place: Some(place), .. }) => source.clone_from(place),
            Some(lost) => {
                item.source = None;
                (item.chunks, item.chunks_healthy) = (lost.chunks.clone(), lost.chunks_healthy.clone());
                item.size = lost.size;
                lost.place = Some(item.path.clone());
                self.places.insert(item.path.clone(), first);
            }
            // No borg wrote that. It leads nowhere, which is told when the link is made.
            None => *source = strip_components(source, self.count).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::ChunkId;

    use super::*;

    /// A file, the number of its content (of a further link, none), and what it is a link to.
    type File = (&'static str, u8, &'static str);

    fn item((path, content, source): File) -> Item {
        let chunk = ChunkRef { id: ChunkId([content; 32]), size: 3, csize: 4 };
        Item {
            path: path.into(),
            mode: 0o100_644,
            source: (!source.is_empty()).then(|| source.into()),
            chunks: (content != 0).then(|| vec![chunk]),
            size: (content != 0).then_some(3),
            ..Item::default()
        }
    }

    #[track_caller]
    fn stripped<const N: usize, const M: usize>(stored: [File; N], expected: [File; M]) {
        let mut stripper = Stripper::new(1);
        let found: Vec<_> = stored.into_iter().filter_map(|file| stripper.strip(item(file))).collect();
        assert_eq!(found, expected.map(item));
    }

    #[test]
    fn a_link_refers_to_what_is_left_of_its_first() {
        stripped([("a/x", 1, ""), ("a/y", 0, "a/x"), ("b/x/z", 2, "")], [("x", 1, ""), ("y", 0, "x"), ("x/z", 2, "")]);
    }

    #[test]
    fn where_the_first_was_replaced_the_content_comes_again_once() {
        stripped(
            [("a/x", 1, ""), ("b/x", 2, ""), ("c/y", 0, "a/x"), ("c/z", 0, "a/x"), ("c/x2", 0, "b/x")],
            [("x", 1, ""), ("x", 2, ""), ("y", 1, ""), ("z", 0, "y"), ("x2", 0, "x")],
        );
    }

    /// The link that took the first one's place may be replaced in its turn, also by a link of another file.
    #[test]
    fn whatever_is_replaced_is_no_longer_linked_to() {
        stripped(
            [("a/x", 1, ""), ("a/y", 2, ""), ("b/x", 0, "a/y"), ("b/z", 0, "a/x"), ("c/z", 3, ""), ("d/w", 0, "a/x")],
            [("x", 1, ""), ("y", 2, ""), ("x", 0, "y"), ("z", 1, ""), ("z", 3, ""), ("w", 1, "")],
        );
    }

    #[test]
    fn links_of_one_file_at_one_path_are_one() {
        stripped([("a/x", 1, ""), ("b/x", 0, "a/x"), ("c/y", 0, "a/x")], [("x", 1, ""), ("y", 0, "x")]);
    }

    #[test]
    fn a_directory_in_its_place_replaces_a_file_too_and_a_symlinks_target_is_no_link() {
        let mut stripper = Stripper::new(1);
        let _ = stripper.strip(item(("a/x", 1, "")));
        let directory = Item { mode: 0o040_755, ..item(("b/x", 0, "")) };
        assert_eq!(stripper.strip(directory), Some(Item { mode: 0o040_755, ..item(("x", 0, "")) }));
        assert_eq!(stripper.strip(item(("c/y", 0, "a/x"))), Some(item(("y", 1, ""))));
        let symlink = Item { mode: 0o120_777, ..item(("c/s", 0, "a/x")) };
        assert_eq!(stripper.strip(symlink.clone()), Some(Item { path: b"s".into(), ..symlink }));
    }

    /// Only what may have further links is kept in memory.
    #[test]
    fn what_has_no_further_links_is_not_remembered() {
        let mut stripper = Stripper::new(1);
        let _ = stripper.strip(Item { hardlink_master: Some(false), ..item(("a/x", 1, "")) });
        assert!(stripper.firsts.is_empty() && stripper.places.is_empty());
        let mut nothing = Stripper::new(0);
        assert_eq!(nothing.strip(item(("a/x", 1, ""))), Some(item(("a/x", 1, ""))));
        assert!(nothing.firsts.is_empty());
    }
}
