//! Which items are wanted, and what of their paths is kept.

use worldkeeper_archive::Item;

use super::stripped::Stripper;
use super::taken::{Places, Replaced};
use crate::patterns::{PatternTooSlow, Selection};
use crate::restore::HardLinks;

/// Which items of an archive are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What patterns and paths mean.
    pub selection: Selection,
    /// Of these, only what is one of these paths or beneath it; all, if there are none.
    pub within: Vec<Vec<u8>>,
    /// How many leading components every path loses. What has no more than that is left out.
    pub strip_components: usize,
}

/// Goes through the items of an archive and selects.
///
/// Source: borg 1.4 `archiver.py`, `build_filter`, `do_extract`.
pub(super) struct Selector<'a> {
    wanted: &'a Wanted,
    links: HardLinks,
    stripper: Stripper,
    places: Places,
    replaced: Option<Replaced>,
}

impl<'a> Selector<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        let (links, places, replaced) = Default::default();
        Self { wanted, links, stripper: Stripper::new(wanted.strip_components), places, replaced }
    }

    /// What is to be done with an item: nothing, or that of a hard link that is whole without those that are not
    /// wanted, under the path that is left. To be asked for every item of the archive, in order.
    pub(super) fn select(&mut self, item: Item) -> Result<Option<Item>, PatternTooSlow> {
        // Part files of a checkpoint repeat what the whole file has.
        let selected = item.part.is_none()
            && self.is_within(&item.path)
            && self.wanted.selection.selects(&item.path)?
            && self.stripper.leaves(&item.path);
        let Some(item) = self.links.resolve(item, selected) else { return Ok(None) };
        if self.wanted.strip_components == 0 {
            return Ok(Some(item));
        }
        let stored = item.path.clone();
        let stripped = self.stripper.strip(item);
        self.replaced = stripped.as_ref().and_then(|item| self.places.give(item, &stored));
        Ok(stripped)
    }

    /// The item whose place goes to the one that was selected last, if there is one.
    pub(super) fn replaced(&mut self) -> Option<Replaced> {
        self.replaced.take()
    }

    fn is_within(&self, path: &[u8]) -> bool {
        let is_beneath =
            |outer: &Vec<u8>| path.strip_prefix(outer.as_slice()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        self.wanted.within.is_empty() || self.wanted.within.iter().any(is_beneath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripped_links_refer_to_what_is_left_of_their_first() {
        let file = |path: &str, source: Option<&str>| Item {
            path: path.into(),
            mode: 0o100_644,
            source: source.map(Into::into),
            ..Item::default()
        };
        let symlink = Item { mode: 0o120_777, ..file("a/b/s", Some("x/y/z")) };
        let items = [file("top", None), file("a/b/1", None), file("a/b/2", Some("a/b/1")), file("a/b/3", Some("top"))];
        let items = [items.as_slice(), &[symlink, file("a/b/4", Some("top"))]].concat();
        let wanted = Wanted { strip_components: 2, ..Wanted::default() };
        let mut selector = Selector::new(&wanted);
        let selected = items.into_iter().filter_map(|item| selector.select(item).unwrap());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let selected: Vec<_> = selected.map(|item| (text(item.path), item.source.map(text))).collect();
        let expected = [("1", None), ("2", Some("1")), ("3", None), ("s", Some("x/y/z")), ("4", Some("3"))];
        assert_eq!(selected, expected.map(|(path, source)| (path.to_owned(), source.map(str::to_owned))));
    }
}
