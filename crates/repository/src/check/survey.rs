//! Are the entries what was written? Reads all segments that count, and works out what they contain.

use worldkeeper_core::repository::Finding;
use worldkeeper_core::{DiskError, RepositoryError, error_text};

use super::Report;
use super::extent::Extent;
use crate::LocalRepository;
use crate::hints::Hints;
use crate::index::Index;
use crate::replay::Replay;
use crate::segment::{Entry, Salvaged};

/// What was found out about the segments, for a comparison and a repair to go by.
pub(super) struct Survey {
    /// What the entries that verify add up to.
    pub(super) index: Index,
    pub(super) hints: Hints,
    /// Segments with something in them that is no entry.
    pub(super) damaged: Vec<u32>,
    /// Why a segment could not be read at all.
    pub(super) unreadable: Option<DiskError>,
    /// The state files do not say what the segments say.
    pub(super) is_state_wrong: bool,
}

impl LocalRepository {
    /// Reads all segments that count.
    pub(super) fn survey(&self, extent: &Extent, report: &mut Report<'_>) -> Result<Survey, RepositoryError> {
        let mut replay = Replay::new(&self.segments, &extent.segments, None);
        let (mut damaged, mut unreadable) = (Vec::new(), None);
        for (done, segment) in extent.segments.iter().copied().enumerate() {
            self.require_going_on()?;
            report.progress(done, extent.segments.len());
            replay.begin_segment(segment);
            match self.check_segment(segment, report, |entry| replay.entry(segment, entry)) {
                Ok(true) => {}
                Ok(false) => damaged.push(segment),
                Err(RepositoryError::Disk(error)) => unreadable = unreadable.or(Some(error)),
                Err(error) => return Err(error),
            }
            replay.end_segment(segment, self.segments.len(segment)?.unwrap_or(0));
        }
        report.progress(extent.segments.len(), extent.segments.len());
        let (index, hints) = replay.finish();
        report.outcome.objects = index.len() as u64;
        Ok(Survey { index, hints, damaged, unreadable, is_state_wrong: false })
    }

    /// Reads one segment, and tells of what is no entry. Returns whether all of it is.
    pub(super) fn check_segment(
        &self,
        segment: u32,
        report: &mut Report<'_>,
        mut on_entry: impl FnMut(&Entry<'_>) -> Result<(), RepositoryError>,
    ) -> Result<bool, RepositoryError> {
        let mut is_intact = true;
        let mut read = || {
            let mut reader = self.segments.salvage(segment)?;
            while let Some(salvaged) = reader.next()? {
                match salvaged {
                    Salvaged::Entry(entry) => on_entry(&entry)?,
                    Salvaged::Damage(damage) => {
                        is_intact = false;
                        let what = format!("{}; {} bytes are no log entry", damage.reason, damage.len);
                        report.found(&Finding::problem(what).in_segment(segment).at(damage.offset));
                    }
                }
            }
            Ok(())
        };
        let result = read();
        report.outcome.segments += 1;
        if let Err(RepositoryError::Disk(error)) = &result {
            report.found_beyond_repair(&Finding::problem(error_text(error)).in_segment(segment));
        }
        result.map(|()| is_intact)
    }

    /// Requires that nobody has asked to stop.
    pub(super) fn require_going_on(&self) -> Result<(), RepositoryError> {
        if self.stop.is_requested() { Err(RepositoryError::Stopped) } else { Ok(()) }
    }
}
