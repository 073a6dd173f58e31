//! Whether the game runs, as far as the watched containers tell.

use std::time::Duration;

use tracing::Level;
use worldkeeper_docker::{Container, ContainerName, State, Watch};

use super::{Action, REMINDER, UNKNOWN_LIMIT};
use crate::{GameState, Whereabouts, words};

/// What is known of the game.
#[derive(Debug)]
pub(super) struct Game {
    /// The containers that are watched; with none, the game always runs.
    names: Vec<ContainerName>,
    /// What was known last.
    containers: Vec<Container>,
    /// Whether there may be no engine at all, until one has answered.
    is_engine_optional: bool,
    /// Since when nothing is known, on the monotonic clock.
    unknown_since: Option<Duration>,
    /// Why not, as far as that is known.
    reason: Option<String>,
    /// Whether people were told that nothing is known: once, however often the reason changes.
    told: bool,
    /// For how long nothing has been known when people are told that the game is only taken to run; more than
    /// [`UNKNOWN_LIMIT`] if they were told before.
    tell_after: Duration,
    /// What is wrong, if it uses nothing of what is backed up.
    elsewhere: Option<String>,
}

impl Game {
    pub(super) fn new(names: &[ContainerName]) -> Self {
        let containers = Vec::new();
        Self {
            names: names.to_vec(),
            containers,
            is_engine_optional: false,
            unknown_since: None,
            reason: None,
            told: false,
            tell_after: UNKNOWN_LIMIT,
            elsewhere: None,
        }
    }

    /// There may be no engine at all.
    pub(super) fn with_optional_engine(self) -> Self {
        Self { is_engine_optional: true, ..self }
    }

    /// Begins to wait for the first word on the containers.
    pub(super) fn start(&mut self, now: Duration) {
        if !self.names.is_empty() && self.containers.is_empty() {
            self.unknown_since.get_or_insert(now);
        }
    }

    /// Returns whether backups are to be made.
    pub(super) fn runs(&self) -> bool {
        self.names.is_empty() || self.is_presumed() || any_runs(&self.containers)
    }

    /// What the job is to know of it.
    pub(super) fn state(&self) -> GameState {
        if self.is_presumed() && !self.is_engine_optional {
            GameState::Presumed
        } else if self.runs() || self.containers.is_empty() {
            GameState::MayRun
        } else {
            GameState::Rests
        }
    }

    /// Returns whether nothing has been known for so long that it is taken to run.
    fn is_presumed(&self) -> bool {
        self.tell_after > UNKNOWN_LIMIT
    }

    /// When the game is taken to run although nothing is known of it, and when that is said again.
    pub(super) fn speaks_at(&self) -> Option<Duration> {
        Some(self.unknown_since? + self.tell_after)
    }

    /// When backups are made, in words.
    pub(super) fn condition(&self) -> String {
        let names: Vec<_> = self.names.iter().map(ContainerName::as_str).collect();
        match names[..] {
            [] => "always, as no container is watched".to_owned(),
            [name] => format!("while container {name} runs"),
            _ => format!("while any of the containers {} runs", names.join(", ")),
        }
    }

    /// Takes in what is known now.
    pub(super) fn learn(&mut self, watch: Watch, now: Duration) -> Vec<Action> {
        match watch {
            Watch::Known(containers) => self.know(containers),
            Watch::Unreachable { reason } => self.lose(&reason, now),
        }
    }

    /// Looks at the time.
    pub(super) fn look(&mut self, now: Duration) -> Option<Action> {
        self.speaks_at().filter(|at| now >= *at)?;
        let unknown = now.saturating_sub(self.unknown_since?);
        self.tell_after = unknown + REMINDER;
        let time = words::duration(Duration::from_mins(unknown.as_secs() / 60));
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let until = if self.is_engine_optional {
            "until Docker answers"
        } else {
            "and nothing is pruned, until Docker answers again"
        };
        let text =
            format!("nothing has been known of the game for {time}: backups are made as if it ran, {until}{reason}");
        Some(Action::Say(Level::WARN, text))
    }

    fn know(&mut self, containers: Vec<Container>) -> Vec<Action> {
        let mut said = Vec::new();
        if std::mem::take(&mut self.told) {
            said.push(Action::Say(Level::INFO, "Docker answers again".to_owned()));
        }
        (self.unknown_since, self.reason, self.tell_after) = (None, None, UNKNOWN_LIMIT);
        self.is_engine_optional = false;
        let runs = any_runs(&containers);
        for container in &containers {
            let is_same = |known: &Container| known.name == container.name && known.state == container.state;
            if !self.containers.iter().any(is_same) {
                said.push(describe(container, runs));
            }
        }
        said.push(Action::Compare(containers.clone()));
        self.containers = containers;
        said
    }

    /// Takes in whether it uses what is backed up. Said once, and again if something else is wrong, or it was mended meanwhile.
    pub(super) fn compare(&mut self, whereabouts: Whereabouts) -> Option<Action> {
        let elsewhere = match whereabouts {
            Whereabouts::Here => None,
            Whereabouts::Elsewhere(text) => Some(text),
            Whereabouts::Unknown => return None,
        };
        let is_news = self.elsewhere != elsewhere;
        self.elsewhere = elsewhere;
        let text = self.elsewhere.clone().filter(|_| is_news)?;
        Some(Action::Say(Level::WARN, text))
    }

    fn lose(&mut self, reason: &str, now: Duration) -> Vec<Action> {
        self.unknown_since.get_or_insert(now);
        self.reason = Some(reason.to_owned());
        let known = match (self.containers.is_empty(), any_runs(&self.containers)) {
            (true, _) => "nothing is known of the game yet",
            (false, true) => "the game ran when it was last seen, so backups go on",
            (false, false) => "the game did not run when it was last seen, so backups wait",
        };
        let level = if std::mem::replace(&mut self.told, true) { Level::DEBUG } else { Level::WARN };
        vec![Action::Say(level, format!("Docker does not say how the game is: {reason}; {known}"))]
    }
}

fn any_runs(containers: &[Container]) -> bool {
    containers.iter().any(|container| container.state == State::Running)
}

/// What a container's new state means, given whether any of the watched ones runs.
fn describe(container: &Container, any_runs: bool) -> Action {
    let name = &container.name;
    let consequence = if any_runs { "backups go on while another one runs" } else { "no backups until it runs" };
    match container.state {
        State::Running => Action::Say(Level::INFO, format!("container {name} is running")),
        State::NotRunning(how) => {
            Action::Say(Level::INFO, format!("container {name} is not running ({how}): {consequence}"))
        }
        State::Missing => {
            Action::Say(Level::WARN, format!("container {name} does not exist, waiting for it: {consequence}"))
        }
    }
}
