//! Which chunks the repository holds, how large they are, and how often archives refer to them.
//!
//! A chunk that no archive refers to any more is deleted, so the counts must be exact: they are taken over all items
//! of all archives, the chunks of the item streams and the archive objects themselves. The stored index is valid for
//! one manifest only; when somebody else has written since, it is made anew from the archives.
//!
//! An archive that cannot be read leaves it partial: what that archive refers to is not counted. New archives may refer to
//! what a partial index has, but nothing is deleted on its word.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use worldkeeper_archive::{ArchiveName, ChunkRef};
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};
use worldkeeper_crypto::Key;

use crate::state::{RepositoryState, StateError};

const NAME: &str = "chunks";
/// Of the stored form.
const VERSION: u64 = 2;
/// id, references, size, csize; the numbers little-endian.
const RECORD_LEN: usize = 32 + 4 + 4 + 4;

/// What is known of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkEntry {
    /// How many references all archives hold.
    pub references: u32,
    /// Bytes of plaintext.
    pub size: u32,
    /// Bytes of the stored object.
    pub csize: u32,
}

/// The chunks of a repository.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkIndex {
    entries: HashMap<ChunkId, ChunkEntry, BuildHasherDefault<IdHasher>>,
    /// Referred to, but not in the repository: damage that a later create of the same content heals.
    missing: HashSet<ChunkId>,
    /// Archives whose references are not counted, or not all of them.
    unread: BTreeSet<ArchiveName>,
}

impl ChunkIndex {
    /// The chunk, if it is there to be referred to.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<&ChunkEntry> {
        self.entries.get(id).filter(|_| self.missing.is_empty() || !self.missing.contains(id))
    }

    /// Returns whether archives refer to nothing.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Counts one reference more. Sizes that are known stay as they are: one id has one size.
    pub(crate) fn reference(&mut self, chunk: &ChunkRef) {
        let new = ChunkEntry { references: 0, size: chunk.size, csize: chunk.csize };
        let entry = self.entries.entry(chunk.id).or_insert(new);
        // A csize of 0 means "unknown" and comes from clients that ran without a cache.
        if entry.csize == 0 {
            entry.csize = chunk.csize;
        }
        entry.references = entry.references.saturating_add(1);
    }

    /// Returns whether nobody refers to a chunk. Of a partial index nobody knows that.
    pub(crate) fn is_needless(&self, id: &ChunkId) -> bool {
        self.get(id).is_none() && self.unread.is_empty()
    }

    /// Says that an archive cannot be read, and what it refers to is not known.
    pub(crate) fn leave_out(&mut self, archive: ArchiveName) {
        self.unread.insert(archive);
    }

    /// The archives that it knows nothing of. While there are any, it is partial.
    pub(crate) fn unread(&self) -> &BTreeSet<ArchiveName> {
        &self.unread
    }

    /// Counts one reference less; returns whether it was the last one and the chunk is to be deleted.
    ///
    /// A count that ran into its upper limit is not known any more; such a chunk stays for ever, as in borg. And while
    /// the index is partial, none is deleted.
    pub(crate) fn release(&mut self, id: &ChunkId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        if entry.references == u32::MAX {
            return false;
        }
        entry.references -= 1;
        if entry.references > 0 {
            return false;
        }
        self.entries.remove(id);
        !self.missing.remove(id) && self.unread.is_empty()
    }

    /// Says that a missing chunk has been stored again.
    pub(crate) fn heal(&mut self, id: &ChunkId, csize: u32) {
        if self.missing.remove(id)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.csize = csize;
        }
    }

    /// Compares with what the repository holds; returns how many chunks it lacks.
    pub(crate) fn compare_with(&mut self, present: &HashSet<ChunkId>) -> usize {
        self.missing = self.entries.keys().filter(|id| !present.contains(*id)).copied().collect();
        self.missing.len()
    }

    /// The present chunks whose stored size no archive tells.
    pub(crate) fn without_csize(&self) -> Vec<ChunkId> {
        let unknown = |(id, entry): &(&ChunkId, &ChunkEntry)| entry.csize == 0 && !self.missing.contains(*id);
        self.entries.iter().filter(unknown).map(|(id, _)| *id).collect()
    }

    /// Fills in a stored size that no archive told.
    pub(crate) fn set_csize(&mut self, id: &ChunkId, csize: u32) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.csize = csize;
        }
    }

    /// Loads the index that was stored for the manifest with this id. `Err` says why it cannot be used.
    pub(crate) fn load(state: &RepositoryState, key: &Key, manifest: ChunkId) -> Result<Option<Self>, String> {
        let Some(body) = super::load(state, NAME, key)? else { return Ok(None) };
        Self::decode(&body, manifest).map_err(|error| error.to_string())
    }

    /// Stores the index as that of the manifest with this id. One with missing chunks is not stored, so that the
    /// next run compares again.
    pub(crate) fn store(&self, state: &RepositoryState, key: &Key, manifest: ChunkId) -> Result<(), StateError> {
        if !self.missing.is_empty() {
            return Ok(());
        }
        let mut records = Vec::with_capacity(self.entries.len() * RECORD_LEN);
        for (id, entry) in &self.entries {
            records.extend_from_slice(&id.0);
            records.extend_from_slice(&entry.references.to_le_bytes());
            records.extend_from_slice(&entry.size.to_le_bytes());
            records.extend_from_slice(&entry.csize.to_le_bytes());
        }
        let mut encoder = Encoder::new();
        encoder.array(4).uint(VERSION).raw(manifest.0).array(self.unread.len());
        for archive in &self.unread {
            encoder.raw(archive.as_bytes());
        }
        encoder.raw(&records);
        super::store(state, NAME, key, &encoder.finish())
    }

    /// Removes the stored index.
    pub(crate) fn remove(state: &RepositoryState) -> Result<(), StateError> {
        state.remove(NAME)
    }

    fn decode(body: &[u8], manifest: ChunkId) -> Result<Option<Self>, DecodeError> {
        let mut decoder = Decoder::new(body);
        decoder.array()?;
        if decoder.int()? != VERSION.into() || decoder.raw_array()? != manifest.0 {
            return Ok(None);
        }
        let mut unread = BTreeSet::new();
        for _ in 0..decoder.array()? {
            unread.insert(ArchiveName::from_bytes(decoder.raw()?));
        }
        let records = decoder.raw()?;
        decoder.finish()?;
        let word = |record: &[u8], at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
        let mut entries = HashMap::with_capacity_and_hasher(records.len() / RECORD_LEN, BuildHasherDefault::default());
        for record in records.chunks_exact(RECORD_LEN) {
            let id = ChunkId(record[..32].try_into().expect("32 bytes"));
            let entry = ChunkEntry { references: word(record, 32), size: word(record, 36), csize: word(record, 40) };
            entries.insert(id, entry);
        }
        Ok(Some(Self { entries, missing: HashSet::new(), unread }))
    }
}

