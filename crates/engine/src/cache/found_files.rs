//! What a new archive finds of files, beside the cache of the last one.
//!
//! Of files that did not change it marks only the place in that cache; what changed it has in a list.

use worldkeeper_core::{ChunkId, DiskError};
use worldkeeper_crypto::Key;

use super::files::{Bare, FileList, FilesCache, KIND, Look, PathKey, name};
use super::stored::{self, CacheWriter};
use crate::state::{RepositoryState, StateError};

/// Becomes the files cache when the archive is done.
#[derive(Debug, Default)]
pub(crate) struct FoundFiles {
    /// By number in the last cache, what became of a file; nothing is known yet of those behind the end.
    marks: Vec<Mark>,
    changed: FileList,
}

/// What became of a file that the last cache has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    NotSeen,
    Unchanged,
    Changed,
}

impl FoundFiles {
    /// Remembers that the file with this number is as it was.
    pub(crate) fn unchanged(&mut self, number: u32) {
        self.mark(number, Mark::Unchanged);
    }

    /// Remembers a file that is new or not what it was in the `last` cache.
    pub(crate) fn changed(
        &mut self,
        last: &FilesCache,
        key: PathKey,
        look: Look,
        bare: Bare,
        chunks: impl IntoIterator<Item = ChunkId>,
    ) {
        if let Some(number) = last.number(&key) {
            self.mark(number, Mark::Changed);
        }
        self.changed.push(key, look, bare, chunks);
    }

    /// Stores what was found as the cache of a series; `last` is what numbers mean, and what is stored. If all is as it
    /// was, so is that.
    pub(crate) fn store(
        &self,
        last: &FilesCache,
        state: &RepositoryState,
        key: &Key,
        series: &str,
    ) -> Result<(), StateError> {
        if self.is_all_of(last) {
            return Ok(());
        }
        self.store_with(last, |mark| mark == Mark::Unchanged, state, key, series)
    }

    /// Stores what was found so far, and what `last` knows of other files.
    pub(crate) fn store_over(
        &self,
        last: &FilesCache,
        state: &RepositoryState,
        key: &Key,
        series: &str,
    ) -> Result<(), StateError> {
        self.store_with(last, |mark| mark != Mark::Changed, state, key, series)
    }

    /// Returns whether every file is as it was, and there is no other; a cache of no files may be one that was lost.
    fn is_all_of(&self, last: &FilesCache) -> bool {
        let unchanged = self.marks.iter().filter(|mark| **mark == Mark::Unchanged).count();
        unchanged > 0 && unchanged == last.files().len() && self.changed.len() == 0
    }

    fn store_with(
        &self,
        last: &FilesCache,
        is_kept: impl Fn(Mark) -> bool,
        state: &RepositoryState,
        key: &Key,
        series: &str,
    ) -> Result<(), StateError> {
        let marks = self.marks.iter().copied().chain(std::iter::repeat(Mark::NotSeen));
        let kept = last.files().iter().zip(marks).filter(|(_, mark)| is_kept(*mark)).map(|(file, _)| file);
        let write = |writer: &mut CacheWriter<'_>| -> Result<(), DiskError> {
            for file in kept {
                last.files().write(file, writer)?;
            }
            self.changed.iter().try_for_each(|file| self.changed.write(file, writer))
        };
        stored::store(state, &name(key, series), key, KIND, write)
    }

    fn mark(&mut self, number: u32, mark: Mark) {
        let number = number as usize;
        if self.marks.len() <= number {
            self.marks.resize(number + 1, Mark::NotSeen);
        }
        self.marks[number] = mark;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use worldkeeper_core::RepositoryId;
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::super::next::Next;
    use super::*;
    use crate::state::StateDir;

    fn look(inode: u64) -> Look {
        Look { inode, size: 3, ctime_ns: -1 }
    }

    fn unchanged(cache: &FilesCache, number: u8, look: Look) -> Option<(u32, Bare, Vec<ChunkId>)> {
        let (number, bare, chunks) = cache.unchanged(&[number; 16], look, &mut Next::default())?;
        Some((number, bare, chunks.copied().collect()))
    }

    #[test]
    fn a_whole_archive_says_what_is_there_and_one_that_was_cut_off_says_it_of_what_it_saw() {
        let state_dir = StateDir::open(Arc::new(MemoryDisk::new()), Path::new("/state"), "test").unwrap();
        let (state, key) = (state_dir.repository(RepositoryId([7; 32])), Key::plaintext());
        let chunk = |number: u8| std::iter::once(ChunkId([number; 32]));
        let mut first = FoundFiles::default();
        for number in 0..10 {
            let bare = if number == 3 { Bare::Wholly } else { Bare::No };
            first.changed(&FilesCache::default(), [number; 16], look(number.into()), bare, chunk(number));
        }
        first.store(&FilesCache::default(), &state, &key, "world").unwrap();
        let last = FilesCache::load(&state, &key, "world").unwrap();
        let mut found = FoundFiles::default();
        found.unchanged(unchanged(&last, 3, look(3)).unwrap().0);
        for number in [4, 20] {
            found.changed(&last, [number; 16], look(100), Bare::AsFarAsShown, chunk(100));
        }
        let looks = || {
            let cache = FilesCache::load(&state, &key, "world").unwrap();
            let look = |number| (0..=100).find(|inode| unchanged(&cache, number, look(*inode)).is_some());
            let looks: Vec<_> = (0..30).filter_map(|number| Some((number, look(number)?))).collect();
            for (number, inode) in &looks {
                let (_, bare, chunks) = unchanged(&cache, *number, self::look(*inode)).unwrap();
                let expected = [(3, Bare::Wholly), (100, Bare::AsFarAsShown)].into_iter().find(|(it, _)| it == inode);
                assert_eq!(bare, expected.map_or(Bare::No, |(_, bare)| bare));
                assert_eq!(chunks, [ChunkId([*inode as u8; 32])]);
            }
            assert_eq!(cache.files().iter().count(), looks.len());
            looks
        };
        found.store(&last, &state, &key, "world").unwrap();
        assert_eq!(looks(), [(3, 3), (4, 100), (20, 100)]);
        found.store_over(&last, &state, &key, "world").unwrap();
        let all = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 100), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (20, 100)];
        assert_eq!(looks(), all);

        let last = FilesCache::load(&state, &key, "world").unwrap();
        let mut found = FoundFiles::default();
        for (number, inode) in all {
            found.unchanged(unchanged(&last, number, look(inode)).unwrap().0);
        }
        state.remove(&name(&key, "world")).unwrap();
        found.store(&last, &state, &key, "world").unwrap();
        assert_eq!(looks(), [], "what is as it was is not stored again");
        found.changed(&last, [21; 16], look(3), Bare::Wholly, chunk(3));
        found.store(&last, &state, &key, "world").unwrap();
        assert_eq!(looks().len(), 12);
        assert!(!FilesCache::load(&state, &key, "another").unwrap().contains(&[3; 16]));
    }
}
