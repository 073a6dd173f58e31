//! What to do when: events and the time go in, actions come out, nothing happens here.
//!
//! - The interval counts from the begin of the last good archive, across restarts. What was missed is caught up once.
//! - There is one job at a time, and only while the game runs; a run that goes on when the game stops goes on to its end.
//! - With several repositories, those that are due, or nearly, are one run: one after the other, all reckoned from its begin.
//!   How one of them fares is nothing to the others; what is tried again is that one, in a run of its own.
//! - After a failure it is tried again after 1 min, 2 min, 4 min, … up to the interval.
//! - A job that does not end, because it waits for a lock or a disk, is spoken of again and again.
//! - Before a job starts, the last good archive is read anew: somebody may have made one by hand meanwhile.
//! - While nothing is known of the game, what was known last counts; after some minutes it is taken to run, for a backup too
//!   many is better than none. It may rest all the same: jobs are told, and prune nothing, and people are told again every day.
//! - Whenever something else is known of the game, it is seen whether it uses what is backed up. If it does not, people are
//!   told, and backups go on: somebody may have meant it so.
//!
//! **Clocks.** Waits are reckoned on the monotonic clock alone, so a jump of the wall clock neither delays a backup nor
//! brings one forward. The wall clock is asked only when a last good archive is learnt that this process did not make
//! (at the start, or when somebody else made one): its age is taken from the interval once and is the monotonic
//! clock's business from then on. An age that cannot be true is bounded in both directions, see `due_after`.
//! While a machine sleeps the monotonic clock goes on, though timers stand still: what became due meanwhile is made soon after.

mod game;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod several;
#[cfg(test)]
mod story;
mod target;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;
use worldkeeper_core::Clock;
use worldkeeper_docker::{Container, ContainerName, Watch};

use crate::{GameState, JobOutcome, Whereabouts, words};
use game::Game;
use target::Target;

/// The first wait after a failure; doubles with each further one.
pub const FIRST_RETRY: Duration = Duration::from_mins(1);

/// How long the state of the containers may be unknown before backups are made as if the game ran.
pub const UNKNOWN_LIMIT: Duration = Duration::from_mins(5);

/// How often people are told that the state of the containers is still unknown.
pub const REMINDER: Duration = Duration::from_hours(24);

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
        /// The last good archive on each repository, if one is known.
        last_good: Vec<Option<Timestamp>>,
        /// How many backups in a row ended with their process, the last ones, on each repository.
        cut_off: Vec<u32>,
    },
    /// Something else is known of the containers.
    Watch(Watch),
    /// The answer to [`Action::Compare`].
    Compared(Whereabouts),
    /// The time of [`Scheduler::wake_at`] has come. One that comes early or for nothing is harmless.
    Timer,
    /// The answer to [`Action::ReadLastGood`], for each repository.
    LastGood(Vec<Option<Timestamp>>),
    /// The job that [`Action::StartJob`] started has ended.
    JobFinished {
        /// How.
        outcome: JobOutcome,
        /// The last good archive on its repository, as it is recorded now.
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
    /// Tell the job what is known of the game: how much a backup may take depends on it, and whether it may prune. Said at the
    /// start and at each change, before the job is started.
    TellGame(GameState),
    /// See whether these containers use what is backed up, and answer with [`Event::Compared`]; one that is not answered
    /// yet need not be any more.
    Compare(Vec<Container>),
    /// Read when the last good archive was made on each repository, and answer with [`Event::LastGood`].
    ReadLastGood,
    /// Start the job of this repository, counted from 0, and say [`Event::JobFinished`] when it has ended.
    StartJob(usize),
    /// Ask the running job to stop.
    StopJob,
    /// End the daemon; nothing runs any more.
    Exit,
}

/// Decides when which job runs.
#[derive(Debug)]
pub struct Scheduler {
    interval: Duration,
    game: Game,
    /// What the job was told of it.
    told: Option<GameState>,
    phase: Phase,
    /// The repositories, in the order of their turns.
    targets: Vec<Target>,
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
        /// Which.
        target: usize,
        /// The run that it is part of.
        run: Run,
        /// Whether it was asked to stop, and the daemon with it.
        stopping: bool,
    },
    /// It is over.
    Ended,
}

/// Jobs that go on one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// When it began, on the monotonic clock.
    began: Duration,
    /// Whether a person asked for it.
    was_asked_for: bool,
}

impl Scheduler {
    /// Plans a job every `interval` for each of the `repositories`, while one of the `containers` runs, or always if there are
    /// none to watch.
    ///
    /// An interval below a second is taken as a second.
    pub fn new(interval: Duration, containers: &[ContainerName], repositories: &[String]) -> Self {
        // Where there is one, it need not be said which.
        let named = |name: &String| Target::new((repositories.len() > 1).then(|| name.clone()));
        Self {
            interval: interval.max(Duration::from_secs(1)),
            game: Game::new(containers),
            told: None,
            phase: Phase::New,
            targets: repositories.iter().map(named).collect(),
            reminder: (Duration::ZERO, Duration::ZERO),
            actions: Vec::new(),
        }
    }

