//! What each file looked like last time, so that an unchanged one is not opened.
//!
//! A file is taken as unchanged when its inode, size and ctime are what they were, as in borg: mtime can be put back,
//! ctime cannot. A file that changed so shortly before it was read that a second change could have carried the same
//! ctime is not remembered.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};
use worldkeeper_crypto::Key;

use super::chunk_index::IdHasher;
use crate::state::{RepositoryState, StateError};

/// Finds a file again: half of the id hash of its path in the archive.
pub(crate) type PathKey = [u8; 16];

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedFile {
    /// Its inode number.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its ctime, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Its content.
    pub chunks: Box<[ChunkId]>,
}

/// The files of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilesCache {
    files: HashMap<PathKey, CachedFile, BuildHasherDefault<IdHasher>>,
}

impl FilesCache {
    /// The key of a path.
    pub(crate) fn key_of(key: &Key, path: &[u8]) -> PathKey {
        *key.id_hash(path).0.first_chunk().expect("an id is longer")
    }

    /// The file as it was, if it is still that.
    pub(crate) fn unchanged(&self, path: &PathKey, inode: u64, size: u64, ctime_ns: i64) -> Option<&CachedFile> {
        let same = |file: &&CachedFile| file.inode == inode && file.size == size && file.ctime_ns == ctime_ns;
        self.files.get(path).filter(same)
    }

    /// Returns whether the file was there at all.
    pub(crate) fn contains(&self, path: &PathKey) -> bool {
        self.files.contains_key(path)
    }

    /// Remembers a file.
    pub(crate) fn insert(&mut self, path: PathKey, file: CachedFile) {
        self.files.insert(path, file);
    }

    /// Loads the cache of a series. `Err` says why it cannot be used.
    pub(crate) fn load(state: &RepositoryState, key: &Key, series: &str) -> Result<Self, String> {
        let Some(body) = super::load(state, &name(key, series), key)? else { return Ok(Self::default()) };
        Self::decode(&body).map_err(|error| error.to_string())
    }

    /// Stores the cache of a series.
    pub(crate) fn store(&self, state: &RepositoryState, key: &Key, series: &str) -> Result<(), StateError> {
        self.store_over(&Self::default(), state, key, series)
    }

    /// Stores the cache with what an older one knows of other files.
    pub(crate) fn store_over(
        &self,
        older: &Self,
        state: &RepositoryState,
        key: &Key,
        series: &str,
    ) -> Result<(), StateError> {
        let others = older.files.iter().filter(|(path, _)| !self.files.contains_key(*path));
        let mut encoder = Encoder::new();
        encoder.array(2).uint(1).map(self.files.len() + others.clone().count());
        let mut ids = Vec::new();
        for (path, file) in self.files.iter().chain(others) {
            ids.clear();
            file.chunks.iter().for_each(|id| ids.extend_from_slice(&id.0));
            encoder.raw(path).array(4).uint(file.inode).uint(file.size).int(file.ctime_ns).raw(&ids);
        }
        super::store(state, &name(key, series), key, &encoder.finish())
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(body);
        decoder.array()?;
        if decoder.int()? != 1 {
            return Ok(Self::default());
        }
        let count = decoder.map()?;
        let mut files = HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default());
        for _ in 0..count {
            let path = decoder.raw_array()?;
            decoder.array()?;
            let (inode, size, ctime_ns) = (decoder.int_as()?, decoder.int_as()?, decoder.int_as()?);
            let (ids, _) = decoder.raw()?.as_chunks();
            files
                .insert(path, CachedFile { inode, size, ctime_ns, chunks: ids.iter().copied().map(ChunkId).collect() });
        }
        Ok(Self { files })
    }
}

/// Series names may hold what file names may not, and be longer.
fn name(key: &Key, series: &str) -> String {
    format!("files-{}", hex::encode(FilesCache::key_of(key, series.as_bytes())))
}
