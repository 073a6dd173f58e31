//! Which archives that the history knows are not in the repository any more.

use std::collections::BTreeSet;

use worldkeeper_engine::Session;
use worldkeeper_scheduler::history::{HistoryError, Run};

use crate::place::Place;

impl Place {
    /// The archives of the series that were made here, that nobody is known to have deleted, and that are not in the
    /// repository: what is asked under a lock is certain.
    pub(crate) fn gone(&self, session: &Session) -> Result<Vec<String>, HistoryError> {
        let runs = self.history().runs(self.series(), &self.location())?;
        let is_there = there(session);
        let gone = runs.into_iter().filter(|run| !run.is_deleted && !is_there(run));
        Ok(gone.filter_map(|run| run.archive).collect())
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
