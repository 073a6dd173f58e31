//! What somebody should look at, of one repository.

use std::time::Duration;

use worldkeeper_scheduler::history::{Files, Kind, Run, RunOutcome};

use super::Status;
use crate::open::{Presence, others_deleted, others_deleted_newest};
use crate::settings::{Origin, duration_text};
use crate::words::{self, is_ahead};

/// How much later than an interval a good archive may be, at least: the time a slow backup or a few retries take.
const SLACK: Duration = Duration::from_mins(15);

impl Status<'_> {
    /// What somebody should look at.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let settings = &self.place.settings;
        let location = self.place.location();
        match self.presence {
            Presence::There => {}
            Presence::Absent if self.runs.is_empty() => {
                problems.push(format!("there is no repository at {location} yet: the first backup makes it"));
            }
            Presence::Absent => {
                problems.push(format!("there is no repository at {location} now: is its volume mounted?"));
            }
            Presence::Silent => problems.push(format!(
                "the repository at {location} does not answer: look at what is mounted there, its server or process is gone, \
                 or very slow"
            )),
        }
        let limit = allowed_age(self.interval);
        match self.last_good() {
            // Where there is no repository, that is said.
            None if self.presence == Presence::Absent => {}
            None if self.runs.iter().any(|run| run.is_deleted) => problems.push(format!(
                "there is no good archive of the series {} any more: those that were made were deleted, or are lost. Make one: \
                 worldkeeper backup",
                self.place.series()
            )),
            None => {
                let series = self.place.series();
                let doubt = match settings.name.origin {
                    Origin::Default => "; if another one is meant, name it with --name, or its --source",
                    _ => "",
                };
                problems.push(format!("there is no good archive of the series {series} yet{doubt}"));
            }
            Some(run) if is_ahead(run.start, self.common.now) => problems.push(format!(
                "the last good archive is from the future ({}): see to the clock of this machine, or backups are taken for made \
                 until then",
                words::moment(run.start, &self.place.zone),
            )),
            Some(run) if self.common.game_may_run() && words::since(run.start, self.common.now) > limit => problems
                .push(format!(
                    "the last good archive is {} old; while the game runs, one is expected every {} and late after {}",
                    self.age(run.start),
                    duration_text(self.interval),
                    duration_text(limit),
                )),
            Some(run) => problems.extend(self.unsaved(run, limit)),
        }
        // What rules elsewhere let go is nothing to be alarmed about.
        if others_deleted_newest(&self.runs)
            && let Some(deleted) = others_deleted(&self.runs, 0, self.common.now, &self.place.zone)
        {
            problems.push(format!("{deleted}: find out who may delete here, then run `worldkeeper backup`"));
        }
        // A game that rests says nothing of it: the backup was begun while it ran.
        if let Some(begun) = self.begun.filter(|_| self.common.has_daemon)
            && words::since(begun, self.common.now) > limit
        {
            problems.push(format!(
                "the backup that was begun {} ago ({}) has not ended: look into the log for what it waits for. It may be a lock that \
                 somebody else holds, a disk or a server that hangs, or much that is new for a slow line",
                self.age(begun),
                words::moment(begun, &self.place.zone),
            ));
        }
        if let Some(damage) = &self.damage {
            problems.push(format!(
                "the repository was found damaged {} ago ({}), and no check has found it mended since: keep a copy of it if you \
                 can, look after its disk, then run `worldkeeper check --repair{}`, and after it `worldkeeper backup`",
                self.age(damage.found),
                words::count(damage.problems, "problem"),
                if damage.place.data { " --verify-data" } else { "" },
            ));
        }
        let made = self.runs.iter().rev().find(|run| run.has_archived());
        if let Some((run, text)) = made.and_then(|run| Some((run, run.elsewhere.as_ref()?))) {
            problems.push(format!("the last backup found {} ago: {text}", self.age(run.end)));
        }
        for (kind, what) in [(Kind::Backup, "backup"), (Kind::Prune, "pruning"), (Kind::Compact, "compaction")] {
            let [last, before] = told(&self.runs, kind);
            problems.extend(last.and_then(|run| self.amiss(run, what)));
            problems.extend(before.and_then(|run| self.amiss(run, "backup that made an archive")));
        }
        problems
    }

    /// What was amiss with a run.
    fn amiss(&self, run: &Run, what: &str) -> Option<String> {
        match run.outcome {
            RunOutcome::Failed => {
                let error = run.error.as_deref().unwrap_or("the reason is not known");
                Some(format!("the last {what} failed {} ago: {error}", self.age(run.end)))
            }
            RunOutcome::Warnings => {
                let amiss = run.amiss.clone().unwrap_or_else(|| amiss(&run.files));
                Some(format!("the last {what} had warnings: {amiss}; see the log"))
            }
            RunOutcome::Good | RunOutcome::Stopped => None,
        }
    }

    /// That the game, which rests now, ran on when the last good archive was late already: while it rests no other one is
    /// expected, so this stays until one is made.
    fn unsaved(&self, last_good: &Run, limit: Duration) -> Option<String> {
        let (container, end) = self.common.played_until()?;
        let without = words::since(last_good.start, end);
        (without > limit).then(|| {
            format!(
                "container {container} ran until {} ago ({}), and the last good archive was {} old by then; while the game \
                 runs, one is expected every {} and late after {}. What was played since is in no archive: look into the log \
                 for what was in the way, then run `worldkeeper backup`",
                self.age(end),
                words::moment(end, &self.place.zone),
                words::duration(without),
                duration_text(self.interval),
                duration_text(limit),
            )
        })
    }
}

