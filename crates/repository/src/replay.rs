//! Working out what a repository contains from its log.

use std::collections::BTreeSet;

use worldkeeper_core::{ChunkId, RepositoryError};

use crate::hints::Hints;
use crate::index::Index;
use crate::segment::{Body, Location, Segments};

/// Applies segments, one after the other, to an index and its hints.
pub(crate) struct Replay<'a> {
    segments: &'a Segments,
    /// Numbers of all segments there are, ascending.
    existing: &'a [u32],
    /// All segments there are will have been applied, so that nothing about superseded PUTs remains unknown.
    from_scratch: bool,
    index: Index,
    hints: Hints,
}

impl<'a> Replay<'a> {
    /// Starts from what an earlier state says, or from nothing; `existing` are all segments there are, ascending.
    pub(crate) fn new(segments: &'a Segments, existing: &'a [u32], earlier: Option<(Index, Hints)>) -> Self {
        let from_scratch = earlier.is_none();
        let (index, hints) = earlier.unwrap_or_else(|| (Index::new(), Hints::default()));
        Self { segments, existing, from_scratch, index, hints }
    }

    /// Applies all entries of one segment, which must be younger than what was applied before.
    pub(crate) fn segment(&mut self, number: u32) -> Result<(), RepositoryError> {
        let Some(len) = self.segments.len(number)? else { return Ok(()) };
        self.begin_segment(number);
        let mut reader = self.segments.read(number)?;
        while let Some(entry) = reader.next()? {
            self.entry(number, entry.offset, entry.bytes.len() as u32, entry.body)?;
        }
        self.end_segment(number, len);
        Ok(())
    }

    /// Begins a segment whose entries the caller reads.
    pub(crate) fn begin_segment(&mut self, number: u32) {
        self.hints.remove_segment(number);
        self.hints.segments.insert(number, 0);
    }

    /// Applies the next entry of a segment, `size` bytes with its header.
    pub(crate) fn entry(&mut self, segment: u32, offset: u32, size: u32, body: Body) -> Result<(), RepositoryError> {
        match body {
            Body::Put(id) => {
                if let Some(old) = self.index.get(&id)
                    && !self.supersede(id, old)?
                {
                    // A compaction has moved it: what was counted of it there is not there any more.
                    self.hints.uncount(size.into());
                }
                self.index.insert(&id, Location { segment, offset });
                self.hints.put(segment, size);
            }
            Body::Delete(id) => {
                if let Some(old) = self.index.remove(&id) {
                    let _ = self.supersede(id, old)?;
                } else if self.from_scratch {
                    // What it took back is gone; the empty list says that it may go, too.
                    self.hints.shadow_index.entry(id).or_default();
                }
                self.hints.disposable(segment, size);
            }
            Body::Commit => self.hints.disposable(segment, size),
        }
        Ok(())
    }

    /// Ends a segment of `len` bytes.
    pub(crate) fn end_segment(&mut self, number: u32, len: u64) {
        if self.hints.segments.get(&number) == Some(&0) {
            self.hints.compact.insert(number, len);
        }
    }

    /// Ends the replay: what an earlier state said about segments that are gone is forgotten.
    pub(crate) fn finish(mut self) -> (Index, Hints) {
        let exists = |segment: &u32| self.existing.binary_search(segment).is_ok();
        // What can be freed of a segment that had superseded PUTs are those, as good as: nobody knows any more what
        // its few DELETEs took.
        let gone = |segment: &&u32| !exists(segment);
        let shadowed: BTreeSet<_> = self.hints.shadow_index.values().flatten().filter(gone).copied().collect();
        let freed: u64 = shadowed.iter().filter_map(|segment| self.hints.compact.get(segment)).sum();
        self.hints.uncount(freed);
        self.hints.segments.retain(|segment, _| exists(segment));
        self.hints.compact.retain(|segment, _| exists(segment));
        for segments in self.hints.shadow_index.values_mut() {
            segments.retain(exists);
        }
        (self.index, self.hints)
    }

    /// Notes that the PUT at `old` counts no more; returns whether it is there at all.
    fn supersede(&mut self, id: ChunkId, old: Location) -> Result<bool, RepositoryError> {
        // An index older than a compaction points to segments that are gone, and their bookkeeping with them.
        let exists = self.existing.binary_search(&old.segment).is_ok();
        if exists {
            let size = self.segments.entry_size(old, &id)?;
            self.hints.supersede(id, old.segment, size);
        }
        Ok(exists)
    }
}
