//! What each file looked like last time, so that an unchanged one is not opened.
//!
//! A file is taken as unchanged when its inode, size and ctime are what they were, as in borg: mtime can be put back,
//! ctime cannot. A file that changed so shortly before it was read that a second change could have carried the same
//! ctime is not remembered.
//!
//! Of a file without extended attributes and ACLs that is remembered, too: it need not be asked for them again where a
//! change of them shows in ctime.
//!
//! The stored form is, for each file:
//!
//! | bytes  | field    | meaning                                  |
//! |--------|----------|------------------------------------------|
//! | 0..16  | key      | [`PathKey`]                              |
//! | 16..24 | inode    | u64                                      |
//! | 24..32 | size     | u64, bytes                               |
//! | 32..40 | ctime    | i64, nanoseconds since 1970              |
//! | 40     | bare     | u8, [`Bare`]                             |
//! | 41..45 | chunks   | u32, how many                            |
//! | 45..   | ids      | 32 bytes for each chunk                  |
//!
//! Where a file is there twice, the later one counts.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use worldkeeper_core::{ChunkId, DiskError, Pieces};
use worldkeeper_crypto::Key;

use super::id_hasher::hash;
use super::next::Next;
use super::stored::{self, CacheReader, CacheWriter, Kind};
use crate::state::RepositoryState;

/// With the number of the form.
pub(super) const KIND: Kind = *b"WKFILES4";

/// Finds a file again: half of the id hash of its path in the archive.
pub(crate) type PathKey = [u8; 16];

/// What a file looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Its inode number.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its ctime, nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl Look {
    /// What no file looks like that looked like this: how it was cut is known, and it is read again.
    pub(crate) fn of_none(self) -> Self {
        Self { inode: !self.inode, ..self }
    }
}

/// Whether a file was seen to have no extended attributes and no ACLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bare {
    /// It has some, or may have.
    No,
    /// It has none that are shown to those who are not `CAP_SYS_ADMIN`.
    AsFarAsShown,
    /// It has none.
    Wholly,
}

impl Bare {
    fn from_u8(byte: u8) -> Option<Self> {
        [Self::No, Self::AsFarAsShown, Self::Wholly].into_iter().find(|bare| *bare as u8 == byte)
    }
}

/// The files of one series as the last archive found them.
#[derive(Debug, Default)]
pub(crate) struct FilesCache {
    files: FileList,
    /// Numbers of files, by their keys.
    numbers: HashTable<u32>,
}

/// Files and their chunks.
#[derive(Debug, Default)]
pub(super) struct FileList {
    files: Pieces<CachedFile>,
    /// Of all files.
    chunks: Pieces<ChunkId>,
}

/// A file as it was.
#[derive(Debug)]
pub(super) struct CachedFile {
    pub key: PathKey,
    pub look: Look,
    bare: Bare,
    /// Its content: so many of all chunks, from here on.
    first_chunk: u32,
    chunk_count: u32,
}

impl FilesCache {
    /// The key of a path.
    pub(crate) fn key_of(key: &Key, path: &[u8]) -> PathKey {
        *key.id_hash(path).0.first_chunk().expect("an id is longer")
    }

    /// The number of the file, whether it is bare, and its chunks, if it looks as it did.
    pub(crate) fn unchanged(
        &self,
        key: &PathKey,
        look: Look,
        next: &mut Next,
    ) -> Option<(u32, Bare, impl Iterator<Item = &ChunkId> + use<'_>)> {
        let number = next.or_else(|number| self.is_only(number, key), || self.number(key))?;
        let file = &self.files.files[number as usize];
        (file.look == look).then(|| (number, file.bare, self.files.chunks_of(file)))
    }

    /// How the file looked, and its chunks, whatever it looks like now.
    pub(crate) fn last(&self, key: &PathKey) -> Option<(Look, impl Iterator<Item = &ChunkId> + use<'_>)> {
        let file = &self.files.files[self.number(key)? as usize];
        Some((file.look, self.files.chunks_of(file)))
    }

    /// Returns whether nothing is known of any file.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.len() == 0
    }

    /// Returns whether the file was there at all.
    pub(crate) fn contains(&self, key: &PathKey) -> bool {
        self.number(key).is_some()
    }

    /// Returns whether the file with this number has this key, and no other can have it.
    fn is_only(&self, number: u32, key: &PathKey) -> bool {
        self.numbers.len() == self.files.len()
            && self.files.files.get(number as usize).is_some_and(|file| file.key == *key)
    }

    /// The number of a file, however it looked.
    pub(super) fn number(&self, key: &PathKey) -> Option<u32> {
        self.numbers.find(hash(key), |number| self.files.files[*number as usize].key == *key).copied()
    }

    /// All files, by number.
    pub(super) fn files(&self) -> &FileList {
        &self.files
    }

    /// Loads the cache of a series. `Err` says why it cannot be used.
    pub(crate) fn load(state: &RepositoryState, key: &Key, series: &str) -> Result<Self, String> {
        let Some(mut reader) = stored::open(state, &name(key, series), key, KIND)? else { return Ok(Self::default()) };
        let mut files = FileList::default();
        while reader.left() > 0 {
            files.read(&mut reader)?;
        }
        reader.finish()?;
        Ok(Self::of(files))
    }

    pub(super) fn of(files: FileList) -> Self {
        let mut numbers = HashTable::with_capacity(files.files.len());
        let list = &files.files;
        for (number, file) in (0..).zip(list.iter()) {
            let is_it = |number: &u32| list[*number as usize].key == file.key;
            match numbers.entry(hash(&file.key), is_it, |number| hash(&list[*number as usize].key)) {
                Entry::Occupied(mut earlier) => *earlier.get_mut() = number,
                Entry::Vacant(place) => _ = place.insert(number),
            }
        }
        Self { files, numbers }
    }
}

