//! Changing a repository: all of it, or nothing.
//!
//! Everything goes to new segments behind the last commit, which nobody looks at before there is a COMMIT. The COMMIT
//! gets a segment of its own, which is begun when all others are closed and durable. As long as it is missing, the
//! repository is what it was; rolling back is removing the new segments.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tracing::warn;
use worldkeeper_core::repository::CompactStats;
use worldkeeper_core::{ChunkId, MAX_DATA_SIZE, RepositoryError, Transaction, error_text};

use crate::LocalRepository;
use crate::headroom::Headroom;
use crate::hints::Hints;
use crate::segment::{Header, Location, PutHeader, SegmentWriter};
use crate::sync::{lock, read, write};

/// A transaction on a repository in a directory.
pub(crate) struct LocalTransaction<'a> {
    pub(crate) repository: &'a LocalRepository,
    pub(crate) hints: Hints,
    /// The segment with the last COMMIT; moves when this transaction commits.
    committed: Option<u32>,
    /// Number of the next segment.
    next: u32,
    /// Something was written since the last COMMIT.
    changed: bool,
    /// It stores more than the manifest: it makes no room.
    adds: bool,
    headroom: Headroom,
    /// Why the transaction can only be rolled back.
    doomed: Option<String>,
    /// Bytes in the segments that were closed.
    pub(crate) closed_bytes: u64,
}

impl<'a> LocalTransaction<'a> {
    /// Begins a transaction; the caller holds the exclusive lock and sees to it that there is one at a time.
    pub(crate) fn begin(repository: &'a LocalRepository) -> Result<Self, RepositoryError> {
        let (mut hints, committed) = repository.load_for_writing()?;
        let next = committed.map_or(0, |committed| committed + 1);
        repository.reserves.withhold(false);
        remove_aborted(repository, next)?;
        let witnessed = repository.state_files.witnessed()?;
        repository.segments.make_durable(committed.filter(|_| witnessed != committed))?;
        repository.state_files.remove_newer(committed)?;
        for segments in hints.shadow_index.values_mut() {
            segments.retain(|segment| *segment < next);
        }
        Ok(Self {
            repository,
            hints,
            committed,
            next,
            changed: false,
            adds: false,
            headroom: Headroom::default(),
            doomed: None,
            closed_bytes: 0,
        })
    }

