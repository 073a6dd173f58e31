//! What to do when: events and the time go in, actions come out, nothing happens here.
//!
//! - The interval counts from the begin of the last good archive, across restarts. What was missed is caught up once.
//! - There is one job at a time, and only while the game runs; a job that runs when the game stops goes on to its end.
//! - After a failure it is tried again after 1 min, 2 min, 4 min, … up to the interval.
//! - A job that does not end, because it waits for a lock or a disk, is spoken of again and again.
//! - Before a job starts, the last good archive is read anew: somebody may have made one by hand meanwhile.
//!
//! **Clocks.** Waits are reckoned on the monotonic clock alone, so a jump of the wall clock neither delays a backup nor
//! brings one forward. The wall clock is asked only when a last good archive is learnt that this process did not make
//! (at the start, or when somebody else made one): its age is taken from the interval once and is the monotonic
//! clock's business from then on. An age that cannot be true is bounded in both directions, see `due_after`.
//! While a machine sleeps, the monotonic clock stands still, and so does the game.

mod game;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;
use worldkeeper_core::Clock;
use worldkeeper_docker::{ContainerName, Watch};

use crate::{JobOutcome, words};
use game::Game;

/// The first wait after a failure; doubles with each further one.
pub const FIRST_RETRY: Duration = Duration::from_mins(1);

/// How long the state of the containers may be unknown before backups are made as if the game ran.
pub const UNKNOWN_LIMIT: Duration = Duration::from_mins(5);

/// How long a job, or the reading of the records, takes before people are told, if the interval is not longer. Said
/// again after twice the time, up to once a day: whoever hangs for ever must not do so silently.
pub const LONG_WORK: Duration = Duration::from_hours(1);

/// What both clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// The monotonic clock.
    pub monotonic: Duration,
}

impl Now {
    /// Reads both clocks.
    pub fn read(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The daemon has started. The first event, once.
    Started {
        /// The last good archive, if one is known.
        last_good: Option<Timestamp>,
    },
    /// Something else is known of the containers.
    Watch(Watch),
    /// The time of [`Scheduler::wake_at`] has come. One that comes early or for nothing is harmless.
    Timer,
    /// The answer to [`Action::ReadLastGood`].
    LastGood(Option<Timestamp>),
    /// The job that [`Action::StartJob`] started has ended.
    JobFinished {
        /// How.
        outcome: JobOutcome,
        /// The last good archive as it is recorded now.
        last_good: Option<Timestamp>,
    },
    /// A person wants a backup now, whether or not the game runs.
    BackupRequested,
    /// The daemon is to end.
    StopRequested,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell people.
    Say(Level, String),
    /// Tell the job whether the game may run: how much a backup may take depends on it. Said at the start and at each change,
    /// before the job is started.
    TellGame {
        /// It runs, or nobody knows that it does not.
        may_run: bool,
    },
    /// Read when the last good archive was made, and answer with [`Event::LastGood`].
    ReadLastGood,
    /// Start the job, and say [`Event::JobFinished`] when it has ended.
    StartJob,
    /// Ask the running job to stop.
    StopJob,
    /// End the daemon; nothing runs any more.
    Exit,
}

/// Decides when the job runs.
#[derive(Debug)]
pub struct Scheduler {
    interval: Duration,
    game: Game,
    /// What the job was told of it.
    told_may_run: Option<bool>,
    phase: Phase,
    /// When the next job is due, on the monotonic clock.
    due: Duration,
    /// The last good archive that `due` was reckoned from.
    last_good: Option<Timestamp>,
    /// Failures since the last good archive.
    failures: u32,
    /// When people are told that what goes on takes long, on the monotonic clock, and how long it takes then.
    reminder: (Duration, Duration),
    /// What came of the last action, handed out at the end of [`handle`](Self::handle).
    actions: Vec<Action>,
}

/// What the daemon is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    New,
    /// It waits for the next job to be due, or for the game.
    Waiting,
    /// A job is due; the last good archive is being read.
    Reading,
    /// A job runs.
    Running {
        /// Since when, on the monotonic clock.
        since: Duration,
        /// Whether it was asked to stop, and the daemon with it.
        stopping: bool,
    },
    /// It is over.
    Ended,
}