impl FileList {
    pub(super) fn push(&mut self, key: PathKey, look: Look, bare: Bare, chunks: impl IntoIterator<Item = ChunkId>) {
        // More than four thousand million chunks are petabytes: what comes then is read again next time.
        let Ok(first_chunk) = u32::try_from(self.chunks.len()) else { return };
        if u32::try_from(self.files.len()).is_err() {
            return;
        }
        self.chunks.extend(chunks);
        let chunk_count = (self.chunks.len() - first_chunk as usize) as u32;
        self.files.push(CachedFile { key, look, bare, first_chunk, chunk_count });
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CachedFile> {
        self.files.iter()
    }

    pub(super) fn chunks_of(&self, file: &CachedFile) -> impl Iterator<Item = &ChunkId> {
        self.chunks.range(file.first_chunk as usize, file.chunk_count as usize)
    }

    pub(super) fn write(&self, file: &CachedFile, writer: &mut CacheWriter<'_>) -> Result<(), DiskError> {
        let Look { inode, size, ctime_ns } = file.look;
        writer.put(&file.key)?;
        writer.put(&inode.to_le_bytes())?;
        writer.put(&size.to_le_bytes())?;
        writer.put(&ctime_ns.to_le_bytes())?;
        writer.put(&[file.bare as u8])?;
        writer.put(&file.chunk_count.to_le_bytes())?;
        self.chunks_of(file).try_for_each(|id| writer.put(&id.0))
    }

    fn read(&mut self, reader: &mut CacheReader) -> Result<(), String> {
        let key = reader.array()?;
        let look = Look { inode: reader.u64()?, size: reader.u64()?, ctime_ns: reader.i64()? };
        let [bare] = reader.array()?;
        let bare = Bare::from_u8(bare).ok_or("a file in it is bare in an unknown way")?;
        let count = reader.u32()?;
        let first = self.chunks.len();
        for _ in 0..count {
            self.chunks.push(ChunkId(reader.array()?));
        }
        let first_chunk = u32::try_from(first).map_err(|_| "there are too many chunks in it")?;
        self.files.push(CachedFile { key, look, bare, first_chunk, chunk_count: count });
        Ok(())
    }
}

/// The name of the file: series names may hold what file names may not, and be longer.
pub(super) fn name(key: &Key, series: &str) -> String {
    format!("files-{}", hex::encode(FilesCache::key_of(key, series.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(inode: u64) -> Look {
        Look { inode, size: 3, ctime_ns: -1 }
    }

    #[test]
    fn a_file_is_found_only_as_it_was_and_the_later_look_counts() {
        let mut files = FileList::default();
        for number in 0..100 {
            let chunks = std::iter::repeat_n(ChunkId([number; 32]), number.into());
            files.push([number; 16], look(number.into()), Bare::No, chunks);
        }
        files.push([7; 16], look(200), Bare::Wholly, [ChunkId([1; 32])]);
        let cache = FilesCache::of(files);
        let mut next = Next::default();
        let mut unchanged = |key, look| {
            let (number, bare, chunks) = cache.unchanged(&key, look, &mut next)?;
            Some((number, bare, chunks.copied().collect::<Vec<_>>()))
        };
        assert_eq!(unchanged([8; 16], look(8)), Some((8, Bare::No, vec![ChunkId([8; 32]); 8])));
        assert_eq!(unchanged([8; 16], look(9)), None);
        let last = cache.last(&[8; 16]).map(|(look, chunks)| (look, chunks.count()));
        assert_eq!((last, cache.last(&[200; 16]).is_none()), (Some((look(8), 8)), true));
        assert_eq!(unchanged([7; 16], look(7)), None);
        assert_eq!(unchanged([7; 16], look(200)), Some((100, Bare::Wholly, vec![ChunkId([1; 32])])));
        assert_eq!(unchanged([0; 16], look(0)), Some((0, Bare::No, vec![])));
        assert!(cache.contains(&[99; 16]) && !cache.contains(&[100; 16]));
    }

    #[test]
    fn files_are_found_in_any_order_by_somebody_who_looks_for_the_next_one() {
        let mut files = FileList::default();
        (0..100).for_each(|number| files.push([number; 16], look(number.into()), Bare::No, [ChunkId([number; 32])]));
        let (cache, mut next) = (FilesCache::of(files), Next::default());
        for number in (0..120).chain(50..60).chain((0..100).rev()) {
            let found = cache.unchanged(&[number; 16], look(number.into()), &mut next);
            let found = found.map(|(number, _, chunks)| (number, chunks.copied().collect()));
            assert_eq!(found, (number < 100).then(|| (number.into(), vec![ChunkId([number; 32])])));
        }
    }
}