/// Ids are hashes already; eight bytes of them spread as well as any hash of them would.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // An array's length is written too, as a usize; the bytes themselves come in one piece.
        if let Some(word) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*word);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: u8) -> ChunkRef {
        ChunkRef { id: ChunkId([name; 32]), size: 100, csize: 50 }
    }

    #[test]
    fn a_chunk_goes_with_its_last_reference() {
        let mut index = ChunkIndex::default();
        index.reference(&chunk(1));
        index.reference(&chunk(1));
        assert!(!index.release(&chunk(1).id));
        assert!(index.release(&chunk(1).id));
        assert!(!index.release(&chunk(1).id), "it is gone");
        assert!(index.is_empty());
    }

    #[test]
    fn a_missing_chunk_cannot_be_referred_to_until_it_is_stored_again() {
        let mut index = ChunkIndex::default();
        index.reference(&chunk(1));
        assert_eq!(index.compare_with(&HashSet::new()), 1);
        assert_eq!(index.get(&chunk(1).id), None);
        index.heal(&chunk(1).id, 60);
        assert_eq!(index.get(&chunk(1).id), Some(&ChunkEntry { references: 1, size: 100, csize: 60 }));
    }

    #[test]
    fn a_missing_chunk_is_not_deleted() {
        let mut index = ChunkIndex::default();
        index.reference(&chunk(1));
        index.compare_with(&HashSet::new());
        assert!(!index.release(&chunk(1).id), "there is nothing to delete");
    }

    #[test]
    fn nothing_is_deleted_on_the_word_of_a_partial_index() {
        let mut index = ChunkIndex::default();
        index.reference(&chunk(1));
        assert!(index.is_needless(&chunk(2).id));
        index.leave_out(ArchiveName::from_bytes("a"));
        assert!(!index.release(&chunk(1).id) && index.get(&chunk(1).id).is_none(), "it is not counted any more");
        assert!(!index.is_needless(&chunk(1).id) && !index.is_needless(&chunk(2).id));
    }

    #[test]
    fn a_saturated_count_never_deletes() {
        let mut index = ChunkIndex::default();
        index.entries.insert(chunk(1).id, ChunkEntry { references: u32::MAX, size: 1, csize: 1 });
        index.reference(&chunk(1));
        assert!(!index.release(&chunk(1).id));
        assert_eq!(index.get(&chunk(1).id).unwrap().references, u32::MAX);
    }
}