impl Scheduler {
    /// Plans a job every `interval` while one of the `containers` runs, or always if there are none to watch.
    ///
    /// An interval below a second is taken as a second.
    pub fn new(interval: Duration, containers: &[ContainerName]) -> Self {
        Self {
            interval: interval.max(Duration::from_secs(1)),
            game: Game::new(containers),
            told_may_run: None,
            phase: Phase::New,
            due: Duration::ZERO,
            last_good: None,
            failures: 0,
            reminder: (Duration::ZERO, Duration::ZERO),
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and returns what is to be done about it.
    #[must_use = "actions that are not carried out leave the scheduler waiting for them"]
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        match (event, self.phase) {
            (_, Phase::Ended) => {}
            (Event::Started { last_good }, Phase::New) => self.start(last_good, now),
            (Event::StopRequested, phase) => self.stop(phase),
            (Event::Watch(watch), _) => self.watch(watch, now),
            (Event::LastGood(last_good), Phase::Reading) => self.confirm(last_good, now),
            (Event::JobFinished { outcome, last_good }, Phase::Running { since, stopping }) => {
                self.finish(&outcome, last_good, since, now);
                self.phase = Phase::Waiting;
                if stopping {
                    self.exit();
                }
            }
            (Event::BackupRequested, Phase::Waiting | Phase::Reading) => {
                self.run("a backup was asked for: starting", now);
            }
            (Event::BackupRequested, Phase::Running { .. }) => {
                self.say(Level::INFO, "a backup was asked for, and one is running already".to_owned());
            }
            // A timer has nothing to say but the time; the rest are answers to questions that are no longer open.
            _ => {}
        }
        self.plan(now);
        let mut actions = std::mem::take(&mut self.actions);
        let may_run = self.game.may_run();
        if !matches!(self.phase, Phase::New | Phase::Ended) && self.told_may_run.replace(may_run) != Some(may_run) {
            actions.insert(0, Action::TellGame { may_run });
        }
        actions
    }

    /// When to come back with [`Event::Timer`] if nothing else happens before, on the monotonic clock. `None` while
    /// something else must happen first: a container start, the end of a job that was asked to stop.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting if self.game.runs() => Some(self.due),
            Phase::Waiting => self.game.gives_up_at(),
            Phase::Reading | Phase::Running { stopping: false, .. } => {
                Some(self.game.gives_up_at().map_or(self.reminder.0, |at| at.min(self.reminder.0)))
            }
            Phase::New | Phase::Running { stopping: true, .. } | Phase::Ended => None,
        }
    }

    fn start(&mut self, last_good: Option<Timestamp>, now: Now) {
        self.phase = Phase::Waiting;
        self.game.start(now.monotonic);
        let every = words::duration(self.interval);
        self.say(Level::INFO, format!("a backup every {every}, {}", self.game.condition()));
        self.learn(last_good, now);
        let text = match last_good {
            None => "no good archive is known yet: the first one is due now".to_owned(),
            Some(time) => format!("the last good archive was begun at {time:.0}: {}", self.next(now)),
        };
        self.say(Level::INFO, text);
    }

    /// Reckons from a last good archive that was learnt just now.
    fn learn(&mut self, last_good: Option<Timestamp>, now: Now) {
        self.last_good = last_good;
        self.failures = 0;
        self.due = now.monotonic;
        if let Some(time) = last_good {
            match due_after(time, self.interval, now.wall) {
                Some(wait) => self.due += wait,
                None => self.say(
                    Level::WARN,
                    format!(
                        "the last good archive is dated {time:.0}, but it is {:.0}: the clock was or is wrong, so \
                             its age is not known and a backup is due now",
                        now.wall
                    ),
                ),
            }
        }
    }

    fn watch(&mut self, watch: Watch, now: Now) {
        let ran = self.game.runs();
        self.actions.extend(self.game.learn(watch, now.monotonic));
        match (self.phase, ran, self.game.runs()) {
            (Phase::Waiting, false, true) => self.say(Level::INFO, self.next(now)),
            (Phase::Running { .. }, true, false) => {
                self.say(Level::INFO, "the running backup goes on to its end".to_owned());
            }
            _ => {}
        }
    }

    /// A job is due unless this last good archive is news.
    fn confirm(&mut self, last_good: Option<Timestamp>, now: Now) {
        self.phase = Phase::Waiting;
        if last_good != self.last_good {
            self.learn(last_good, now);
            if let Some(time) = last_good.filter(|_| now.monotonic < self.due) {
                self.say(
                    Level::INFO,
                    format!("another archive was made meanwhile, begun at {time:.0}: {}", self.next(now)),
                );
                return;
            }
        }
        if self.game.runs() {
            let again = if self.failures > 0 { ", again after a failure" } else { "" };
            self.run(&format!("a backup is due{again}: starting"), now);
        }
    }

    fn run(&mut self, why: &str, now: Now) {
        self.say(Level::INFO, why.to_owned());
        self.phase = Phase::Running { since: now.monotonic, stopping: false };
        self.begin_work(now);
        self.actions.push(Action::StartJob);
    }

    fn finish(&mut self, outcome: &JobOutcome, last_good: Option<Timestamp>, since: Duration, now: Now) {
        let mut hint = None;
        let (level, text) = match outcome {
            JobOutcome::Good { archive, warnings } => {
                self.failures = 0;
                // Whatever was recorded: what this process saw begin is reckoned on the monotonic clock.
                self.last_good = last_good;
                self.due = since + self.interval;
                let next = self.next(now);
                match warnings {
                    0 => (Level::INFO, format!("archive {archive} is complete: {next}")),
                    1 => (Level::WARN, format!("archive {archive} is complete, with 1 warning: {next}")),
                    _ => (Level::WARN, format!("archive {archive} is complete, with {warnings} warnings: {next}")),
                }
            }
            JobOutcome::Failed { error, hint: what_to_do, retry } => {
                hint = what_to_do.as_ref();
                self.due = now.monotonic + if *retry { self.retry_wait() } else { self.interval };
                self.failures = self.failures.saturating_add(1);
                (Level::ERROR, format!("the backup failed: {error}; {}", self.next(now)))
            }
            JobOutcome::Stopped => {
                self.due = now.monotonic + self.retry_wait();
                (Level::INFO, "the backup was stopped before it was complete, and rolled back".to_owned())
            }
        };
        self.say(level, text);
        if let Some(hint) = hint {
            self.say(level, format!("hint: {hint}"));
        }
    }

    /// How long to wait after a failure: 1 min, 2 min, 4 min, … up to the interval.
    fn retry_wait(&self) -> Duration {
        FIRST_RETRY.saturating_mul(1 << self.failures.min(20)).min(self.interval)
    }

    fn stop(&mut self, phase: Phase) {
        match phase {
            Phase::Running { stopping: true, .. } => {}
            Phase::Running { since, stopping: false } => {
                self.phase = Phase::Running { since, stopping: true };
                self.say(Level::INFO, "stopping as soon as the running backup has rolled back".to_owned());
                self.actions.push(Action::StopJob);
            }
            Phase::New | Phase::Waiting | Phase::Reading | Phase::Ended => self.exit(),
        }
    }

    fn exit(&mut self) {
        self.say(Level::INFO, "stopped".to_owned());
        self.phase = Phase::Ended;
        self.actions.push(Action::Exit);
    }

    /// Looks at the time.
    fn plan(&mut self, now: Now) {
        if matches!(self.phase, Phase::New | Phase::Ended) {
            return;
        }
        self.actions.extend(self.game.look(now.monotonic));
        self.remind(now);
        if self.phase == Phase::Waiting && self.game.runs() && now.monotonic >= self.due {
            self.phase = Phase::Reading;
            self.begin_work(now);
            self.actions.push(Action::ReadLastGood);
        }
    }

    fn begin_work(&mut self, now: Now) {
        let long = LONG_WORK.max(self.interval);
        self.reminder = (now.monotonic + long, long);
    }

    /// Says that what goes on takes long, if it does.
    fn remind(&mut self, now: Now) {
        let (at, taken) = self.reminder;
        let what = match self.phase {
            Phase::Reading => "the records of past backups have been waited for",
            Phase::Running { stopping: false, .. } => "the running backup has gone on",
            _ => return,
        };
        if now.monotonic >= at {
            let text = format!("{what} for {}, and no other backup is made meanwhile", words::duration(taken));
            self.say(Level::WARN, text);
            let more = taken.min(Duration::from_hours(24).max(self.interval));
            self.reminder = (at + more, taken + more);
        }
    }

    /// When the next backup is, in words.
    fn next(&self, now: Now) -> String {
        let wait = self.due.saturating_sub(now.monotonic);
        match (self.game.runs(), wait.is_zero()) {
            (false, true) => "the next backup is due as soon as the game runs".to_owned(),
            (false, false) => format!("the next backup is due in {}, if the game runs then", words::duration(wait)),
            (true, true) => "the next backup is due now".to_owned(),
            (true, false) => format!("the next backup is in {}", words::duration(wait)),
        }
    }

    fn say(&mut self, level: Level, text: String) {
        self.actions.push(Action::Say(level, text));
    }
}

/// How long after `now` a backup is due, given when the last good archive was begun; `None` if that cannot be.
///
/// An archive from the future means that the clock was, or is, wrong. Up to one interval ahead it is taken for one of
/// just now: the next is due after an interval, and the clock catches up on the way. Further ahead its age cannot be
/// guessed. Waiting could go on for ever in a daemon that is restarted more often than the interval, so the next is due
/// now; its archive replaces the wrong date, so that this happens once.
fn due_after(last_good: Timestamp, interval: Duration, now: Timestamp) -> Option<Duration> {
    match now.duration_since(last_good).try_into() {
        Ok(age) => Some(interval.saturating_sub(age)),
        Err(_) => (last_good.duration_since(now).unsigned_abs() <= interval).then_some(interval),
    }
}