    /// Runs a step; if it fails, nothing but a rollback is possible any more.
    fn step<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, RepositoryError>) -> Result<T, RepositoryError> {
        if let Some(reason) = &self.doomed {
            return Err(RepositoryError::Other(format!("the transaction cannot go on after an error: {reason}")));
        }
        let result = step(self).map_err(|error| self.disk_full(error));
        if let Err(error) = &result {
            self.doomed = Some(error_text(error));
        }
        result
    }

    /// Says of a disk that is full how much of it the transaction would have taken, at least.
    fn disk_full(&self, error: RepositoryError) -> RepositoryError {
        match error {
            RepositoryError::Disk(source) if self.adds && source.is_out_of_space() && !source.is_too_large() => {
                let open = lock(&self.repository.writer).as_ref().map_or(0, SegmentWriter::wanted);
                let path = self.repository.path.display().to_string();
                RepositoryError::DiskFull { path, required_bytes: self.closed_bytes + open, source }
            }
            error => error,
        }
    }

    fn put_entry(&mut self, id: ChunkId, header: &[u8; PutHeader::LEN], object: &Bytes) -> Result<(), RepositoryError> {
        self.changed = true;
        if id != ChunkId::MANIFEST {
            self.adds = true;
            self.repository.reserves.withhold(true);
            self.headroom.require((PutHeader::LEN + object.len()) as u64, self.repository)?;
        }
        if let Some(old) = self.repository.locate(&id)? {
            self.supersede(id, old)?;
        }
        let location = self.append(id, |writer| Ok(writer.put(header, object)?))?;
        self.repository.with_index_mut(|index| index.insert(&id, location))?;
        self.hints.put(location.segment, (PutHeader::LEN + object.len()) as u32);
        let (quota_bytes, used_bytes) = (self.repository.config.storage_quota, self.hints.storage_quota_use);
        // Who makes room needs a new manifest for it, however full it is; who is not trusted might say so for ever.
        if (self.adds || self.repository.strict_quota) && quota_bytes > 0 && used_bytes > quota_bytes {
            return Err(RepositoryError::QuotaExceeded { quota_bytes, used_bytes });
        }
        Ok(())
    }

    /// Notes that the PUT at `old` counts no more, and writes the DELETE that says so.
    fn supersede(&mut self, id: ChunkId, old: Location) -> Result<(), RepositoryError> {
        let size = self.repository.entry_size(old, &id)?;
        self.hints.supersede(id, old.segment, size);
        let location = self.append(id, |writer| Ok(writer.delete(id)?))?;
        self.hints.disposable(location.segment, PutHeader::LEN as u32);
        Ok(())
    }

    /// Appends an entry about `id` to the current segment, or to a new one where stock would begin one.
    pub(crate) fn append(
        &mut self,
        id: ChunkId,
        append: impl FnOnce(&mut SegmentWriter) -> Result<(), RepositoryError>,
    ) -> Result<Location, RepositoryError> {
        let repository = self.repository;
        let mut current = lock(&repository.writer);
        if self.is_full(current.as_ref(), &id) {
            self.close_segment(&mut current)?;
        }
        let writer = match &mut *current {
            Some(writer) => writer,
            none => none.insert(self.create_segment()?),
        };
        let location = Location { segment: writer.number(), offset: writer.offset() as u32 };
        append(writer)?;
        Ok(location)
    }

    /// Returns whether an entry about `id` must not go into the current segment. The manifest, which changes each
    /// time, gets segments of its own, so that compaction need not copy anything else for its sake.
    pub(crate) fn is_full(&self, current: Option<&SegmentWriter>, id: &ChunkId) -> bool {
        let limit = self.repository.config.max_segment_size;
        current.is_some_and(|writer| *id == ChunkId::MANIFEST || writer.offset() > limit)
    }

    fn create_segment(&mut self) -> Result<SegmentWriter, RepositoryError> {
        let writer = self.repository.segments.create(self.next)?;
        self.next += 1;
        Ok(writer)
    }

    /// Closes the current segment, if there is one; it is durable then.
    fn close_segment(&mut self, current: &mut Option<SegmentWriter>) -> Result<(), RepositoryError> {
        let Some(writer) = current.take() else { return Ok(()) };
        let segment = writer.number();
        self.closed_bytes += writer.offset();
        writer.close()?;
        Ok(self.repository.segments.sync_names([segment])?)
    }

    /// Writes a COMMIT into a segment of its own, after everything before it is durable.
    pub(crate) fn write_commit(&mut self) -> Result<(), RepositoryError> {
        let repository = self.repository;
        let mut current = lock(&repository.writer);
        self.close_segment(&mut current)?;
        repository.require_exclusive()?;
        *current = Some(self.create_segment()?);
        self.commit_current(&mut current)
    }

    /// Writes a COMMIT into the current segment, if there is one, after everything in it is durable.
    pub(crate) fn write_intermediate_commit(&mut self) -> Result<(), RepositoryError> {
        let repository = self.repository;
        let mut current = lock(&repository.writer);
        let Some(writer) = &mut *current else { return Ok(()) };
        writer.sync()?;
        repository.require_exclusive()?;
        self.commit_current(&mut current)
    }

    fn commit_current(&mut self, current: &mut Option<SegmentWriter>) -> Result<(), RepositoryError> {
        let Some(writer) = current else { return Ok(()) };
        let segment = writer.number();
        writer.commit()?;
        self.close_segment(current)?;
        self.hints.disposable(segment, Header::LEN as u32);
        self.committed = Some(segment);
        self.changed = false;
        self.repository.with_loaded_mut(|loaded| loaded.transaction = Some(segment))
    }

    /// Requires enough free space for the commit, and for the next commits that delete and compact.
    ///
    /// Nothing is required of a transaction that makes room. Stock asks the same of all, so that on a full disk nothing
    /// can be deleted either before `additional_free_space` is taken out of the config.
    ///
    /// Source: borg 1.4 `repository.py`, `check_free_space`.
    fn require_free_space(&self) -> Result<(), RepositoryError> {
        if !self.adds {
            return Ok(());
        }
        let repository = self.repository;
        let index_bytes = repository.with_loaded(|loaded| loaded.index.file_len())?;
        let hints_bytes = (self.hints.segments.len() + self.hints.compact.len()) as u64 * 10 + 4096;
        let compaction_bytes = if repository.is_append_only() { 0 } else { self.compaction_bytes()? };
        let required_bytes =
            (index_bytes * 4 + hints_bytes + compaction_bytes).saturating_add(repository.config.additional_free_space);
        let available_bytes = match repository.disk.available_bytes(&repository.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!("cannot check the free space before committing: {}", error_text(&error));
                return Ok(());
            }
        };
        if available_bytes < required_bytes {
            let path = repository.path.display().to_string();
            return Err(RepositoryError::InsufficientSpace { path, available_bytes, required_bytes });
        }
        Ok(())
    }

    /// Room that a compaction needs to copy what is still in use. Stock takes ten sparse segments for a full one, which
    /// on a small disk may be more than the disk.
    fn compaction_bytes(&self) -> Result<u64, RepositoryError> {
        let repository = self.repository;
        let full_segment = repository.config.max_segment_size + (MAX_DATA_SIZE + PutHeader::LEN) as u64;
        let mut bytes: u64 = 0;
        for (segment, freeable) in &self.hints.compact {
            if bytes >= full_segment {
                break;
            }
            bytes += repository.segments.len(*segment)?.unwrap_or(0).saturating_sub(*freeable);
        }
        Ok(bytes.min(full_segment))
    }

    fn finish(&mut self, compact_above_percent: Option<u8>) -> Result<CompactStats, RepositoryError> {
        self.step(|this| {
            if !this.changed {
                return Ok(());
            }
            // Closed first, for what stands in a buffer takes no space yet.
            this.close_segment(&mut lock(&this.repository.writer))?;
            this.require_free_space()?;
            this.write_commit()
        })?;
        let mut stats = CompactStats::default();
        let mut stopped = false;
        if let Some(percent) = compact_above_percent
            && !self.repository.is_append_only()
        {
            (stats, stopped) = self.step(|this| this.compact(percent))?;
        }
        self.save_state();
        self.keep_reserves();
        if stopped { Err(RepositoryError::Stopped) } else { Ok(stats) }
    }

    /// Writes the state files if they are of an older commit. The commit is done, so a failure costs a replay only.
    fn save_state(&mut self) {
        let repository = self.repository;
        let result = (|| {
            let Some(transaction) = self.committed else { return Ok(()) };
            if repository.state_files.transaction()? == Some(transaction) {
                return Ok(());
            }
            repository.require_exclusive()?;
            match &*read(&repository.loaded) {
                Some(loaded) => repository.save_state(transaction, &loaded.index, &self.hints),
                None => Ok(()),
            }
        })();
        if let Err(error) = result {
            warn!("the index is not saved and will be rebuilt next time: {}", error_text(&error));
        }
    }

    fn keep_reserves(&self) {
        if let Ok(index_bytes) = self.repository.with_loaded(|loaded| loaded.index.file_len()) {
            self.repository.reserves.keep(index_bytes);
        }
    }

    /// Takes back what was written since the last COMMIT.
    fn roll_back(&mut self) {
        let repository = self.repository;
        *lock(&repository.writer) = None;
        *write(&repository.loaded) = None;
        let removed = remove_aborted(repository, self.committed.map_or(0, |committed| committed + 1))
            .and_then(|()| Ok(repository.segments.remove_empty_directories()?));
        if let Err(error) = removed {
            warn!("segments of a transaction that was rolled back are left: {}", error_text(&error));
        }
    }
}

