//! What becomes of a commit that is lost although its state files are there.

use worldkeeper_core::RepositoryError;

use crate::LocalRepository;
use crate::options::Mode;
use crate::sync::write;

impl LocalRepository {
    /// Gives up a transaction whose commit is lost, as every writer does, and stock borg whenever it reads: from now on the
    /// one before is the last, and nothing tells of the other. Returns the number of what was given up.
    ///
    /// A check would report it and a repair bring it back. This is for those who expect to go on at what readers see.
    /// Does nothing without the exclusive lock, nor where what readers see is not whole.
    pub fn give_up_lost_commit(&self) -> Result<Option<u32>, RepositoryError> {
        if self.mode != Mode::Exclusive {
            return Ok(None);
        }
        let committed = self.last_commit(&self.segments.list()?)?;
        let lost = self.state_files.witnessed()?.filter(|witnessed| Some(*witnessed) > committed);
        if lost.is_none() || committed.is_none() || self.require_compaction_whole(committed).is_err() {
            return Ok(None);
        }
        self.require_exclusive()?;
        self.state_files.remove_newer(committed)?;
        self.reload();
        self.with_loaded(|_| ())?;
        Ok(lost)
    }

    /// Finds out anew what the repository contains when it is next asked for. Not to be called within a transaction.
    pub fn reload(&self) {
        *write(&self.loaded) = None;
    }
}
