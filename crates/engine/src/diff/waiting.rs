//! Items that wait for one of the same path, in the order in which they came.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use worldkeeper_archive::Item;

/// Items that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    items: BTreeMap<u64, Rc<Item>>,
    numbers: HashMap<Vec<u8>, u64>,
    next: u64,
}

impl Waiting {
    /// Has an item wait. Of two with one path, the later takes the place of the earlier.
    pub(super) fn put(&mut self, item: Rc<Item>) {
        let number = *self.numbers.entry(item.path.clone()).or_insert(self.next);
        self.next += 1;
        self.items.insert(number, item);
    }

    /// Takes the item of that path, if it waits.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Rc<Item>> {
        self.items.remove(&self.numbers.remove(path)?)
    }

    /// Those that still wait.
    pub(super) fn into_items(self) -> impl Iterator<Item = Rc<Item>> {
        self.items.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_taken_comes_out_in_order() {
        let mut waiting = Waiting::default();
        for path in ["b", "a", "c", "a"] {
            waiting.put(Rc::new(Item { path: path.into(), ..Item::default() }));
        }
        assert_eq!(waiting.take(b"b").unwrap().path, b"b");
        assert!(waiting.take(b"b").is_none());
        let paths: Vec<_> = waiting.into_items().map(|item| item.path.clone()).collect();
        assert_eq!(paths, [b"a", b"c"]);
    }
}
