//! Freeing the space of what is superseded.
//!
//! What is still needed of a segment is copied to a new one, committed there, and only then is the old segment
//! removed. At every moment the segments on the disk replay to the same content.
//!
//! Source: borg 1.4 `repository.py`, `compact_segments`.

use tracing::warn;
use worldkeeper_core::repository::CompactStats;
use worldkeeper_core::{ChunkId, RepositoryError};

use crate::earlier::Earlier;
use crate::segment::{Body, COMMIT_SEGMENT_BYTES, Location, MAGIC};
use crate::sync::{lock, write};
use crate::transaction::LocalTransaction;

/// A segment all of whose entries are copied or not needed.
struct Emptied {
    segment: u32,
    /// A DELETE of an object that exists nowhere else was left out.
    dropped_delete: bool,
}

/// Number, length and freeable bytes of a segment.
type Candidate = (u32, u64, u64);

/// What a copy takes beside the bytes it copies: a segment and a COMMIT in blocks, a directory, the DELETEs.
const ROOM_BYTES: u64 = 128 * 1024;

/// One compaction.
struct Compaction<'a, 'b> {
    transaction: &'a mut LocalTransaction<'b>,
    /// The transaction of the index on the disk. What is younger may have to be replayed onto it.
    indexed: Option<u32>,
    emptied: Vec<Emptied>,
}

impl LocalTransaction<'_> {
    /// Compacts the segments of which more than `percent` can be freed. Also returns whether it was stopped before
    /// the end; what it did up to there is committed.
    pub(crate) fn compact(&mut self, percent: u8) -> Result<(CompactStats, bool), RepositoryError> {
        let candidates = self.sparse_segments(percent)?;
        // A compaction ends with a COMMIT in a segment of its own. Where it would free no more than that, which is
        // so for the last commit itself, there is nothing to do.
        let won: u64 = candidates.iter().map(|(_, _, freeable)| freeable + MAGIC.len() as u64).sum();
        if won <= COMMIT_SEGMENT_BYTES {
            return Ok((CompactStats::default(), false));
        }
        let (candidates, is_tight) = self.cheapest_first(candidates)?;
        let closed_before = self.closed_bytes;
        let indexed = self.repository.state_files.transaction()?;
        let mut compaction = Compaction { transaction: self, indexed, emptied: Vec::new() };
        let (mut stats, mut old_bytes) = (CompactStats::default(), 0);
        let mut is_stopped = false;
        for (segment, len, freeable) in &candidates {
            is_stopped = compaction.transaction.repository.stop.is_requested();
            if is_stopped {
                break;
            }
            if is_tight && !compaction.make_room(len - freeable)? {
                let left = candidates.len() as u64 - stats.segments;
                warn!("{left} segments are not compacted: there is no room to copy what is still needed of them");
                break;
            }
            compaction.empty(*segment)?;
            stats.segments += 1;
            old_bytes += len;
        }
        if stats.segments > 0 {
            compaction.finish()?;
        }
        stats.freed_bytes = old_bytes.saturating_sub(self.closed_bytes - closed_before);
        Ok((stats, is_stopped))
    }

    /// Where there is not enough space to copy everything that is still needed, those go first that free the most for
    /// the least. Returns whether that is so.
    fn cheapest_first(&self, mut candidates: Vec<Candidate>) -> Result<(Vec<Candidate>, bool), RepositoryError> {
        let needed: u64 = candidates.iter().map(|(_, len, freeable)| len - freeable).sum();
        let is_tight = needed + ROOM_BYTES > self.room()?;
        if is_tight {
            candidates.sort_by_key(|(_, len, freeable)| len - freeable);
        }
        Ok((candidates, is_tight))
    }

    /// Bytes that can be written, with what is in reserve.
    fn room(&self) -> Result<u64, RepositoryError> {
        let repository = self.repository;
        Ok(repository.disk.available_bytes(&repository.path)?.saturating_add(repository.reserves.large.held_bytes()?))
    }

    /// Number, length and freeable bytes of the segments that are worth it, ascending.
    fn sparse_segments(&mut self, percent: u8) -> Result<Vec<Candidate>, RepositoryError> {
        let mut sparse = Vec::new();
        for (segment, freeable) in self.hints.compact.clone() {
            match self.repository.segments.len(segment)? {
                None => {
                    warn!("segment {segment} is in the hints, but gone");
                    self.hints.remove_segment(segment);
                }
                // In integers: `freeable / len > percent / 100`.
                Some(len) if u128::from(freeable) * 100 > u128::from(len) * u128::from(percent) => {
                    sparse.push((segment, len, freeable.min(len)));
                }
                Some(_) => {}
            }
        }
        Ok(sparse)
    }
}

