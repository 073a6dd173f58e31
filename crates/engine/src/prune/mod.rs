//! Removes the archives that no rule keeps.

mod plan;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use worldkeeper_archive::ArchiveName;

pub use plan::{Candidate, Count, Decision, Period, Reason, Rules, plan};

use crate::delete::{DeleteError, DeleteStats, delete};
use crate::monitor::Monitor;
use crate::series;
use crate::session::{ArchiveInfo, Session};

/// Decides about every archive of a series, newest first. Other archives in the repository are not looked at.
///
/// Checkpoints of the series go, as with stock: all of them, unless the newest is newer than any archive; about that one
/// nothing is said.
pub fn plan_series(session: &Session, series: &str, rules: &Rules, now: Timestamp, zone: &TimeZone) -> Vec<Decision> {
    let candidate = |archive: &ArchiveInfo, is_one: fn(&str, &str) -> bool| {
        let name = archive.name.as_str().filter(|name| is_one(name, series))?.to_owned();
        Some(Candidate { name, time: archive.time })
    };
    let member = |archive: &ArchiveInfo| candidate(archive, series::is_member);
    let checkpoint = |archive: &ArchiveInfo| candidate(archive, series::is_checkpoint_of);
    let archives = session.archives();
    let candidates: Vec<_> = archives.iter().filter_map(member).collect();
    let mut decisions = plan(&candidates, rules, now, zone);
    let newest = candidates.iter().map(|archive| archive.time).max();
    let checkpoints: Vec<_> = archives.iter().filter_map(checkpoint).collect();
    let latest = checkpoints.iter().max_by_key(|archive| archive.time).filter(|latest| Some(latest.time) > newest);
    let latest = latest.map(|archive| archive.name.clone());
    let superseded = checkpoints.into_iter().filter(|archive| latest.as_ref() != Some(&archive.name));
    decisions.extend(superseded.map(|archive| Decision { archive, keep: None }));
    decisions
}

/// Deletes the archives that a plan lets go, all in one transaction.
///
/// An archive that was made with a clock that went back looks like the oldest, and would be the first to go. So nothing
/// goes as long as there is one from the future.
pub fn prune(session: &mut Session, plan: &[Decision], monitor: &dyn Monitor) -> Result<DeleteStats, DeleteError> {
    let gone = plan.iter().filter(|decision| decision.keep.is_none());
    let gone: Vec<_> = gone.map(|decision| ArchiveName::from_bytes(decision.archive.name.as_bytes())).collect();
    if gone.is_empty() {
        return Ok(DeleteStats::default());
    }
    let now = session.now();
    if let Some(Decision { archive: Candidate { name, time }, .. }) =
        plan.iter().find(|decision| decision.archive.time > now)
    {
        let name = ArchiveName::from_bytes(name.as_bytes());
        return Err(DeleteError::FromTheFuture { name, time: *time, now });
    }
    delete(session, &gone, monitor)
}
