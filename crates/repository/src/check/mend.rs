//! The repair: makes the repository what the survey has found it to contain.
//!
//! Every entry that verifies is kept. A damaged segment is never written to: its entries are copied to a file beside
//! it, and when all such files are durable they take their places. Up to then nothing has changed, so that a disk
//! without room for the copies leaves everything as it was. While the names are exchanged there is no index, because
//! none would be right; whoever opens the repository then finds either all segments intact and replays them, or one
//! that is not, and is told to repair again. Repairing again does what is left to do.

use worldkeeper_core::RepositoryError;
use worldkeeper_core::repository::Finding;

use super::Report;
use super::extent::Extent;
use super::survey::Survey;
use crate::LocalRepository;
use crate::earlier::Earlier;
use crate::segment::Salvaged;
use crate::sync::write;
use crate::transaction::remove_aborted;

impl LocalRepository {
    /// Mends what was found.
    pub(super) fn mend(&self, extent: &Extent, survey: Survey, report: &mut Report<'_>) -> Result<(), RepositoryError> {
        let Survey { index, hints, damaged, unreadable, is_state_wrong } = survey;
        // They may be large, and do not know where things will be.
        drop((index, hints));
        if let Some(error) = unreadable {
            // Perhaps it can be read later. What cannot be read now must not be taken for damage.
            return Err(error.into());
        }
        self.require_exclusive()?;
        self.segments.remove_all_beside()?;
        let copies = self.copy_all(&damaged, report)?;
        self.require_exclusive()?;
        // Even if this ends with an error, nobody shall go by what was so before.
        *write(&self.loaded) = None;
        *write(&self.earlier) = Earlier::new();
        let transaction = self.secure_commit(extent)?;
        if !copies.is_empty() {
            self.exchange(&copies)?;
        }
        for segment in &extent.empty {
            self.segments.remove(*segment)?;
        }
        self.segments.sync_names(extent.empty.iter().copied())?;
        if is_state_wrong || !copies.is_empty() || extent.committed != Some(transaction) {
            self.segments.make_durable(Some(transaction))?;
            let (index, hints) = self.replay_all(&self.segments.list()?, transaction)?;
            self.require_exclusive()?;
            self.save_state(transaction, &index, &hints)?;
        }
        self.note_last_segment_checked(None)
    }

    /// Puts the copies in the places of the damaged segments. There are no state files when this returns.
    fn exchange(&self, copies: &[Copy]) -> Result<(), RepositoryError> {
        self.state_files.remove_all()?;
        for copy in copies {
            self.require_exclusive()?;
            if copy.entries > 0 {
                self.segments.replace(copy.segment)?;
            } else {
                self.segments.remove(copy.segment)?;
                self.segments.sync_names([copy.segment])?;
            }
        }
        Ok(())
    }

    /// Copies what is left of damaged segments to files beside them, all or none.
    fn copy_all(&self, damaged: &[u32], report: &mut Report<'_>) -> Result<Vec<Copy>, RepositoryError> {
        let mut copies = Vec::new();
        for segment in damaged {
            match self.require_going_on().and_then(|()| self.copy_entries(*segment)) {
                Ok(copy) => copies.push(copy),
                Err(error) => {
                    for segment in damaged {
                        // On a full disk its space is needed; elsewhere the next repair makes it anew.
                        let _ = self.segments.remove_beside(*segment);
                    }
                    return Err(error);
                }
            }
        }
        for Copy { segment, entries, dropped_bytes, .. } in &copies {
            let what = format!("mended: {entries} entries are kept, {dropped_bytes} bytes that are none are dropped");
            report.found(&Finding::note(what).in_segment(*segment));
        }
        Ok(copies)
    }

    fn copy_entries(&self, segment: u32) -> Result<Copy, RepositoryError> {
        let mut copy = Copy { segment, ..Copy::default() };
        let mut reader = self.segments.salvage(segment)?;
        let mut writer = self.segments.create_beside(segment)?;
        while let Some(salvaged) = reader.next(&|| true)? {
            match salvaged {
                Salvaged::Entry(entry) => {
                    copy.entries += 1;
                    writer.copy(entry.bytes)?;
                }
                Salvaged::Damage(damage) => copy.dropped_bytes += damage.len,
            }
        }
        writer.close()?;
        if copy.entries == 0 {
            self.segments.remove_beside(segment)?;
        }
        Ok(copy)
    }

    /// Sees to it that what counts ends with a COMMIT. Returns the segment it stands in.
    ///
    /// This comes before the state files are removed, which may be all that tells how far the log counts.
    fn secure_commit(&self, extent: &Extent) -> Result<u32, RepositoryError> {
        if extent.committed == Some(extent.transaction) {
            return Ok(extent.transaction);
        }
        let next = extent.transaction.saturating_add(1);
        remove_aborted(self, next)?;
        let mut writer = self.segments.create(next)?;
        writer.commit()?;
        writer.close()?;
        self.segments.sync_names([next])?;
        Ok(next)
    }
}

/// What was copied of a damaged segment.
#[derive(Default)]
struct Copy {
    segment: u32,
    entries: u64,
    dropped_bytes: u64,
}