/// Removes the segments from `first` on, which belong to no commit.
pub(crate) fn remove_aborted(repository: &LocalRepository, first: u32) -> Result<(), RepositoryError> {
    let aborted: Vec<_> = repository.segments.list()?.into_iter().filter(|segment| *segment >= first).collect();
    if aborted.is_empty() {
        return Ok(());
    }
    // If the lock was broken, these may be the segments of another writer.
    repository.require_exclusive()?;
    // From the end, and the last one durably before the others: it may hold a COMMIT whose sync failed, and a COMMIT
    // must never be left without what it commits.
    for (count, segment) in aborted.iter().rev().enumerate() {
        if *segment == 0 {
            // Others without it would look like those of a repository that has lost its commits.
            repository.segments.sync_names(aborted.iter().copied())?;
        }
        repository.segments.remove(*segment)?;
        if count == 0 {
            repository.segments.sync_names([*segment])?;
        }
    }
    Ok(repository.segments.sync_names(aborted)?)
}

impl Transaction for LocalTransaction<'_> {
    fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), RepositoryError> {
        if object.len() > MAX_DATA_SIZE {
            return Err(RepositoryError::ObjectTooLarge(object.len()));
        }
        // The checksum is computed before any mutex is taken.
        let header = PutHeader::encode_put(id, &object);
        self.step(|this| this.put_entry(id, &header, &object))
    }

    fn delete(&mut self, id: ChunkId) -> Result<(), RepositoryError> {
        let Some(location) = self.repository.locate(&id)? else { return Err(RepositoryError::ObjectNotFound(id)) };
        self.step(|this| {
            this.changed = true;
            this.supersede(id, location)?;
            this.repository.with_index_mut(|index| index.remove(&id))?;
            Ok(())
        })
    }

    fn commit(mut self: Box<Self>) -> Result<(), RepositoryError> {
        self.finish(None).map(drop)
    }

    fn commit_and_compact(mut self: Box<Self>, threshold_percent: u8) -> Result<CompactStats, RepositoryError> {
        self.finish(Some(threshold_percent))
    }
}

impl Drop for LocalTransaction<'_> {
    fn drop(&mut self) {
        if self.changed || self.doomed.is_some() {
            self.roll_back();
        } else if let Some(loaded) = &mut *write(&self.repository.loaded) {
            loaded.hints = Some(std::mem::take(&mut self.hints));
        }
        self.repository.reserves.withhold(true);
        self.repository.in_transaction.store(false, Ordering::SeqCst);
    }
}
