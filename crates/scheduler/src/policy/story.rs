//! For tests: a scheduler whose actions are carried out by hand, and two clocks that are moved by hand.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::Level;
use worldkeeper_docker::{Container, ContainerName, State, Watch};

use super::{Action, Event, Now, Scheduler};
use crate::{GameState, JobOutcome};

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// A moment to count from.
pub(super) fn epoch() -> Timestamp {
    "2026-11-06T12:00:00Z".parse().unwrap()
}

pub(super) fn names(names: &[&str]) -> Vec<ContainerName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn known(states: &[(&str, State)]) -> Watch {
    Watch::Known(states.iter().map(|(name, state)| container(name, *state)).collect())
}

fn container(name: &str, state: State) -> Container {
    Container { name: name.parse().unwrap(), state, mounts: Vec::new(), image: None, started: None, finished: None }
}

pub(super) fn unreachable(reason: &str) -> Watch {
    Watch::Unreachable { reason: reason.to_owned() }
}

pub(super) struct Story {
    pub(super) scheduler: Scheduler,
    pub(super) now: Now,
    /// What the records say of each repository.
    pub(super) last_good: Vec<Option<Timestamp>>,
    /// Whose job runs, if one does, and when it was started.
    pub(super) job: Option<(usize, Now)>,
    /// Whose turn it was each time.
    pub(super) turns: Vec<usize>,
    /// When jobs were started, on the monotonic clock.
    pub(super) starts: Vec<Duration>,
    /// What the job was told of the game.
    pub(super) told: Option<GameState>,
    /// How often it was to be seen whether the game uses what is backed up.
    pub(super) comparisons: u32,
    pub(super) stop_requested: bool,
    pub(super) ended: bool,
    /// What was said since it was last looked at.
    said: Vec<(Level, String)>,
}

impl Story {
    /// A story that has not begun. The monotonic clock starts anywhere but at zero.
    pub(super) fn new(interval: Duration, containers: &[&str], repositories: &[&str]) -> Self {
        let repositories: Vec<_> = repositories.iter().map(ToString::to_string).collect();
        Self {
            scheduler: Scheduler::new(interval, &names(containers), &repositories),
            now: Now { wall: epoch(), monotonic: Duration::from_secs(12_345) },
            last_good: vec![None; repositories.len()],
            job: None,
            turns: Vec::new(),
            starts: Vec::new(),
            told: None,
            comparisons: 0,
            stop_requested: false,
            ended: false,
            said: Vec::new(),
        }
    }

    /// A story that has begun, with the last good archive of so long ago.
    pub(super) fn begun(
        interval: Duration,
        containers: &[&str],
        last_good_age: impl Into<Option<SignedDuration>>,
    ) -> Self {
        let mut story = Self::new(interval, containers, &["/repository"]);
        story.last_good[0] = last_good_age.into().map(|age| story.now.wall - age);
        story.start();
        story
    }

    /// A story about several repositories that has begun, with the last good archive of so many minutes ago in each.
    pub(super) fn of_several<const N: usize>(
        containers: &[&str],
        repositories: [&str; N],
        last_good_ages: [Option<i64>; N],
    ) -> Self {
        let mut story = Self::new(HOUR, containers, &repositories);
        story.last_good =
            last_good_ages.map(|age| age.map(|age| story.now.wall - SignedDuration::from_mins(age))).to_vec();
        story.start();
        story
    }

    pub(super) fn start(&mut self) {
        self.start_after(&[]);
    }

    /// Begins after so many jobs in a row that were cut off, of each repository.
    pub(super) fn start_after(&mut self, cut_off: &[u32]) {
        self.tell(Event::Started { last_good: self.last_good.clone(), cut_off: cut_off.to_vec() });
    }

    /// Tells the scheduler and carries its actions out, the job's end excepted.
    pub(super) fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.scheduler.handle(event, self.now) {
                assert!(!self.ended, "{action:?} after the end");
                match action {
                    Action::Say(level, text) => self.said.push((level, text)),
                    Action::TellGame(known) => assert_ne!(self.told.replace(known), Some(known), "told twice"),
                    Action::Compare(_) => self.comparisons += 1,
                    Action::ReadLastGood => events.push(Event::LastGood(self.last_good.clone())),
                    Action::StartJob(target) => {
                        assert!(self.job.is_none(), "two jobs at a time");
                        assert!(!self.stop_requested, "a job after the stop");
                        assert!(self.told.is_some(), "a job that knows nothing of the game");
                        self.job = Some((target, self.now));
                        self.turns.push(target);
                        self.starts.push(self.now.monotonic);
                    }
                    Action::StopJob => assert!(self.job.is_some(), "a job that does not run cannot be stopped"),
                    Action::Exit => {
                        assert!(self.job.is_none(), "the end must wait for the job");
                        self.ended = true;
                    }
                }
            }
        }
    }

    pub(super) fn watch(&mut self, watch: Watch) {
        self.tell(Event::Watch(watch));
    }

    /// Lets time pass, with every wake-up on the way.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now.monotonic + duration;
        while let Some(at) = self.scheduler.wake_at().filter(|at| *at <= end) {
            self.advance(at.saturating_sub(self.now.monotonic));
            self.tell(Event::Timer);
            assert!(self.scheduler.wake_at() != Some(at), "the scheduler wants to be woken over and over");
        }
        self.advance(end.saturating_sub(self.now.monotonic));
    }

    fn advance(&mut self, duration: Duration) {
        self.now.monotonic += duration;
        self.now.wall += duration;
    }

    /// Ends the running job; a good one is recorded with the time it was started at.
    pub(super) fn finish(&mut self, outcome: JobOutcome) {
        let (target, started) = self.job.take().expect("a job runs");
        if matches!(outcome, JobOutcome::Good { .. }) {
            self.last_good[target] = Some(started.wall);
        }
        self.tell(Event::JobFinished { outcome, last_good: self.last_good[target] });
    }

    pub(super) fn finish_well(&mut self) {
        self.finish(JobOutcome::Good { archive: "mc-1".to_owned(), warnings: 0 });
    }

    pub(super) fn fail(&mut self, retry: bool) {
        let hint = (!retry).then(|| "mend it".to_owned());
        self.finish(JobOutcome::Failed { error: "no route to host".to_owned(), hint, retry });
    }

    pub(super) fn job_runs(&self) -> bool {
        self.job.is_some()
    }

    /// How long until the next wake-up.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.scheduler.wake_at().map(|at| at.saturating_sub(self.now.monotonic))
    }

    /// What was said since the last look, debug lines excepted.
    pub(super) fn said(&mut self) -> Vec<String> {
        let said = std::mem::take(&mut self.said).into_iter();
        said.filter(|(level, _)| *level <= Level::INFO).map(|(level, text)| format!("{level} {text}")).collect()
    }
}
