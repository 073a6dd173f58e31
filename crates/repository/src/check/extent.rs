//! How far the log goes: which segments there are, and up to which of them it was committed.
//!
//! A reader trusts the last COMMIT that is intact. Here more is known: state files are only ever written after their
//! COMMIT was durable, so where there is one of a later transaction, that transaction was committed, and its COMMIT has
//! been lost since. Falling back to an earlier one, as readers do, would drop all it has put.

use worldkeeper_core::RepositoryError;
use worldkeeper_core::repository::Finding;

use super::Report;
use crate::LocalRepository;

/// The segments of a repository, and what of them counts.
pub(super) struct Extent {
    /// Numbers of the segments that count and have anything in them, ascending.
    pub(super) segments: Vec<u32>,
    /// Numbers of those that count and are empty.
    pub(super) empty: Vec<u32>,
    /// The segment that ends with the last intact COMMIT.
    pub(super) committed: Option<u32>,
    /// The latest transaction that state files tell of.
    witnessed: Option<u32>,
    /// Segments up to this one count.
    pub(super) transaction: u32,
}

impl Extent {
    /// Returns whether the segment is there.
    pub(super) fn has(&self, segment: u32) -> bool {
        self.segments.binary_search(&segment).is_ok()
    }
}

impl LocalRepository {
    /// Finds out how far the log goes; `None`, and a problem that no repair can mend, if that cannot be known.
    pub(super) fn find_extent(&self, report: &mut Report<'_>) -> Result<Option<Extent>, RepositoryError> {
        let all = match self.segments.list() {
            Err(RepositoryError::CheckNeeded(reason)) => {
                report.found_beyond_repair(&Finding::problem(reason));
                return Ok(None);
            }
            Err(RepositoryError::Disk(error)) if error.is_not_found() => Vec::new(),
            result => result?,
        };
        self.refuse_attic(&all)?;
        let (mut segments, mut empty) = (Vec::new(), Vec::new());
        for segment in all {
            let list = if self.segments.len(segment)?.is_some() { &mut segments } else { &mut empty };
            list.push(segment);
        }
        let committed = self.last_commit(&segments)?;
        let witnessed = self.state_files.witnessed()?;
        let transaction = committed.max(witnessed).or(segments.last().copied());
        let Some(transaction) = transaction.filter(|last| segments.first().is_some_and(|first| first <= last)) else {
            let what = "the repository contains no valid data: it has no segments, or none that counts";
            report.found_beyond_repair(&Finding::problem(what));
            return Ok(None);
        };
        let uncommitted = segments.split_off(segments.partition_point(|segment| *segment <= transaction));
        empty.retain(|segment| *segment <= transaction);
        if let (Some(first), Some(last)) = (uncommitted.first(), uncommitted.last()) {
            let what = format!(
                "segments {first} to {last} belong to no commit: what is left of a transaction that did not end; the \
                 next writer removes them"
            );
            report.found(&Finding::note(what));
        }
        for segment in &empty {
            report.found(&Finding::note("it is empty, which counts as missing").in_segment(*segment));
        }
        let extent = Extent { segments, empty, committed, witnessed, transaction };
        if let Some(what) = extent.lost_commit() {
            report.found(&Finding::problem(what));
        }
        Ok(Some(extent))
    }
}

impl Extent {
    /// Says, if it is so, that what counts does not end with a COMMIT.
    fn lost_commit(&self) -> Option<String> {
        let Self { committed, witnessed, transaction, .. } = self;
        match (committed, witnessed) {
            (Some(committed), _) if committed == transaction => None,
            (Some(committed), _) => Some(format!(
                "the commit of transaction {transaction}, of which there are state files, is lost; readers see what the \
                 one in segment {committed} has left"
            )),
            (None, Some(_)) => Some(format!(
                "there are state files of transaction {transaction}, but no segment with an intact commit"
            )),
            (None, None) => Some("there is no segment with an intact commit".to_owned()),
        }
    }
}
