//! Do index and hints say what the entries say?
//!
//! A wrong index loses objects or invents them, so every difference is a problem. Hints steer compaction, which
//! believes its own eyes where it matters; a difference is noted, and a repair writes them anew. State files that are
//! missing are what a crash leaves, and whoever opens the repository next makes them.

use worldkeeper_core::RepositoryError;
use worldkeeper_core::repository::Finding;

use super::Report;
use super::extent::Extent;
use super::survey::Survey;
use crate::LocalRepository;
use crate::hints::Hints;
use crate::index::Index;
use crate::segment::Location;

impl LocalRepository {
    /// Compares the state files with what the segments contain.
    pub(super) fn compare(
        &self,
        extent: &Extent,
        survey: &mut Survey,
        report: &mut Report<'_>,
    ) -> Result<(), RepositoryError> {
        let transaction = extent.transaction;
        let missing = self.state_files.missing(transaction)?;
        if !missing.is_empty() {
            survey.is_state_wrong = true;
            report.found(&Finding::note(format!("{} is missing; it will be made anew", missing.join(" and "))));
        }
        let is_there = |prefix| !missing.iter().any(|name| name.starts_with(prefix));
        let is_index_wrong = is_there("index.")
            && match self.state_files.read_index(transaction) {
                Ok(index) => compare_indices(&index, extent, &survey.index, report),
                Err(reason) => unusable(reason, report),
            };
        let are_hints_wrong = is_there("hints.")
            && match self.state_files.read_hints(transaction) {
                // Where entries or segments are lost, the hints differ for that reason alone.
                Ok(_) if is_index_wrong || !survey.damaged.is_empty() => false,
                Ok(hints) => compare_hints(&hints, extent, &survey.hints, report),
                Err(reason) => unusable(reason, report),
            };
        survey.is_state_wrong |= is_index_wrong || are_hints_wrong;
        Ok(())
    }
}

/// Tells why a state file cannot be used; that is to say that it is wrong.
fn unusable(reason: String, report: &mut Report<'_>) -> bool {
    report.found(&Finding::problem(reason));
    true
}

/// Tells every difference; returns whether there is any.
fn compare_indices(index: &Index, extent: &Extent, rebuilt: &Index, report: &mut Report<'_>) -> bool {
    let mut differ = false;
    let mut tell = |what: &str, id, location: Location| {
        differ = true;
        report.found(&Finding::problem(what).in_segment(location.segment).at(location.offset).of(id));
    };
    for (id, location) in index.iter() {
        match rebuilt.get(&id) {
            Some(found) if found == location => {}
            Some(_) => tell("the index says it is here, the segments have it elsewhere", id, location),
            None if extent.has(location.segment) => tell("the index says it is here, but it is not", id, location),
            None => tell("the index says it is here, but the segment is missing", id, location),
        }
    }
    for (id, location) in rebuilt.iter() {
        if index.get(&id).is_none() {
            tell("it is here, but the index does not know it", id, location);
        }
    }
    differ
}

/// Tells what is wrong in the hints; returns whether anything is.
fn compare_hints(hints: &Hints, extent: &Extent, rebuilt: &Hints, report: &mut Report<'_>) -> bool {
    let mut differ = false;
    let mut tell = |finding: Finding| {
        differ = true;
        report.found(&finding);
    };
    for (segment, count) in &hints.segments {
        let found = rebuilt.segments.get(segment).copied().unwrap_or(0);
        if !extent.has(*segment) {
            tell(Finding::note("the hints name it, but it is missing").in_segment(*segment));
        } else if found != *count {
            let what = format!("the hints say that {count} of its objects are in use, but {found} are");
            tell(Finding::note(what).in_segment(*segment));
        }
    }
    for (segment, found) in &rebuilt.segments {
        if *found != 0 && !hints.segments.contains_key(segment) {
            let what = format!("the hints do not know it, but {found} of its objects are in use");
            tell(Finding::note(what).in_segment(*segment));
        }
    }
    for segment in hints.compact.keys() {
        if !extent.has(*segment) && !hints.segments.contains_key(segment) {
            tell(Finding::note("the hints say that it can be compacted, but it is missing").in_segment(*segment));
        }
    }
    for (id, segments) in &hints.shadow_index {
        if let Some(segment) = segments.iter().find(|segment| !extent.has(**segment)) {
            tell(
                Finding::note("the hints name a superseded version here, but it is missing")
                    .in_segment(*segment)
                    .of(*id),
            );
        }
    }
    if hints.storage_quota_use != rebuilt.storage_quota_use {
        let (noted, found) = (hints.storage_quota_use, rebuilt.storage_quota_use);
        tell(Finding::note(format!("the hints say that objects take {noted} bytes, but they take {found}")));
    }
    differ
}
