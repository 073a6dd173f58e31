//! `status`: how the backups are, without touching the repository, so that it answers while somebody works on it.

mod problems;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use worldkeeper_docker::{Container, DockerError, State};
use worldkeeper_engine::Escrow;
use worldkeeper_scheduler::history::{Damage, Run};

use super::beside::DaemonSettings;
use super::containers;
use super::output::Output;
use crate::escape::escape;
use crate::json::document;
use crate::open::{ASK_FOR_COPY, Presence};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// What is known of all repositories.
struct Common<'a> {
    place: &'a Place,
    now: Timestamp,
    containers: Vec<(String, Result<Container, DockerError>)>,
    has_daemon: bool,
}

/// What is known of one repository, and judged.
struct Status<'a> {
    common: &'a Common<'a>,
    place: Arc<Place>,
    /// From one archive to the next.
    interval: Duration,
    presence: Presence,
    runs: Vec<Run>,
    /// When the daemon began a backup that has not ended.
    begun: Option<Timestamp>,
    /// What was found damaged.
    damage: Option<Damage>,
    /// Whether a copy of the key is known to be stored elsewhere, or there is none to be stored.
    is_key_elsewhere: bool,
}

/// Says how the backups are. Exit code 1 if something is wrong with them; a copy of the key that is asked for is no such
/// thing, or whoever watches the exit code would learn to ignore it.
pub(super) fn status(place: &Place, json: bool) -> anyhow::Result<Done> {
    let containers = containers::states(place)?.into_iter().map(|(name, found)| (name.to_string(), found)).collect();
    let common = Common { place, now: place.clock.now(), containers, has_daemon: place.state.has_daemon()? };
    let repositories =
        place.each().into_iter().map(|place| Status::of(&common, place)).collect::<Result<Vec<_>, _>>()?;
    let mut problems = common.problems();
    for status in &repositories {
        problems.extend(status.problems().into_iter().map(|problem| format!("{}{problem}", status.of_which())));
    }
    let mut output = Output::new();
    if json {
        output.line(&document(&common.json(&repositories, &problems)))?;
    } else {
        for line in common.lines(&repositories, &problems) {
            output.line(&line)?;
        }
    }
    output.finish()?;
    Ok(Done::with(problems.len() as u64))
}

