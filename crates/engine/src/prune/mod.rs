//! Removes the archives that no rule keeps.

mod plan;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use worldkeeper_archive::ArchiveName;

pub use plan::{Candidate, Count, Decision, Period, Reason, Rules, plan};

use crate::delete::{DeleteError, DeleteStats, delete};
use crate::extent::Extent;
use crate::monitor::Monitor;
use crate::series;
use crate::session::{ArchiveInfo, ArchiveProblem, Proofs, Session, SessionError};

/// What is to become of the archives of a series.
#[derive(Debug, Default)]
pub struct SeriesPlan {
    /// A decision about every archive that proves who made it, newest first, then about its checkpoints.
    pub decisions: Vec<Decision>,
    /// Archives that do not, and why: no rule is applied to them, they keep nobody's place, and they stay.
    pub unproven: Vec<(ArchiveInfo, ArchiveProblem)>,
}

impl SeriesPlan {
    /// How many archives go.
    pub fn going(&self) -> usize {
        self.decisions.iter().filter(|decision| decision.keep.is_none()).count()
    }
}

/// Decides about every archive of a series. Other archives in the repository are not looked at. Those that are `lacking`,
/// by their names, take no other one's place; nor do those that say themselves that they hold no file.
///
/// Checkpoints of the series go, as with stock: all of them, unless the newest is newer than any archive that is not
/// lacking, or one holds [far more](Extent::is_far_less_than) than the newest of those; about these nothing is said.
///
/// # Errors
///
/// If a stop was asked for while it was found out which archives prove who made them.
pub fn plan_series(
    session: &Session,
    series: &str,
    lacking: &BTreeSet<String>,
    rules: &Rules,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<SeriesPlan, SessionError> {
    let is_of = |archive: &ArchiveInfo, is_one: fn(&str, &str) -> bool| {
        archive.name.as_str().is_some_and(|name| is_one(name, series))
    };
    let is_member = |archive: &ArchiveInfo| is_of(archive, series::is_member);
    let is_checkpoint = |archive: &ArchiveInfo| is_of(archive, series::is_checkpoint_of);
    let mut archives = session.archives();
    archives.retain(|archive| is_member(archive) || is_checkpoint(archive));
    let Proofs { proven, unproven, without_files } = session.prove(archives)?;
    let (members, checkpoints): (Vec<_>, Vec<_>) = proven.into_iter().partition(is_member);
    let is_lacking =
        |name: &ArchiveName| without_files.contains(name) || name.as_str().is_some_and(|name| lacking.contains(name));
    let candidate = |ArchiveInfo { name, time, .. }: ArchiveInfo| Candidate {
        is_lacking: is_lacking(&name),
        name: name.to_string(),
        time,
    };
    let newest =
        members.iter().filter(|archive| !is_lacking(&archive.name)).max_by_key(|archive| archive.time).cloned();
    let members: Vec<_> = members.into_iter().map(candidate).collect();
    let mut decisions = plan(&members, rules, now, zone);
    let is_newer = |checkpoint: &&ArchiveInfo| newest.as_ref().is_none_or(|newest| checkpoint.time > newest.time);
    let latest = checkpoints.iter().max_by_key(|archive| archive.time).filter(is_newer);
    let latest = latest.map(|archive| archive.name.clone());
    for checkpoint in checkpoints.into_iter().filter(|archive| latest.as_ref() != Some(&archive.name)) {
        if !holds_far_more(session, &checkpoint, newest.as_ref())? {
            decisions.push(Decision { archive: candidate(checkpoint), keep: None });
        }
    }
    Ok(SeriesPlan { decisions, unproven })
}

/// Returns whether a checkpoint holds far more than the archive that came after it, which may be of a world that was made anew.
fn holds_far_more(
    session: &Session,
    checkpoint: &ArchiveInfo,
    newest: Option<&ArchiveInfo>,
) -> Result<bool, SessionError> {
    let Some(newest) = newest else { return Ok(false) };
    let extents = (Extent::of_listed(session, newest)?, Extent::of_listed(session, checkpoint)?);
    Ok(matches!(extents, (Some(newest), Some(checkpoint)) if newest.is_far_less_than(checkpoint)))
}

/// Requires that a plan can be believed.
///
/// An archive that was made with a clock that went back looks like the oldest, and would be the first to go. So nothing
/// goes as long as there is one from the future.
pub fn require_past(session: &Session, plan: &[Decision]) -> Result<(), DeleteError> {
    let now = session.now();
    if plan.iter().any(|decision| decision.keep.is_none())
        && let Some(Decision { archive: Candidate { name, time, .. }, .. }) =
            plan.iter().find(|decision| decision.archive.time > now)
    {
        let name = ArchiveName::from_bytes(name.as_bytes());
        return Err(DeleteError::FromTheFuture { name, time: *time, now });
    }
    Ok(())
}

/// Deletes the archives that a plan lets go, all in one transaction, if it [can be believed](require_past).
pub fn prune(session: &mut Session, plan: &[Decision], monitor: &dyn Monitor) -> Result<DeleteStats, DeleteError> {
    require_past(session, plan)?;
    let gone = plan.iter().filter(|decision| decision.keep.is_none());
    let gone: Vec<_> = gone.map(|decision| ArchiveName::from_bytes(decision.archive.name.as_bytes())).collect();
    if gone.is_empty() { Ok(DeleteStats::default()) } else { delete(session, &gone, monitor) }
}
