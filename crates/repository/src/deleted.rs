//! What a repository that was not compacted yet still holds: objects that were deleted.
//!
//! A DELETE takes an object out of the index; the PUT stays in its segment until a compaction leaves it out. The index
//! does not know of it any more, so all segments are read to find it. Damage is passed over: this is a look at what
//! can still be had.

use worldkeeper_core::{ChunkId, RepositoryError};

use crate::LocalRepository;
use crate::index::Index;
use crate::segment::{Body, Location, Salvaged};
use crate::sync::write;

impl LocalRepository {
    /// Finds the last version of each object that was put and committed but is not in the index.
    pub(crate) fn find_deleted(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut deleted = Index::new();
        let committed = self.with_loaded(|loaded| loaded.transaction)?;
        for segment in self.segments.list()?.into_iter().filter(|segment| Some(*segment) <= committed) {
            if self.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            let mut reader = self.segments.salvage(segment)?;
            while let Some(salvaged) = reader.next(&|| !self.stop.is_requested())? {
                if self.stop.is_requested() {
                    return Err(RepositoryError::Stopped);
                }
                if let Salvaged::Entry(entry) = salvaged
                    && let Body::Put(id) = entry.body
                    && self.locate(&id)?.is_none()
                {
                    deleted.insert(&id, Location { segment, offset: entry.offset });
                }
            }
        }
        let ids = deleted.iter().map(|(id, _)| id).collect();
        *write(&self.deleted) = deleted;
        Ok(ids)
    }
}
