//! What a repository that was not compacted yet still holds: objects that were deleted, and what stood in the place of others.
//!
//! A DELETE takes an object out of the index, and another PUT takes its place there; the first PUT stays in its segment
//! until a compaction leaves it out. The index does not know of it any more, so all segments are read to find it. Damage is
//! passed over, and so is what the disk does not give: this is a look at what can still be had.
//!
//! Whoever may only append can put anything under any id, as often as they like. So all versions are found, not the last alone.

use std::collections::HashMap;

use bytes::Bytes;
use tracing::warn;
use worldkeeper_core::{ChunkId, DiskError, RepositoryError, error_text};

use crate::LocalRepository;
use crate::index::Index;
use crate::segment::{Body, Location, Salvaged};
use crate::sync::{read, write};

/// Where the versions lie that do not count any more.
pub(crate) struct Earlier {
    /// The last one of each object.
    newest: Index,
    /// The one before each that is not the first: few have more than one, whose PUTs take more on the disk than this here.
    before: HashMap<Location, Location>,
    /// What the disk said first of what it did not give.
    unread: Option<DiskError>,
}

impl Earlier {
    pub(crate) fn new() -> Self {
        Self { newest: Index::new(), before: HashMap::new(), unread: None }
    }

    /// Notes a version behind those that were noted.
    fn add(&mut self, id: &ChunkId, location: Location) {
        if let Some(before) = self.newest.get(id) {
            self.before.insert(location, before);
        }
        self.newest.insert(id, location);
    }
}

impl LocalRepository {
    /// Finds all that was put and committed and is not what the index says.
    pub(crate) fn look_for_earlier(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut earlier = Earlier::new();
        let committed = self.with_loaded(|loaded| loaded.transaction)?;
        for segment in self.segments.list()?.into_iter().filter(|segment| Some(*segment) <= committed) {
            if self.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            match self.look_into(segment, &mut earlier) {
                Err(RepositoryError::Disk(error)) => {
                    warn!("what segment {segment} held before is not known: {}", error_text(&error));
                    earlier.unread.get_or_insert(error);
                }
                looked => looked?,
            }
        }
        let ids = earlier.newest.iter().map(|(id, _)| id).collect();
        *write(&self.earlier) = earlier;
        Ok(ids)
    }

    /// Notes what a segment holds that is not what the index says.
    fn look_into(&self, segment: u32, earlier: &mut Earlier) -> Result<(), RepositoryError> {
        let mut reader = self.segments.salvage(segment)?;
        while let Some(salvaged) = reader.next(&|| !self.stop.is_requested())? {
            if self.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            if let Salvaged::Entry(entry) = salvaged
                && let Body::Put(id) = entry.body
            {
                let location = Location { segment, offset: entry.offset };
                if self.locate(&id)? != Some(location) {
                    earlier.add(&id, location);
                }
            }
        }
        Ok(())
    }

    /// Reads the versions of an object that do not count any more, from the newest on, until one is wanted.
    pub(crate) fn read_earlier(
        &self,
        id: &ChunkId,
        is_wanted: &mut dyn FnMut(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, RepositoryError> {
        let mut next = read(&self.earlier).newest.get(id);
        while let Some(location) = next {
            if self.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            let mut object = Vec::new();
            match self.segments.object(location, id, &mut object).map(|()| Bytes::from(object)) {
                Ok(object) if is_wanted(&object) => return Ok(Some(object)),
                Ok(_) | Err(RepositoryError::Damaged { .. }) => {}
                Err(RepositoryError::Disk(error)) => _ = write(&self.earlier).unread.get_or_insert(error),
                Err(error) => return Err(error),
            }
            next = read(&self.earlier).before.get(&location).copied();
        }
        Ok(None)
    }

    /// Why something was passed over since all was looked through; said once.
    pub(crate) fn why_unread(&self) -> Option<RepositoryError> {
        write(&self.earlier).unread.take().map(RepositoryError::from)
    }
}