/// The runs of a kind that tell how it is: the last one that was not stopped; and if no archive came of that, the one that
/// made the last archive, too.
fn told(runs: &[Run], kind: Kind) -> [Option<&Run>; 2] {
    let tells = |run: &&Run| run.kind == kind && !run.is_partial && run.outcome != RunOutcome::Stopped;
    let last = runs.iter().rfind(tells);
    let archived = runs.iter().rfind(|run| kind == Kind::Backup && run.has_archived());
    [last, archived.filter(|run| last.is_some_and(|last| last != *run))]
}

/// What was amiss with files, by their counts alone.
fn amiss(files: &Files) -> String {
    let unread = files.failed + files.torn;
    if unread + files.broken + files.new + files.changed + files.unchanged == 0 {
        return "the archive holds no file at all".to_owned();
    }
    let mut said = Vec::new();
    if unread > 0 || files.broken == 0 {
        said.push(format!("{} could not be read, or not in one piece", words::count(unread.max(1), "file")));
    }
    if files.broken > 0 {
        said.push(format!("{} found broken", words::count(files.broken, "file")));
    }
    said.join("; ")
}

/// How old the last good archive may be: twice the interval, but no less than [`SLACK`] more than it.
fn allowed_age(interval: Duration) -> Duration {
    interval.saturating_add(interval.max(SLACK))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_amiss_is_told_by_kind() {
        let files = |failed, torn, broken| amiss(&Files { failed, torn, broken, ..Files::default() });
        assert_eq!(files(1, 2, 0), "3 files could not be read, or not in one piece");
        assert_eq!(files(0, 0, 2), "2 files found broken");
        assert_eq!(files(0, 1, 1), "1 file could not be read, or not in one piece; 1 file found broken");
        // Earlier versions counted no more than what had failed.
        let earlier = Files { unchanged: 7, ..Files::default() };
        assert_eq!(amiss(&earlier), "1 file could not be read, or not in one piece");
        // An empty source is read to its end.
        assert_eq!(files(0, 0, 0), "the archive holds no file at all");
    }

    #[test]
    fn what_was_stopped_hides_nothing_nor_does_what_failed() {
        let run = |minute: i64, kind: &str, outcome: &str, archive: Option<&str>| {
            let moment = format!("2026-11-06T12:{minute:02}:00.000000");
            let run = json!({"kind": kind, "start": moment, "end": moment, "outcome": outcome, "archive": archive});
            serde_json::from_value::<Run>(run).expect("it is one")
        };
        let broken = run(1, "backup", "warnings", Some("mc-1"));
        let failed = run(2, "backup", "failed", None);
        let pruned = run(3, "prune", "failed", None);
        let stopped = |minute, kind| run(minute, kind, "stopped", None);
        let runs = [broken.clone(), failed.clone(), pruned.clone(), stopped(4, "prune"), stopped(5, "backup")];
        assert_eq!(told(&runs, Kind::Backup), [Some(&failed), Some(&broken)]);
        assert_eq!(told(&runs, Kind::Prune), [Some(&pruned), None]);
        assert_eq!(told(&runs, Kind::Compact), [None, None]);
        assert_eq!(told(&runs[..1], Kind::Backup), [Some(&broken), None], "it is said once");
        assert_eq!(told(&[stopped(1, "backup")], Kind::Backup), [None, None]);
    }

    #[test]
    fn an_archive_is_late_after_two_intervals_or_some_slack() {
        assert_eq!(allowed_age(Duration::from_hours(1)), Duration::from_hours(2));
        assert_eq!(allowed_age(Duration::from_secs(1)), SLACK + Duration::from_secs(1));
    }
}
