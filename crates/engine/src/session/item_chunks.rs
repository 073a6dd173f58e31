//! The chunks of a list of items, announced a little before they are taken: all at once they would go before what the items
//! hold, which is wanted in between.

use std::slice::Iter;

use worldkeeper_core::{ChunkId, Repository};

/// The ids of chunks, in order.
pub(super) struct ItemChunks<'s> {
    repository: &'s dyn Repository,
    ids: Iter<'s, ChunkId>,
    /// Those that are not announced yet.
    rest: Iter<'s, ChunkId>,
}

impl<'s> ItemChunks<'s> {
    pub(super) fn new(repository: &'s dyn Repository, ids: &'s [ChunkId]) -> Self {
        let (first, rest) = ids.split_at(ids.len().min(AHEAD));
        repository.will_read(&mut first.iter().map(|id| (*id).into()));
        Self { repository, ids: ids.iter(), rest: rest.iter() }
    }
}

impl<'s> Iterator for ItemChunks<'s> {
    type Item = &'s ChunkId;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.ids.next()?;
        if let Some(next) = self.rest.next() {
            self.repository.will_read(&mut std::iter::once((*next).into()));
        }
        Some(id)
    }
}

/// How many are announced: as many as are asked for at a time where their size is not known.
const AHEAD: usize = 64;