    /// The same where nobody has said that there is an engine to watch the containers through. Until one answers, that nothing is
    /// known of them makes the schedule a fixed one, with all that belongs to it.
    #[must_use]
    pub fn with_optional_engine(self) -> Self {
        Self { game: self.game.with_optional_engine(), ..self }
    }

    /// Takes in what happened and returns what is to be done about it.
    #[must_use = "actions that are not carried out leave the scheduler waiting for them"]
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        match (event, self.phase) {
            (_, Phase::Ended) => {}
            (Event::Started { last_good, cut_off }, Phase::New) => self.start(&last_good, &cut_off, now),
            (Event::StopRequested, phase) => self.stop(phase),
            (Event::Watch(watch), _) => self.watch(watch, now),
            (Event::Compared(whereabouts), _) => self.actions.extend(self.game.compare(whereabouts)),
            (Event::LastGood(last_good), Phase::Reading) => self.confirm(&last_good, now),
            (Event::JobFinished { outcome, last_good }, Phase::Running { target, run, stopping }) => {
                self.finish(target, &outcome, last_good, run, now);
                if stopping {
                    self.exit();
                } else {
                    self.next_turn(run, now);
                }
            }
            (Event::BackupRequested, Phase::Waiting | Phase::Reading) => {
                self.targets.iter_mut().for_each(|target| target.is_queued = true);
                self.next_turn(Run { began: now.monotonic, was_asked_for: true }, now);
            }
            (Event::BackupRequested, Phase::Running { .. }) => {
                self.say(Level::INFO, "a backup was asked for, and one is running already".to_owned());
            }
            // A timer has nothing to say but the time; the rest are answers to questions that are no longer open.
            _ => {}
        }
        self.plan(now);
        let mut actions = std::mem::take(&mut self.actions);
        let known = self.game.state();
        if !matches!(self.phase, Phase::New | Phase::Ended) && self.told.replace(known) != Some(known) {
            actions.insert(0, Action::TellGame(known));
        }
        actions
    }

    /// When to come back with [`Event::Timer`] if nothing else happens before, on the monotonic clock. `None` while
    /// something else must happen first: a container start, the end of a job that was asked to stop.
    pub fn wake_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting => {
                let due = self.targets.iter().map(|target| target.due).filter(|_| self.game.runs());
                due.chain(self.game.speaks_at()).min()
            }
            Phase::Reading | Phase::Running { stopping: false, .. } => {
                Some(self.game.speaks_at().map_or(self.reminder.0, |at| at.min(self.reminder.0)))
            }
            Phase::New | Phase::Running { stopping: true, .. } | Phase::Ended => None,
        }
    }

    fn start(&mut self, last_good: &[Option<Timestamp>], cut_off: &[u32], now: Now) {
        self.phase = Phase::Waiting;
        self.game.start(now.monotonic);
        let every = words::duration(self.interval);
        let names: Vec<_> = self.targets.iter().filter_map(|target| target.name.as_deref()).collect();
        let into = if names.is_empty() { String::new() } else { format!(" into each of {}", names.join(", ")) };
        self.say(Level::INFO, format!("a backup every {every}{into}, {}", self.game.condition()));
        for target in 0..self.targets.len() {
            let last_good = last_good.get(target).copied().flatten();
            let cut_off = cut_off.get(target).copied().unwrap_or_default();
            self.learn(target, last_good, now);
            self.targets[target].reckon_with(cut_off, self.interval, now);
            if cut_off > 1 {
                let text = format!("the last {cut_off} backups were cut off: {}", self.next(target, now));
                self.say_of(target, Level::WARN, &text);
                continue;
            }
            let text = match last_good {
                None => "no good archive is known yet: the first one is due now".to_owned(),
                Some(time) => format!("the last good archive was begun at {time:.0}: {}", self.next(target, now)),
            };
            self.say_of(target, Level::INFO, &text);
        }
    }

    /// Reckons from a last good archive that was learnt just now.
    fn learn(&mut self, target: usize, last_good: Option<Timestamp>, now: Now) {
        if !self.targets[target].learn(last_good, self.interval, now)
            && let Some(time) = last_good
        {
            let text = format!(
                "the last good archive is dated {time:.0}, but it is {:.0}: the clock was or is wrong, so its age is not known \
                 and a backup is due now",
                now.wall
            );
            self.say_of(target, Level::WARN, &text);
        }
    }

    fn watch(&mut self, watch: Watch, now: Now) {
        let ran = self.game.runs();
        self.actions.extend(self.game.learn(watch, now.monotonic));
        match (self.phase, ran, self.game.runs()) {
            (Phase::Waiting, false, true) => {
                let first = (0..self.targets.len()).min_by_key(|target| self.targets[*target].due);
                if let Some(target) = first {
                    self.say_of(target, Level::INFO, &self.next(target, now));
                }
            }
            (Phase::Running { .. }, true, false) => {
                self.say(Level::INFO, "the running backup goes on to its end".to_owned());
            }
            _ => {}
        }
    }

    /// Those are due whose last good archive is not news.
    fn confirm(&mut self, last_good: &[Option<Timestamp>], now: Now) {
        self.phase = Phase::Waiting;
        for (target, last_good) in last_good.iter().enumerate().take(self.targets.len()) {
            if *last_good != self.targets[target].last_good {
                self.learn(target, *last_good, now);
                if let Some(time) = last_good.filter(|_| !self.targets[target].is_due(now)) {
                    let next = self.next(target, now);
                    let text = format!("another archive was made meanwhile, begun at {time:.0}: {next}");
                    self.say_of(target, Level::INFO, &text);
                }
            }
        }
        if self.game.runs() && self.targets.iter().any(|target| target.is_due(now)) {
            let interval = self.interval;
            for target in &mut self.targets {
                target.is_queued = target.is_due(now) || target.may_join(interval, now);
            }
            self.next_turn(Run { began: now.monotonic, was_asked_for: false }, now);
        }
    }

    /// Starts the next job of a run, of who has been due for longest; after the last one, waits.
    fn next_turn(&mut self, run: Run, now: Now) {
        self.phase = Phase::Waiting;
        let queued = self.targets.iter().enumerate().filter(|(_, target)| target.is_queued);
        let Some((target, _)) = queued.min_by_key(|(_, target)| target.due.min(now.monotonic)) else { return };
        self.targets[target].is_queued = false;
        let why = match (run.was_asked_for, self.targets[target].failures) {
            (true, _) => "a backup was asked for: starting",
            (false, 0) => "a backup is due: starting",
            (false, _) => "a backup is due, again after a failure: starting",
        };
        self.say_of(target, Level::INFO, why);
        self.phase = Phase::Running { target, run, stopping: false };
        self.begin_work(now);
        self.actions.push(Action::StartJob(target));
    }

    fn finish(&mut self, index: usize, outcome: &JobOutcome, last_good: Option<Timestamp>, run: Run, now: Now) {
        let interval = self.interval;
        let target = &mut self.targets[index];
        let mut hint = None;
        let (level, text) = match outcome {
            JobOutcome::Good { archive, warnings } => {
                target.succeed(last_good, run.began, interval);
                let next = self.next(index, now);
                match warnings {
                    0 => (Level::INFO, format!("archive {archive} is complete: {next}")),
                    1 => (Level::WARN, format!("archive {archive} is complete, with 1 warning: {next}")),
                    _ => (Level::WARN, format!("archive {archive} is complete, with {warnings} warnings: {next}")),
                }
            }
            JobOutcome::Failed { error, hint: what_to_do, retry } => {
                hint = what_to_do.as_ref();
                target.fail(*retry, interval, now);
                (Level::ERROR, format!("the backup failed: {error}; {}", self.next(index, now)))
            }
            JobOutcome::Stopped => {
                target.due = now.monotonic + target.retry_wait(interval);
                (Level::INFO, "the backup was stopped before it was complete, and rolled back".to_owned())
            }
        };
        self.say_of(index, level, &text);
        if let Some(hint) = hint {
            self.say_of(index, level, &format!("hint: {hint}"));
        }
    }

    fn stop(&mut self, phase: Phase) {
        match phase {
            Phase::Running { stopping: true, .. } => {}
            Phase::Running { target, run, stopping: false } => {
                self.phase = Phase::Running { target, run, stopping: true };
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
        if self.phase == Phase::Waiting && self.game.runs() && self.targets.iter().any(|target| target.is_due(now)) {
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

    /// When the next backup of a repository is, in words.
    fn next(&self, target: usize, now: Now) -> String {
        let wait = self.targets[target].due.saturating_sub(now.monotonic);
        match (self.game.runs(), wait.is_zero()) {
            (false, true) => "the next backup is due as soon as the game runs".to_owned(),
            (false, false) => format!("the next backup is due in {}, if the game runs then", words::duration(wait)),
            (true, true) => "the next backup is due now".to_owned(),
            (true, false) => format!("the next backup is in {}", words::duration(wait)),
        }
    }

    /// Says something about one of the repositories.
    fn say_of(&mut self, target: usize, level: Level, text: &str) {
        let text = match &self.targets[target].name {
            Some(name) => format!("{name}: {text}"),
            None => text.to_owned(),
        };
        self.say(level, text);
    }

    fn say(&mut self, level: Level, text: String) {
        self.actions.push(Action::Say(level, text));
    }
}
