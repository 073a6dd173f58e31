//! Where the chunk index of a session comes from.

use std::collections::HashSet;

use tracing::debug;
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::{ChunkId, error_text};

use super::{BrokenArchive, Session, SessionError};
use crate::cache::ChunkIndex;
use crate::monitor::{Monitor, Notice, Rebuilding};

impl Session {
    /// Takes the chunk index: the one at hand, the stored one, or one made anew from all archives.
    ///
    /// It is taken, not lent: whoever changes the repository changes it too, and gives it back with the commit. If the
    /// change fails, the next one loads it again.
    pub(crate) fn take_index(&mut self, monitor: &dyn Monitor) -> Result<ChunkIndex, SessionError> {
        let index = self.find_index(monitor)?;
        for archive in index.unread() {
            monitor.notice(Notice::ArchiveUnread(archive));
        }
        Ok(index)
    }

    /// Looks at the chunk index, which stays.
    pub(crate) fn with_index<T>(
        &mut self,
        monitor: &dyn Monitor,
        look: impl FnOnce(&Self, &ChunkIndex) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let index = self.take_index(monitor)?;
        let seen = look(self, &index);
        self.index = Some(index);
        seen
    }

    /// As [`take_index`](Self::take_index), for whoever means to delete: every archive must have been read for it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Archive`] if there is one that cannot be read.
    pub(crate) fn take_whole_index(&mut self, monitor: &dyn Monitor) -> Result<ChunkIndex, SessionError> {
        let index = self.find_index(monitor)?;
        if index.unread().is_empty() {
            return Ok(index);
        }
        // These first: if they are as they were, all others need not be read to know that.
        for archive in index.unread().iter().filter_map(|name| self.archive_info(name)) {
            self.for_each_reference(&archive, &mut |_| {})?;
        }
        self.rebuild_index(monitor, &mut |_, broken| Err(broken))
    }

    fn find_index(&mut self, monitor: &dyn Monitor) -> Result<ChunkIndex, SessionError> {
        if let Some(index) = self.index.take() {
            return Ok(index);
        }
        match ChunkIndex::load(&self.state, &self.key, self.manifest_id) {
            Ok(Some((mut index, objects))) => {
                // A repair of the repository alone leaves the manifest as it was.
                if self.repository.object_count()? != objects {
                    self.compare(&mut index, monitor)?;
                }
                return Ok(index);
            }
            Ok(None) => {}
            Err(problem) => monitor.notice(Notice::CacheLost { what: "chunk index", problem: &problem }),
        }
        let leave_out = &mut |index: &mut ChunkIndex, broken: BrokenArchive| {
            debug!("{}", error_text(&broken));
            index.leave_out(broken.name);
            Ok(())
        };
        self.rebuild_index(monitor, leave_out)
    }

    /// Stores a chunk index for the next run, as that of the manifest with this id, which was committed. Without it the next run
    /// only takes longer.
    pub(crate) fn keep_index(&self, index: &ChunkIndex, manifest: ChunkId, monitor: &dyn Monitor) {
        let objects = self.repository.object_count().map_err(SessionError::from);
        let stored = objects.and_then(|objects| Ok(index.store(&self.state, &self.key, manifest, objects)?));
        if let Err(error) = stored {
            monitor.notice(Notice::CacheLost { what: "chunk index", problem: &error_text(&error) });
        }
    }

    /// Finds out which chunks are there, of those that archives refer to.
    fn compare(&self, index: &mut ChunkIndex, monitor: &dyn Monitor) -> Result<(), SessionError> {
        let present: HashSet<_> = self.repository.ids()?.into_iter().collect();
        let missing = index.compare_with(&present);
        if missing > 0 {
            monitor.notice(Notice::ChunksMissing { count: missing });
        }
        Ok(())
    }

    /// Gives up the chunk index: what it says is there may not be.
    pub(crate) fn forget_index(&mut self) -> Result<(), SessionError> {
        self.index = None;
        Ok(ChunkIndex::remove(&self.state)?)
    }

    /// Makes the index of all archives; `broken` decides what becomes of it where one cannot be read.
    fn rebuild_index(
        &self,
        monitor: &dyn Monitor,
        broken: &mut dyn FnMut(&mut ChunkIndex, BrokenArchive) -> Result<(), BrokenArchive>,
    ) -> Result<ChunkIndex, SessionError> {
        let archives = self.archives();
        if !archives.is_empty() {
            monitor.notice(Notice::Rebuilding { what: "chunk index", archives: archives.len() });
        }
        let mut index = ChunkIndex::default();
        let mut so_far = Rebuilding { what: "chunk index", archives: archives.len(), done: 0, references: 0 };
        for archive in &archives {
            let mut count = |chunk: &ChunkRef| {
                index.reference(chunk);
                so_far.references += 1;
                if so_far.references.is_multiple_of(REFERENCES_TOLD) {
                    monitor.rebuilding(so_far);
                }
            };
            match self.for_each_reference(archive, &mut count) {
                Err(SessionError::Archive(error)) => broken(&mut index, error)?,
                done => done?,
            }
            so_far.done += 1;
            monitor.rebuilding(so_far);
        }
        self.compare(&mut index, monitor)?;
        let without_csize = index.without_csize();
        self.repository.will_read(&mut without_csize.iter().map(|id| (*id).into()));
        for id in without_csize {
            self.check_stop()?;
            let csize = self.repository.get(&id)?.len() as u32;
            index.set_csize(&id, csize);
        }
        Ok(index)
    }
}

/// After how many references somebody is told: an archive may have millions.
const REFERENCES_TOLD: u64 = 1000;