impl Compaction<'_, '_> {
    /// Copies what is needed of a segment.
    fn empty(&mut self, segment: u32) -> Result<(), RepositoryError> {
        let repository = self.transaction.repository;
        let mut dropped_delete = false;
        let mut reader = repository.segments.read(segment)?;
        while let Some(entry) = reader.next()? {
            let size = entry.bytes.len() as u32;
            match entry.body {
                Body::Commit => {}
                Body::Put(id) => {
                    let here = Location { segment, offset: entry.offset };
                    if repository.locate(&id)? == Some(here) {
                        let copy = self.copy(id, entry.bytes)?;
                        repository.with_index_mut(|index| index.insert(&id, copy))?;
                        self.transaction.hints.move_put(segment, copy.segment);
                    } else {
                        self.transaction.hints.drop_put(&id, segment, size);
                    }
                }
                Body::Delete(id) => {
                    if repository.locate(&id)?.is_some() {
                        // A younger PUT says more.
                    } else if self.is_needed(segment, &id) {
                        let copy = self.copy(id, entry.bytes)?;
                        self.transaction.hints.disposable(copy.segment, size);
                    } else {
                        dropped_delete = true;
                        self.transaction.hints.forget_unshadowed(&id);
                    }
                }
            }
        }
        let count = self.transaction.hints.segments.get(&segment).copied().unwrap_or(0);
        if count != 0 {
            warn!("segment {segment} should be empty, but {count} of its objects are said to be in use");
        }
        self.emptied.push(Emptied { segment, dropped_delete });
        Ok(())
    }

    /// Returns whether a DELETE in `segment` must be kept: a PUT it takes back may still be on the disk, or the
    /// index on the disk may still have the object.
    fn is_needed(&self, segment: u32, id: &ChunkId) -> bool {
        let Some(shadowed) = self.transaction.hints.shadow_index.get(id) else {
            // Nobody knows; borg 1.1 kept no such record.
            return true;
        };
        shadowed.iter().any(|older| *older < segment) || Some(segment) > self.indexed
    }

    /// Copies an entry to the current segment; when that is full, commits it and removes what was emptied.
    fn copy(&mut self, id: ChunkId, entry: &[u8]) -> Result<Location, RepositoryError> {
        let full = self.transaction.is_full(lock(&self.transaction.repository.writer).as_ref(), &id);
        if full {
            self.transaction.write_intermediate_commit()?;
            self.remove_emptied()?;
        }
        self.transaction.append(id, |writer| Ok(writer.copy(entry)?))
    }

    /// Returns whether there is room to copy so many bytes, after freeing what is emptied already if need be.
    fn make_room(&mut self, bytes: u64) -> Result<bool, RepositoryError> {
        // Nothing can be freed without trying to write a little.
        if bytes == 0 || bytes + ROOM_BYTES <= self.transaction.room()? {
            return Ok(true);
        }
        if !self.emptied.is_empty() {
            self.transaction.write_commit()?;
            self.remove_emptied()?;
        }
        Ok(bytes + ROOM_BYTES <= self.transaction.room()?)
    }

    fn finish(&mut self) -> Result<(), RepositoryError> {
        self.transaction.write_commit()?;
        self.remove_emptied()?;
        Ok(self.transaction.repository.segments.remove_empty_directories()?)
    }

    /// Removes the emptied segments; their content is committed elsewhere.
    fn remove_emptied(&mut self) -> Result<(), RepositoryError> {
        let segments = &self.transaction.repository.segments;
        if !self.emptied.is_empty() {
            // Where earlier versions were said to lie, there may soon be others.
            *write(&self.transaction.repository.earlier) = Earlier::new();
        }
        let mut removed = Vec::new();
        for Emptied { segment, dropped_delete } in self.emptied.drain(..) {
            if dropped_delete {
                // Should the names of older segments come back after a power failure, with the PUTs that this DELETE
                // took back, then the DELETE must come back with them.
                segments.sync_names(removed.drain(..))?;
            }
            segments.remove(segment)?;
            self.transaction.hints.remove_segment(segment);
            removed.push(segment);
        }
        Ok(segments.sync_names(removed)?)
    }
}
