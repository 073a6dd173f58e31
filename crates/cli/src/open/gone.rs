//! Which archives that the history knows are not in the repository any more, and which of those are back.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::warn;
use worldkeeper_core::error_text;
use worldkeeper_engine::{Session, Trust};
use worldkeeper_scheduler::history::{HistoryError, Run};

use crate::escape::escape;
use crate::place::Place;
use crate::words;

impl Place {
    /// Notes which archives somebody else has deleted, so that none of them is taken for the last good one, and which somebody has
    /// brought back. A repository that is not as it was left, or is read without a lock, proves nothing.
    pub(super) fn note_gone(&self, session: &Session) {
        if self.reads_unlocked.load(Ordering::Relaxed) || matches!(session.trust(), Trust::Suspicious(_)) {
            return;
        }
        if let Err(error) = self.forget_gone(session) {
            warn!("`status` and the schedule know the archives as they were: {}", error_text(&error));
        }
    }

    fn forget_gone(&self, session: &Session) -> Result<(), HistoryError> {
        let back = self.back(session)?;
        if !back.is_empty() {
            self.history().undeleted(&self.location(), &back)?;
        }
        let gone = self.gone(session)?;
        if gone.is_empty() {
            return Ok(());
        }
        let last_good = self.history().last_good(self.series(), &self.location())?.and_then(|run| run.archive);
        if let Some(name) = last_good.filter(|name| gone.contains(name)) {
            warn!("{}", not_there(&name));
        } else {
            warn!("somebody else has deleted {} of this series", words::count(gone.len() as u64, "archive"));
        }
        self.history().gone(&self.location(), &gone)
    }

    /// The archives of the series that were made here, that nobody is known to have deleted, and that are not in the
    /// repository: what is asked under a lock is certain.
    pub(crate) fn gone(&self, session: &Session) -> Result<Vec<String>, HistoryError> {
        let runs = self.history().runs(self.series(), &self.location())?;
        let is_there = there(session);
        let gone = runs.into_iter().filter(|run| !run.is_deleted && !is_there(run));
        Ok(gone.filter_map(|run| run.archive).collect())
    }

    /// The archives of the series that were deleted, and are in the repository: each under its name, and of its time, or it would be
    /// another one.
    fn back(&self, session: &Session) -> Result<Vec<String>, HistoryError> {
        let runs = self.history().runs(self.series(), &self.location())?;
        let archives = session.archives().into_iter();
        let there: BTreeSet<_> =
            archives.map(|archive| (archive.name.to_string(), archive.time.as_microsecond())).collect();
        let deleted = runs.into_iter().filter(|run| run.is_deleted);
        let deleted = deleted.filter_map(|run| Some((run.archive?, run.start.as_microsecond())));
        Ok(deleted.filter(|archive| there.contains(archive)).map(|(name, _)| name).collect())
    }
}

/// Tells of runs whether their archives are there. One that has another name now is known by its time; a run that made
/// none misses none.
pub(crate) fn there(session: &Session) -> impl Fn(&Run) -> bool {
    let archives = session.archives();
    let (names, times): (BTreeSet<_>, BTreeSet<_>) =
        archives.into_iter().map(|archive| (archive.name.to_string(), archive.time.as_microsecond())).unzip();
    move |run| {
        run.archive.as_ref().is_none_or(|name| names.contains(name) || times.contains(&run.start.as_microsecond()))
    }
}

/// That somebody else has deleted archives which these runs have made, in words. `more` are those of which it is found now.
pub(crate) fn others_deleted(runs: &[Run], more: u64, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let found = runs.iter().filter_map(|run| Some(run.gone?.found));
    let count = found.clone().count() as u64 + more;
    let last = if more > 0 { now } else { found.max()? };
    let archives = words::count(count, "archive");
    Some(format!("somebody else has deleted {archives} of this series, as was found at {}", words::moment(last, zone)))
}

/// Returns whether somebody else has deleted what was the newest archive then: that no rules do, wherever they are applied.
pub(crate) fn others_deleted_newest(runs: &[Run]) -> bool {
    let newer = |run: &Run, found: Timestamp| {
        let mut newer = runs.iter().filter(|other| other.start > run.start && other.end <= found);
        newer.any(|other| other.has_archived() && other.gone.is_none())
    };
    runs.iter().any(|run| run.gone.is_some_and(|gone| !newer(run, gone.found)))
}

/// Of the last good archive, in words.
pub(crate) fn not_there(name: &str) -> String {
    format!("the last good archive {} is not in the repository any more: somebody else has deleted it", escape(name))
}
