//! The chunks of a chunk index: a list of them, and a table that finds them.
//!
//! A map of ids to what is known of them would keep twice the room that they need at its worst, and three times while it
//! grows. The table holds four bytes for each.

use std::sync::mpsc;
use std::thread;

use hashbrown::HashTable;
use worldkeeper_core::{ChunkId, PIECE, Pieces};

use super::chunk_index::ChunkEntry;
use super::id_hasher::hash;
use super::next::Next;

/// Chunks and what is known of them, by id.
#[derive(Debug, Default)]
pub(super) struct ChunkTable {
    chunks: Pieces<Chunk>,
    /// Places in the list.
    numbers: HashTable<u32>,
    /// Who was asked for last with the right to change it.
    next: Next,
}

/// A chunk and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub id: ChunkId,
    pub entry: ChunkEntry,
}

const _: () = assert!(size_of::<Chunk>() == 44);

impl ChunkTable {
    /// A table of `count` chunks that are all different, and come from `next`, a piece of the list at a time. Where there
    /// are many, a thread of its own finds places for those that came meanwhile: that takes as long.
    pub(super) fn of<E>(count: usize, mut next: impl FnMut() -> Result<Vec<Chunk>, E>) -> Result<Self, E> {
        let mut table = Self { chunks: Pieces::new(), numbers: HashTable::with_capacity(count), next: Next::default() };
        let pieces = count.div_ceil(PIECE);
        if count <= FEW {
            for _ in 0..pieces {
                table.insert_piece(next()?);
            }
            return Ok(table);
        }
        thread::scope(|scope| {
            let (pieces_in, coming) = mpsc::sync_channel(1);
            let work = || {
                for piece in coming {
                    table.insert_piece(piece);
                }
                table
            };
            let thread = thread::Builder::new().name("chunk table".to_owned());
            let thread = thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
            for _ in 0..pieces {
                // If it has panicked, so do we.
                let _ = pieces_in.send(next()?);
            }
            drop(pieces_in);
            Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Adds chunks that are not there, as a piece of the list.
    fn insert_piece(&mut self, list: Vec<Chunk>) {
        let first = self.chunks.len();
        self.chunks.push_piece(list);
        let Self { chunks, numbers, .. } = self;
        let first_number = u32::try_from(first).expect("so many chunks fit into no memory");
        for (number, chunk) in (first_number..).zip(chunks.range(first, PIECE)) {
            numbers.insert_unique(hash(&chunk.id.0), number, |number| hash_at(chunks, *number));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn get(&self, id: &ChunkId) -> Option<&ChunkEntry> {
        self.number(id).map(|number| &self.chunks[number as usize].entry)
    }

    /// As [`get`](Self::get), for somebody who asks for most in the order in which they were stored.
    pub(super) fn get_next(&self, id: &ChunkId, next: &mut Next) -> Option<&ChunkEntry> {
        self.next_number(id, next).map(|number| &self.chunks[number as usize].entry)
    }

    pub(super) fn get_mut(&mut self, id: &ChunkId) -> Option<&mut ChunkEntry> {
        self.number(id).map(|number| &mut self.chunks[number as usize].entry)
    }

    /// What is known of a chunk; `new`, if it was not there.
    pub(super) fn get_or_insert(&mut self, id: ChunkId, new: ChunkEntry) -> &mut ChunkEntry {
        let mut next = std::mem::take(&mut self.next);
        let known = self.next_number(&id, &mut next);
        self.next = next;
        let number = known.unwrap_or_else(|| {
            let number = u32::try_from(self.chunks.len()).expect("so many chunks fit into no memory");
            self.chunks.push(Chunk { id, entry: new });
            let Self { chunks, numbers, .. } = self;
            numbers.insert_unique(hash(&id.0), number, |number| hash_at(chunks, *number));
            number
        });
        &mut self.chunks[number as usize].entry
    }

    pub(super) fn remove(&mut self, id: &ChunkId) -> Option<ChunkEntry> {
        let Self { chunks, numbers, .. } = self;
        let is_it = |number: &u32| chunks[*number as usize].id == *id;
        let (number, _) = numbers.find_entry(hash(&id.0), is_it).ok()?.remove();
        // The last of the list takes its place.
        let last = chunks.len() - 1;
        if number as usize != last {
            let moved = numbers.find_mut(hash_at(chunks, last as u32), |number| *number as usize == last);
            *moved.expect("every chunk is in the table") = number;
        }
        Some(chunks.swap_remove(number as usize).entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    fn next_number(&self, id: &ChunkId, next: &mut Next) -> Option<u32> {
        next.or_else(|number| self.chunks.get(number as usize).is_some_and(|chunk| chunk.id == *id), || self.number(id))
    }

    fn number(&self, id: &ChunkId) -> Option<u32> {
        self.numbers.find(hash(&id.0), |number| self.chunks[*number as usize].id == *id).copied()
    }
}

/// So many chunks are not worth a thread.
const FEW: usize = if cfg!(test) { 8 } else { 32 * PIECE };

fn hash_at(chunks: &Pieces<Chunk>, number: u32) -> u64 {
    hash(&chunks[number as usize].id.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Ids come from a small set, many of them with the same hash.
        #[test]
        fn a_table_is_a_map(steps in proptest::collection::vec((0u8..5, any::<u8>()), 0..2000)) {
            let (mut table, mut map, mut next) = (ChunkTable::default(), BTreeMap::new(), Next::default());
            for (step, (what, name)) in (0..).zip(steps) {
                let mut id = ChunkId([0; 32]);
                (id.0[0], id.0[31]) = (name % 16, name);
                let entry = ChunkEntry { references: step, size: 1, csize: 2 };
                match what {
                    0 => prop_assert_eq!(table.remove(&id), map.remove(&id)),
                    1 => prop_assert_eq!(table.get(&id), map.get(&id)),
                    2 => prop_assert_eq!(table.get_next(&id, &mut next), map.get(&id)),
                    _ => prop_assert_eq!(table.get_or_insert(id, entry), map.entry(id).or_insert(entry)),
                }
                prop_assert_eq!(table.get_mut(&id).copied(), map.get(&id).copied());
            }
            let all: BTreeMap<_, _> = table.iter().map(|chunk| (chunk.id, chunk.entry)).collect();
            prop_assert_eq!((table.chunks.len(), &all), (map.len(), &map));
            let mut lists = table.chunks.pieces().map(<[Chunk]>::to_vec);
            let again = ChunkTable::of(table.len(), || Ok::<_, ()>(lists.next().unwrap_or_default())).unwrap();
            prop_assert!(map.iter().all(|(id, entry)| again.get(id) == Some(entry)));
            prop_assert_eq!(again.len(), map.len());
        }
    }

    #[test]
    fn every_chunk_of_a_long_list_is_found_and_a_list_that_breaks_off_is_none() {
        let count = 2 * PIECE + 1;
        let chunk = |number: usize| {
            let mut id = ChunkId([0; 32]);
            id.0[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            Chunk { id, entry: ChunkEntry { references: 1, size: number as u32, csize: 2 } }
        };
        let chunks: Vec<_> = (0..count).map(chunk).collect();
        let mut pieces = chunks.chunks(PIECE).map(<[Chunk]>::to_vec);
        let table = ChunkTable::of(count, || Ok::<_, ()>(pieces.next().unwrap())).unwrap();
        assert_eq!(table.len(), count);
        assert!(chunks.iter().all(|chunk| table.get(&chunk.id) == Some(&chunk.entry)));
        let mut pieces = chunks.chunks(PIECE).map(<[Chunk]>::to_vec).take(2);
        assert_eq!(ChunkTable::of(count, || pieces.next().ok_or("cut off")).map(drop), Err("cut off"));
    }
}
