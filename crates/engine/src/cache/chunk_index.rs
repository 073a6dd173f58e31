//! Which chunks the repository holds, how large they are, and how often archives refer to them.
//!
//! A chunk that no archive refers to any more is deleted, so the counts must be exact: they are taken over all items
//! of all archives, the chunks of the item streams and the archive objects themselves. The stored index is valid for
//! one manifest only; when somebody else has written since, it is made anew from the archives. Where there are not as many
//! objects as there were then, as after a repair of the repository, what is there has to be compared with it.
//!
//! An archive that cannot be read leaves it partial: what that archive refers to is not counted. New archives may refer to
//! what a partial index has, but nothing is deleted on its word.
//!
//! The stored form is:
//!
//! | field          | bytes                | meaning                                                           |
//! |----------------|----------------------|-------------------------------------------------------------------|
//! | manifest       | 32                   | id hash of the manifest it is valid for                           |
//! | objects        | u64                  | how many there were in the repository                             |
//! | unread, count  | u32                  | archives that it knows nothing of                                 |
//! | unread, each   | u32, and as many     | the length of the name, and the name                              |
//! | chunks, to the end | 32, u32, u32, u32 | id, references, bytes of plaintext, bytes of the stored object   |

use std::array;
use std::collections::{BTreeSet, HashSet};

use worldkeeper_archive::{ArchiveName, ChunkRef};
use worldkeeper_core::{ChunkId, PIECE};
use worldkeeper_crypto::Key;

use super::chunk_table::{Chunk, ChunkTable};
use super::next::Next;
use super::stored::{self, Kind};
use crate::state::{RepositoryState, StateError};

const NAME: &str = "chunks";
/// With the number of the form.
const KIND: Kind = *b"WKCHUNK5";

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
#[derive(Debug, Default)]
pub(crate) struct ChunkIndex {
    chunks: ChunkTable,
    /// Referred to, but not in the repository: damage that a later create of the same content heals.
    missing: HashSet<ChunkId>,
    /// Archives whose references are not counted, or not all of them.
    unread: BTreeSet<ArchiveName>,
}

impl ChunkIndex {
    /// The chunk, if it is there to be referred to.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<&ChunkEntry> {
        self.present(id, self.chunks.get(id))
    }

    /// As [`get`](Self::get), for somebody who asks for most in the order in which they were stored.
    pub(crate) fn get_next(&self, id: &ChunkId, next: &mut Next) -> Option<&ChunkEntry> {
        self.present(id, self.chunks.get_next(id, next))
    }

    /// What is known of a chunk, if it is not missing.
    fn present<'a>(&self, id: &ChunkId, known: Option<&'a ChunkEntry>) -> Option<&'a ChunkEntry> {
        known.filter(|_| self.missing.is_empty() || !self.missing.contains(id))
    }

    /// All chunks that archives refer to, those that are missing too.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ChunkEntry> {
        self.chunks.iter().map(|chunk| &chunk.entry)
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Returns whether archives refer to nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts one reference more. Sizes that are known stay as they are: one id has one size.
    pub(crate) fn reference(&mut self, chunk: &ChunkRef) {
        let new = ChunkEntry { references: 0, size: chunk.size, csize: chunk.csize };
        let entry = self.chunks.get_or_insert(chunk.id, new);
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
        let Some(entry) = self.chunks.get_mut(id) else { return false };
        if entry.references == u32::MAX {
            return false;
        }
        entry.references -= 1;
        if entry.references > 0 {
            return false;
        }
        self.chunks.remove(id);
        !self.missing.remove(id) && self.unread.is_empty()
    }

    /// Says that a missing chunk has been stored again.
    pub(crate) fn heal(&mut self, id: &ChunkId, csize: u32) {
        if self.missing.remove(id)
            && let Some(entry) = self.chunks.get_mut(id)
        {
            entry.csize = csize;
        }
    }

    /// Compares with what the repository holds; returns how many chunks it lacks.
    pub(crate) fn compare_with(&mut self, present: &HashSet<ChunkId>) -> usize {
        self.missing = self.chunks.iter().map(|chunk| chunk.id).filter(|id| !present.contains(id)).collect();
        self.missing.len()
    }

    /// The present chunks whose stored size no archive tells.
    pub(crate) fn without_csize(&self) -> Vec<ChunkId> {
        let unknown = |chunk: &&Chunk| chunk.entry.csize == 0 && !self.missing.contains(&chunk.id);
        self.chunks.iter().filter(unknown).map(|chunk| chunk.id).collect()
    }

    /// Fills in a stored size that no archive told.
    pub(crate) fn set_csize(&mut self, id: &ChunkId, csize: u32) {
        if let Some(entry) = self.chunks.get_mut(id) {
            entry.csize = csize;
        }
    }

    /// Loads the index that was stored for the manifest with this id, and how many objects there were in the repository. `Err`
    /// says why it cannot be used.
    pub(crate) fn load(state: &RepositoryState, key: &Key, manifest: ChunkId) -> Result<Option<(Self, u64)>, String> {
        let Some(mut reader) = stored::open(state, NAME, key, KIND)? else { return Ok(None) };
        let valid_for = ChunkId(reader.array()?);
        if valid_for != manifest {
            return Ok(None);
        }
        let objects = u64::from_le_bytes(reader.array()?);
        let mut unread = BTreeSet::new();
        for _ in 0..reader.u32()? {
            let len = reader.u32()?;
            unread.insert(ArchiveName::from_bytes(reader.bytes(len)?));
        }
        let count = (reader.left() / CHUNK_LEN as u64) as usize;
        let chunks = ChunkTable::of(count, || {
            let left = reader.left() as usize / CHUNK_LEN;
            let mut piece = Vec::with_capacity(left.min(PIECE));
            for _ in 0..left.min(PIECE) {
                let chunk = unpacked(&reader.array()?);
                // It is not verified yet, and to find places for many that are alike takes for ever.
                if piece.last().is_some_and(|last: &Chunk| last.id == chunk.id) {
                    return Err("a chunk stands in it twice".to_owned());
                }
                piece.push(chunk);
            }
            Ok(piece)
        })?;
        reader.finish()?;
        Ok(Some((Self { chunks, missing: HashSet::new(), unread }, objects)))
    }

    /// Stores the index as that of the manifest with this id, for a repository of so many objects. One with missing chunks is not
    /// stored, so that the next run compares again.
    pub(crate) fn store(
        &self,
        state: &RepositoryState,
        key: &Key,
        manifest: ChunkId,
        objects: u64,
    ) -> Result<(), StateError> {
        if !self.missing.is_empty() {
            return Ok(());
        }
        stored::store(state, NAME, key, KIND, |writer| {
            writer.put(&manifest.0)?;
            writer.put(&objects.to_le_bytes())?;
            writer.put(&(self.unread.len() as u32).to_le_bytes())?;
            for archive in &self.unread {
                writer.put(&(archive.as_bytes().len() as u32).to_le_bytes())?;
                writer.put(archive.as_bytes())?;
            }
            self.chunks.iter().try_for_each(|chunk| writer.put(&packed(chunk)))
        })
    }

    /// Removes the stored index.
    pub(crate) fn remove(state: &RepositoryState) -> Result<(), StateError> {
        state.remove(NAME)
    }
}

