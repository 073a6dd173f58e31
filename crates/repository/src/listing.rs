//! The ids of a repository page by page, in the two orders in which borg's clients ask for them.

use std::collections::BinaryHeap;

use worldkeeper_core::{ChunkId, RepositoryError};

use crate::LocalRepository;
use crate::segment::Location;

/// An object in the order of the log.
type Entry = (u32, u32, ChunkId);

impl LocalRepository {
    /// How many objects there are, the manifest included.
    pub fn object_count(&self) -> Result<u64, RepositoryError> {
        self.with_loaded(|loaded| loaded.index.len() as u64)
    }

    /// At most `limit` ids in the order of the index, behind `marker`; `None` if there is no object of that id.
    ///
    /// The order changes when the index grows or shrinks, so that who changes the repository between two pages may miss
    /// some or get some twice. So it is with stock.
    pub fn page_of_index(
        &self,
        limit: Option<u64>,
        marker: Option<&ChunkId>,
    ) -> Result<Option<Vec<ChunkId>>, RepositoryError> {
        self.with_loaded(|loaded| {
            let behind = loaded.index.iter_behind(marker)?;
            Some(behind.map(|(id, _)| id).take(limit.map_or(usize::MAX, |limit| limit as usize)).collect())
        })
    }

    /// At most `limit` ids in the order in which the objects lie, behind `marker`; `None` if there is no object of that id.
    pub fn page_of_log(
        &self,
        limit: Option<u64>,
        marker: Option<&ChunkId>,
    ) -> Result<Option<Vec<ChunkId>>, RepositoryError> {
        self.with_loaded(|loaded| {
            let after = match marker {
                None => None,
                Some(marker) => Some(place(loaded.index.get(marker)?)),
            };
            let entries = loaded.index.iter().map(|(id, location)| {
                let (segment, offset) = place(location);
                (segment, offset, id)
            });
            let entries = entries.filter(|(segment, offset, _)| after.is_none_or(|after| (*segment, *offset) > after));
            let first = first(entries, limit.map_or(usize::MAX, |limit| limit as usize));
            Some(first.into_iter().map(|(_, _, id)| id).collect())
        })
    }
}

fn place(location: Location) -> (u32, u32) {
    (location.segment, location.offset)
}

/// The first `limit` of some entries, in order. Takes no more memory than they do.
fn first(entries: impl Iterator<Item = Entry>, limit: usize) -> Vec<Entry> {
    let mut first = BinaryHeap::new();
    for entry in entries {
        if first.len() < limit {
            first.push(entry);
        } else if first.peek().is_some_and(|last| entry < *last) {
            first.pop();
            first.push(entry);
        }
    }
    first.into_sorted_vec()
}