impl Common<'_> {
    fn lines(&self, repositories: &[Status<'_>], problems: &[String]) -> Vec<String> {
        let mut facts = vec![("series", self.place.series().to_owned())];
        facts.extend(repositories.iter().flat_map(Status::facts));
        facts.extend(self.facts());
        facts.extend(problems.iter().map(|problem| ("problem", problem.clone())));
        let unconfirmed = repositories.iter().filter(|status| !status.is_key_elsewhere);
        facts.extend(unconfirmed.map(|status| ("warning", format!("{}{ASK_FOR_COPY}", status.of_which()))));
        let mut lines: Vec<_> = facts.iter().map(|(name, value)| format!("{name:<12}{}", escape(value))).collect();
        if problems.is_empty() && repositories.iter().all(|status| status.is_key_elsewhere) {
            lines.push("all is well".to_owned());
        }
        lines
    }

    fn json(&self, repositories: &[Status<'_>], problems: &[String]) -> Value {
        let container = |(name, found): &(String, _)| json!({ "name": name, "state": state_text(found) });
        json!({
            "series": self.place.series(),
            "repositories": repositories.iter().map(Status::json).collect::<Vec<_>>(),
            "containers": self.containers.iter().map(container).collect::<Vec<_>>(),
            "daemon": self.has_daemon,
            "problems": problems,
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        for (name, found) in &self.containers {
            facts.push(("container", format!("{name}: {}", state_text(found))));
        }
        if self.containers.is_empty() && !self.place.settings.containers.value.is_empty() {
            facts.push(("container", "not watched: there is no Docker socket".to_owned()));
        }
        facts.push(("daemon", if self.has_daemon { "running" } else { "not running" }.to_owned()));
        facts
    }

    /// Returns whether backups are made now, as far as the containers decide it.
    fn game_may_run(&self) -> bool {
        let rests = |found: &Result<Container, DockerError>| match found {
            Ok(container) => container.state != State::Running,
            Err(error) => matches!(error, DockerError::NoSuchContainer(_)),
        };
        self.containers.is_empty() || !self.containers.iter().all(|(_, found)| rests(found))
    }

    /// Until when the game was played, if it is known to rest, and in which container.
    fn played_until(&self) -> Option<(&str, Timestamp)> {
        let resting = self.containers.iter().filter(|_| !self.game_may_run());
        let ends = resting.filter_map(|(name, found)| Some((name.as_str(), ended(found.as_ref().ok()?)?)));
        ends.max_by_key(|(_, end)| *end)
    }

    /// What somebody should look at.
    fn problems(&self) -> Vec<String> {
        let problem = |(name, found): &(String, Result<Container, DockerError>)| match found {
            Err(DockerError::NoSuchContainer(_)) => Some(format!("there is no container {name}")),
            Err(error) => Some(format!("container {name}: {error}")),
            Ok(_) => None,
        };
        self.containers.iter().filter_map(problem).collect()
    }
}

impl<'a> Status<'a> {
    fn of(common: &'a Common<'a>, place: Arc<Place>) -> anyhow::Result<Self> {
        let runs = place.history().runs(place.series(), &place.location())?;
        let begun = place.history().begun(place.series(), &place.location())?;
        let damage = place.history().damage(place.series(), &place.location())?;
        let is_key_elsewhere = place.escrow()? != Escrow::Unconfirmed;
        let interval = DaemonSettings::interval(&place);
        let presence = place.presence();
        Ok(Self { common, place, interval, presence, runs, begun, damage, is_key_elsewhere })
    }

    fn facts(&self) -> [(&'static str, String); 3] {
        [
            ("repository", format!("{}{}", self.of_which(), self.place.location())),
            ("last good", self.last_good().map_or("none".to_owned(), |run| self.run(run))),
            ("next", self.next()),
        ]
    }

    fn json(&self) -> Value {
        let last_good = self.last_good().map(|run| {
            json!({
                "archive": run.archive,
                "start": format!("{:.0}", run.start),
                "end": format!("{:.0}", run.end),
                "added_bytes": run.added_bytes,
            })
        });
        json!({
            "label": self.place.label(),
            "location": self.place.location(),
            "last_good": last_good,
            "next": self.next(),
            "key_elsewhere": self.is_key_elsewhere,
            "problems": self.problems(),
        })
    }

    /// What stands before words about one of several repositories. Where there is one, it need not be said which.
    fn of_which(&self) -> String {
        if self.place.is_one_of_several() { format!("{}: ", self.place.name()) } else { String::new() }
    }

    fn last_good(&self) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.is_good_backup())
    }

    fn run(&self, run: &Run) -> String {
        let name = run.archive.as_deref().unwrap_or("an archive");
        let (age, moment) = (self.age(run.start), words::moment(run.start, &self.place.zone));
        let size = words::bytes(run.added_bytes);
        format!("{name}, {age} ago ({moment}), {size} added")
    }

    fn next(&self) -> String {
        let interval = self.interval;
        match self.last_good().map(|run| interval.checked_sub(words::since(run.start, self.common.now))) {
            _ if !self.common.has_daemon => "when `run` is started".to_owned(),
            _ if !self.common.game_may_run() => "when the game runs again".to_owned(),
            Some(Some(rest)) if !rest.is_zero() => format!("in {}", words::duration(rest)),
            _ => "due now".to_owned(),
        }
    }

    fn age(&self, moment: Timestamp) -> String {
        words::duration(words::since(moment, self.common.now))
    }
}

fn state_text(found: &Result<Container, DockerError>) -> &'static str {
    match found.as_ref().map(|container| container.state) {
        Ok(State::Running) => "running",
        Ok(State::NotRunning(how)) => how,
        Ok(State::Missing) | Err(DockerError::NoSuchContainer(_)) => "missing",
        Err(_) => "unknown",
    }
}

/// When a container ended last; `None` if it never has, which engines say by a time long ago, or if their words are no time.
fn ended(container: &Container) -> Option<Timestamp> {
    container.finished.as_ref()?.parse().ok().filter(|end| *end > Timestamp::UNIX_EPOCH)
}
