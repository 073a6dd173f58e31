//! Makes the scheduler's events happen and carries its actions out.
//!
//! One loop on one thread: signals, the container watcher and the timer come in as events; the job runs on a thread of
//! its own, so that a stop is heard while it works.
//!
//! SIGTERM and SIGINT stop gracefully: a running job is asked to stop and waited for. A second one ends at once, with
//! [`DaemonError::Interrupted`] and exit code 2: whatever the job was doing is rolled back by the next one. SIGUSR1
//! asks for a backup now. As process 1 of a container it also buries the orphans that end up with it.

mod reaper;
mod signals;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{Level, debug, error, info, warn};
use worldkeeper_core::{Clock, Stop};
use worldkeeper_docker::{ContainerName, Endpoint, Watch, Watcher};

use crate::policy::{Action, Event, Now};
use crate::{Job, JobOutcome, Scheduler};
use signals::{Signal, Signals};

/// Why the daemon, or a command that can be stopped, did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// A second SIGTERM or SIGINT came before the work had stopped. The process should exit with code 2 now; the work
    /// may still be going on in a thread.
    #[error("interrupted for the second time, ended without waiting for the work to stop")]
    Interrupted,
    /// The system refused what the loop needs.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The work ended by a panic, which has been reported on standard error.
    #[error("the work ended by a panic, which is a bug in Worldkeeper")]
    Panicked,
}

/// A schedule, ready to run.
pub struct Daemon {
    /// How often a backup is made.
    pub interval: Duration,
    /// The containers to watch, and through what. Without, the schedule always runs.
    pub watch: Option<(Endpoint, Vec<ContainerName>)>,
    /// What is done when a backup is due.
    pub job: Arc<dyn Job>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Daemon {
    /// Runs until SIGTERM or SIGINT, then returns `Ok`.
    ///
    /// `guard` is kept until then: what proves that this is the only daemon of its state directory.
    pub fn run<G>(self, guard: G) -> Result<(), DaemonError> {
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let signals = Signals::listen()?;
            reaper::start();
            let (watch, containers) = match self.watch {
                Some((endpoint, names)) => {
                    let (sender, receiver) = mpsc::channel(1);
                    tokio::spawn(Watcher::new(endpoint, names.clone()).run(sender));
                    (Some(receiver), names)
                }
                None => (None, Vec::new()),
            };
            let scheduler = Scheduler::new(self.interval, &containers);
            Loop { scheduler, job: self.job, clock: self.clock, stop: Stop::default() }
                .run(signals.into_receiver(), watch)
                .await
        });
        // A job that is still at work after a second signal must not be waited for.
        runtime.shutdown_background();
        drop(guard);
        ended
    }
}

/// Does `work` on a thread of its own and requests its stop on SIGTERM or SIGINT. A second signal returns
/// [`DaemonError::Interrupted`] at once. For commands that run once.
pub fn stoppable<T: Send + 'static>(work: impl FnOnce(&Stop) -> T + Send + 'static) -> Result<T, DaemonError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?.into_receiver();
        reaper::start();
        let stop = Stop::default();
        let mut work = spawn_blocking({
            let stop = stop.clone();
            move || work(&stop)
        });
        loop {
            tokio::select! {
                ended = &mut work => return ended.map_err(|_| DaemonError::Panicked),
                Some(signal) = signals.recv() => match signal {
                    Signal::Stop if stop.is_requested() => return Err(DaemonError::Interrupted),
                    Signal::Stop => {
                        info!("stopping as soon as what was begun has been rolled back");
                        stop.request();
                    }
                    Signal::Backup => {}
                },
            }
        }
    });
    runtime.shutdown_background();
    ended
}

fn runtime() -> Result<Runtime, DaemonError> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("job")
        .build()
        .map_err(|source| DaemonError::System { action: "start the event loop", source })
}

/// The loop and what it holds.
struct Loop {
    scheduler: Scheduler,
    job: Arc<dyn Job>,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

impl Loop {
    async fn run(
        mut self,
        mut signals: Receiver<Signal>,
        mut watch: Option<Receiver<Watch>>,
    ) -> Result<(), DaemonError> {
        // Read in another thread, too: a disk that hangs must not make the daemon deaf.
        let mut work = Some(self.ask(|last_good| Event::Started { last_good }));
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
                known = next(&mut watch) => Event::Watch(known),
                () = self.timer() => Event::Timer,
            };
            for action in self.scheduler.handle(event, Now::read(&*self.clock)) {
                match action {
                    Action::Say(level, text) => say(level, &text),
                    Action::ReadLastGood => work = Some(self.ask(Event::LastGood)),
                    Action::StartJob => work = Some(self.start_job()),
                    Action::StopJob => self.stop.request(),
                    Action::Exit => return Ok(()),
                }
            }
        }
    }

    /// Reads the last good archive; the answer comes as the event that `answer` makes of it.
    fn ask(&self, answer: fn(Option<Timestamp>) -> Event) -> Work {
        let job = Arc::clone(&self.job);
        Work { handle: spawn_blocking(move || answer(job.last_good())), after_panic: answer(None) }
    }

    fn start_job(&self) -> Work {
        let (job, stop) = (Arc::clone(&self.job), self.stop.clone());
        let error = "it ended by a panic, which is a bug in Worldkeeper".to_owned();
        Work {
            handle: spawn_blocking(move || {
                let outcome = job.run(&stop);
                Event::JobFinished { outcome, last_good: job.last_good() }
            }),
            after_panic: Event::JobFinished { outcome: JobOutcome::Failed { error, retry: true }, last_good: None },
        }
    }

    /// Comes back when the scheduler wants to be woken.
    async fn timer(&self) {
        match self.scheduler.wake_at() {
            Some(at) => tokio::time::sleep(at.saturating_sub(self.clock.monotonic())).await,
            None => pending().await,
        }
    }
}

/// What goes on in another thread. There is one at a time: the scheduler waits for its end before it wants another,
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