/// Bytes of a stored chunk.
const CHUNK_LEN: usize = 44;

fn packed(Chunk { id, entry }: &Chunk) -> [u8; CHUNK_LEN] {
    let mut packed = [0; CHUNK_LEN];
    packed[..32].copy_from_slice(&id.0);
    packed[32..36].copy_from_slice(&entry.references.to_le_bytes());
    packed[36..40].copy_from_slice(&entry.size.to_le_bytes());
    packed[40..].copy_from_slice(&entry.csize.to_le_bytes());
    packed
}

fn unpacked(packed: &[u8; CHUNK_LEN]) -> Chunk {
    let number = |at: usize| u32::from_le_bytes(array::from_fn(|byte| packed[at + byte]));
    let entry = ChunkEntry { references: number(32), size: number(36), csize: number(40) };
    Chunk { id: ChunkId(array::from_fn(|at| packed[at])), entry }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use worldkeeper_core::{Disk as _, RepositoryId};
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;
    use crate::state::StateDir;

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
        index.chunks.get_or_insert(chunk(1).id, ChunkEntry { references: u32::MAX, size: 1, csize: 1 });
        index.reference(&chunk(1));
        assert!(!index.release(&chunk(1).id));
        assert_eq!(index.get(&chunk(1).id).unwrap().references, u32::MAX);
    }

    #[test]
    fn a_stored_index_with_a_hole_is_refused_at_once() {
        let disk = MemoryDisk::new();
        let state_dir = StateDir::open(Arc::new(disk.clone()), Path::new("/state"), "test").unwrap();
        let (state, key) = (state_dir.repository(RepositoryId([7; 32])), Key::plaintext());
        let mut index = ChunkIndex::default();
        index.reference(&chunk(1));
        index.store(&state, &key, ChunkId([1; 32]), 207).unwrap();
        let path = state.file(NAME);
        let mut bytes = worldkeeper_core::disk::read(&disk, &path, 1000).unwrap();
        // As many that are alike would take hours to find places for.
        bytes.resize(bytes.len() + 10_000_000 * CHUNK_LEN, 0);
        disk.remove_file(&path).unwrap();
        disk.create(&path).unwrap().append(&bytes).unwrap();
        let refused = ChunkIndex::load(&state, &key, ChunkId([1; 32])).map(|_| ());
        assert_eq!(refused, Err("a chunk stands in it twice".to_owned()));
    }

    #[test]
    fn an_index_is_stored_whole_for_one_manifest_and_not_with_missing_chunks() {
        let state_dir = StateDir::open(Arc::new(MemoryDisk::new()), Path::new("/state"), "test").unwrap();
        let (state, key) = (state_dir.repository(RepositoryId([7; 32])), Key::plaintext());
        let load = |manifest| ChunkIndex::load(&state, &key, ChunkId([manifest; 32])).unwrap();
        let mut index = ChunkIndex::default();
        for name in 0..200 {
            (0..=name).for_each(|_| index.reference(&chunk(name)));
        }
        index.release(&chunk(0).id);
        for archive in ["", "one", "another that has a longer name"] {
            index.leave_out(ArchiveName::from_bytes(archive));
        }
        index.store(&state, &key, ChunkId([1; 32]), 207).unwrap();
        let (loaded, objects) = load(1).unwrap();
        assert_eq!(objects, 207);
        assert_eq!(loaded.unread, index.unread);
        assert_eq!(loaded.chunks.iter().count(), 199);
        for name in 0..=255 {
            assert_eq!(loaded.get(&chunk(name).id), index.get(&chunk(name).id));
        }
        assert!(load(2).is_none(), "of another manifest");
        ChunkIndex::remove(&state).unwrap();
        index.compare_with(&HashSet::new());
        index.store(&state, &key, ChunkId([1; 32]), 207).unwrap();
        assert!(load(1).is_none());
    }
}
