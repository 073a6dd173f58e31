//! Which item each place was given to, when paths lose their first components: only the last of several stays there.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use worldkeeper_archive::Item;

use crate::restore::is_directory;

/// An item whose place went to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// As in the archive.
    pub path: Vec<u8>,
    /// The other one, as in the archive.
    pub by: Vec<u8>,
}

/// Remembers what came to which place.
#[derive(Default)]
pub(super) struct Places {
    hasher: RandomState,
    /// What paths have lost, by its number.
    heads: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, usize>,
    /// Of the hash of each place, the number of what its path has lost: of a million, the paths themselves would take a hundred
    /// megabytes beside a game.
    taken: HashMap<u64, usize>,
}

impl Places {
    /// Gives an item, which the archive has at `stored`, the place that is its path now. Returns what was there before.
    /// Directories share theirs.
    pub(super) fn give(&mut self, item: &Item, stored: &[u8]) -> Option<Replaced> {
        let head = stored.strip_suffix(item.path.as_slice()).filter(|_| !is_directory(item.mode))?;
        let number = self.number(head);
        let before = self.taken.insert(self.hasher.hash_one(&item.path[..]), number)?;
        let path = || [self.heads[before].as_slice(), &item.path].concat();
        (before != number).then(|| Replaced { path: path(), by: stored.to_vec() })
    }

    fn number(&mut self, head: &[u8]) -> usize {
        if let Some(number) = self.numbers.get(head) {
            return *number;
        }
        let number = self.heads.len();
        self.heads.push(head.to_vec());
        self.numbers.insert(head.to_vec(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_item_at_the_same_place_has_lost_it() {
        let mut places = Places::default();
        let mut give = |stored: &str, left: &str, mode| {
            let item = Item { path: left.into(), mode, ..Item::default() };
            places.give(&item, stored.as_bytes())
        };
        assert_eq!(give("data/world/level.dat", "level.dat", 0o100_644), None);
        assert_eq!(give("data/world/level.dat", "level.dat", 0o100_644), None, "it is the same");
        assert_eq!(give("data/world/icon.png", "icon.png", 0o100_644), None);
        let (path, by) = (b"data/world/level.dat".to_vec(), b"data/world_nether/level.dat".to_vec());
        assert_eq!(give("data/world_nether/level.dat", "level.dat", 0o100_644), Some(Replaced { path, by }));
        assert_eq!(give("data/world/region", "region", 0o040_755), None);
        assert_eq!(give("data/world_nether/region", "region", 0o040_755), None, "one directory holds what is in both");
    }
}
