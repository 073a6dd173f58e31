//! The loop: waits for whatever happens next, asks the scheduler, does what it says.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{Level, debug, error, info, warn};
use worldkeeper_core::{Clock, Stop};
use worldkeeper_docker::{Container, Watch};

use super::DaemonError;
use super::signals::Signal;
use crate::policy::{Action, Event, Now};
use crate::{Job, JobOutcome, Lookout, Scheduler, Whereabouts};

/// The loop and what it holds.
pub(super) struct EventLoop {
    scheduler: Scheduler,
    /// In the order of the scheduler's repositories.
    jobs: Vec<Arc<dyn Job>>,
    lookout: Option<Arc<dyn Lookout>>,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

impl EventLoop {
    pub(super) fn new(
        scheduler: Scheduler,
        jobs: Vec<Arc<dyn Job>>,
        lookout: Option<Arc<dyn Lookout>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { scheduler, jobs, lookout, clock, stop: Stop::default() }
    }

    /// Runs until a stop that was asked for is done.
    pub(super) async fn run(
        mut self,
        signals: &mut Receiver<Signal>,
        mut watch: Option<Receiver<Watch>>,
    ) -> Result<(), DaemonError> {
        // Read in another thread, too: a disk that hangs must not make the daemon deaf.
        let mut work = Some(self.begin());
        let mut comparison = None;
        loop {
            let event = tokio::select! {
                biased;
                signal = signals.recv() => match signal {
                    Some(Signal::Stop) if self.stop.is_requested() => return Err(DaemonError::Interrupted),
                    // Without its signals the daemon could not be stopped any more.
                    Some(Signal::Stop) | None => Event::StopRequested,
                    Some(Signal::Backup) => Event::BackupRequested,
                },
                event = Work::ended(&mut work) => event,
                event = Work::ended(&mut comparison) => event,
                known = next(&mut watch) => Event::Watch(known),
                () = self.timer() => Event::Timer,
            };
            for action in self.scheduler.handle(event, Now::read(&*self.clock)) {
                match action {
                    Action::Say(level, text) => say(level, &text),
                    Action::TellGame(known) => self.jobs.iter().for_each(|job| job.game_is(known)),
                    // What is known by now is compared; nobody waits for what is not true any more.
                    Action::Compare(containers) => comparison = self.compare(containers),
                    Action::ReadLastGood => work = Some(self.ask(Event::LastGood)),
                    Action::StartJob(index) => work = self.start_job(index),
                    Action::StopJob => self.stop.request(),
                    Action::Exit => return Ok(()),
                }
            }
        }
    }

    /// Reads what past processes have left: the last good archives, and what was cut off.
    fn begin(&self) -> Work {
        let jobs = self.jobs.clone();
        let after_panic = Event::Started { last_good: vec![None; jobs.len()], cut_off: Vec::new() };
        let read = move || Event::Started {
            cut_off: jobs.iter().map(|job| job.cut_off()).collect(),
            last_good: jobs.iter().map(|job| job.last_good()).collect(),
        };
        Work { handle: spawn_blocking(read), after_panic }
    }

    /// Reads the last good archives; the answer comes as the event that `answer` makes of it.
    fn ask(&self, answer: fn(Vec<Option<Timestamp>>) -> Event) -> Work {
        let jobs = self.jobs.clone();
        let after_panic = answer(vec![None; jobs.len()]);
        Work { handle: spawn_blocking(move || answer(jobs.iter().map(|job| job.last_good()).collect())), after_panic }
    }

    fn start_job(&self, index: usize) -> Option<Work> {
        let (job, stop) = (Arc::clone(self.jobs.get(index)?), self.stop.clone());
        let error = "it ended by a panic, which is a bug in Worldkeeper".to_owned();
        Some(Work {
            handle: spawn_blocking(move || {
                let outcome = job.run(&stop);
                Event::JobFinished { outcome, last_good: job.last_good() }
            }),
            after_panic: Event::JobFinished {
                outcome: JobOutcome::Failed { error, hint: None, retry: true },
                last_good: None,
            },
        })
    }

    fn compare(&self, containers: Vec<Container>) -> Option<Work> {
        let lookout = Arc::clone(self.lookout.as_ref()?);
        Some(Work {
            handle: spawn_blocking(move || Event::Compared(lookout.whereabouts(&containers))),
            after_panic: Event::Compared(Whereabouts::Unknown),
        })
    }

    /// Comes back when the scheduler wants to be woken, or earlier: what it is reckoned on here stands still while the machine
    /// sleeps, and our clock does not.
    async fn timer(&self) {
        match self.scheduler.wake_at() {
            Some(at) => tokio::time::sleep(at.saturating_sub(self.clock.monotonic()).min(LONGEST_NAP)).await,
            None => pending().await,
        }
    }
}

/// How late a timer may be after the machine slept.
const LONGEST_NAP: Duration = Duration::from_mins(1);

/// What goes on in another thread. But for comparisons, there is one at a time: the scheduler waits for its end before it wants another,
/// but for a backup that is asked for while the last good archive is read, whose answer nobody waits for any more.
struct Work {
    handle: JoinHandle<Event>,
    /// What happened, if the thread panicked: a failed job is not the end of the daemon.
    after_panic: Event,
}

impl Work {
    /// Waits for the work there is, if any, and takes it.
    async fn ended(work: &mut Option<Self>) -> Event {
        let Some(running) = work else { return pending().await };
        let ended = (&mut running.handle).await;
        let after_panic = work.take().map(|work| work.after_panic);
        ended.ok().or(after_panic).expect("there is work")
    }
}

/// The next word on the containers.
async fn next(watch: &mut Option<Receiver<Watch>>) -> Watch {
    let Some(receiver) = watch else { return pending().await };
    if let Some(known) = receiver.recv().await {
        return known;
    }
    // The watcher goes on for as long as it is listened to. If it does not, the game's state is not known any more.
    *watch = None;
    Watch::Unreachable { reason: "the watcher has ended, which is a bug in Worldkeeper".to_owned() }
}

fn say(level: Level, text: &str) {
    match level {
        Level::ERROR => error!("{text}"),
        Level::WARN => warn!("{text}"),
        Level::INFO => info!("{text}"),
        Level::DEBUG | Level::TRACE => debug!("{text}"),
    }
}
