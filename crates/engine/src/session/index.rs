//! Where the chunk index of a session comes from.

use std::collections::HashSet;

use super::{Session, SessionError};
use crate::cache::ChunkIndex;
use crate::monitor::{Monitor, Notice};

impl Session {
    /// Takes the chunk index: the one at hand, the stored one, or one made anew from all archives.
    ///
    /// It is taken, not lent: whoever changes the repository changes it too, and gives it back with the commit. If the
    /// change fails, the next one loads it again.
    pub(crate) fn take_index(&mut self, monitor: &dyn Monitor) -> Result<ChunkIndex, SessionError> {
        if let Some(index) = self.index.take() {
            return Ok(index);
        }
        match ChunkIndex::load(&self.state, &self.key, self.manifest_id) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(problem) => monitor.notice(Notice::CacheLost { what: "chunk index", problem: &problem }),
        }
        self.rebuild_index(monitor)
    }

    /// Gives up the chunk index: what it says is there may not be.
    pub(crate) fn forget_index(&mut self) -> Result<(), SessionError> {
        self.index = None;
        Ok(ChunkIndex::remove(&self.state)?)
    }

    fn rebuild_index(&self, monitor: &dyn Monitor) -> Result<ChunkIndex, SessionError> {
        let archives = self.archives();
        if !archives.is_empty() {
            monitor.notice(Notice::Rebuilding { what: "chunk index", archives: archives.len() });
        }
        let mut index = ChunkIndex::default();
        for archive in &archives {
            self.for_each_reference(archive, &mut |chunk| index.reference(chunk))?;
        }
        let present: HashSet<_> = self.repository.ids()?.into_iter().collect();
        let missing = index.compare_with(&present);
        if missing > 0 {
            monitor.notice(Notice::ChunksMissing { count: missing });
        }
        for id in index.without_csize() {
            self.check_stop()?;
            let csize = self.repository.get(&id)?.len() as u32;
            index.set_csize(&id, csize);
        }
        Ok(index)
    }
}
