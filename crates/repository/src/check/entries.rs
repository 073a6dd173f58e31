//! A check with a time limit: of the entries only, in turns. Each goes on where the last one ended, stock's or ours.

use std::time::Duration;

use worldkeeper_core::RepositoryError;

use super::Report;
use super::extent::Extent;
use super::pieces::Pieces;
use super::survey::check_segment;
use crate::LocalRepository;
use crate::config::Config;

impl LocalRepository {
    /// Reads segments until the time is up or the log ends, and notes in the config how far it came.
    pub(super) fn check_entries(
        &self,
        extent: &Extent,
        limit: Duration,
        report: &mut Report<'_>,
    ) -> Result<(), RepositoryError> {
        let begin = self.clock.monotonic();
        let checked = Config::load(&*self.disk, &self.path)?.last_segment_checked();
        // One after the other: how many there is time for is not known.
        let mut pieces = Pieces::Here { segments: &self.segments, stop: &self.stop };
        let mut ended_at = None;
        for (done, segment) in extent.segments.iter().copied().enumerate() {
            if Some(segment) <= checked {
                continue;
            }
            self.require_going_on()?;
            report.progress(done, extent.segments.len());
            match check_segment(segment, &mut pieces, report, |_, _, _| Ok(())) {
                Ok(_) | Err(RepositoryError::Disk(_)) => {}
                Err(error) => return Err(error),
            }
            if self.clock.monotonic().saturating_sub(begin) > limit && Some(&segment) != extent.segments.last() {
                ended_at = Some(segment);
                break;
            }
        }
        report.outcome.unfinished = ended_at.is_some();
        self.note_last_segment_checked(ended_at)
    }

    /// Notes in the config where a check with a time limit has ended.
    pub(super) fn note_last_segment_checked(&self, segment: Option<u32>) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        let mut config = Config::load(&*self.disk, &self.path)?;
        if config.set_last_segment_checked(segment) { config.save(&*self.disk, &self.path) } else { Ok(()) }
    }
}
