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
use tokio::task::JoinHandle;
use tracing::{Level, debug, error, info, warn};
use worldkeeper_core::{Clock, Stop};
use worldkeeper_docker::{ContainerName, Endpoint, Watcher};

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
            let (sender, watch) = mpsc::channel(1);
            let containers = match self.watch {
                Some((endpoint, names)) => {
                    tokio::spawn(Watcher::new(endpoint, names.clone()).run(sender));
                    names
                }
                None => Vec::new(),
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
        let mut work = tokio::task::spawn_blocking({
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

/// What goes on in another thread. There is one at a time, the scheduler sees to that.
type Work = JoinHandle<Event>;

impl Loop {
    async fn run(
        mut self,
        mut signals: Receiver<Signal>,
        mut watch: Receiver<worldkeeper_docker::Watch>,
    ) -> Result<(), DaemonError> {
        let mut work: Option<Work> = None;
        let mut event = self.started().await;
        loop {
            for action in self.scheduler.handle(event, Now::read(&*self.clock)) {
                match action {
                    Action::Say(level, text) => say(level, &text),
                    Action::ReadLastGood => work = Some(self.read_last_good()),
                    Action::StartJob => work = Some(self.start_job()),
                    Action::StopJob => self.stop.request(),
                    Action::Exit => return Ok(()),
                }
            }
            event = tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Stop) if self.stop.is_requested() => return Err(DaemonError::Interrupted),
                    // Without its signals the daemon could not be stopped any more.
                    Some(Signal::Stop) | None => Event::StopRequested,
                    Some(Signal::Backup) => Event::BackupRequested,
                },
                event = ended(&mut work) => {
                    work = None;
                    event
                }
                Some(known) = watch.recv() => Event::Watch(known),
                () = self.timer() => Event::Timer,
            };
        }
    }

    /// The first event.
    async fn started(&self) -> Event {
        let job = Arc::clone(&self.job);
        let last_good = tokio::task::spawn_blocking(move || job.last_good()).await.unwrap_or_default();
        Event::Started { last_good }
    }

    fn read_last_good(&self) -> Work {
        let job = Arc::clone(&self.job);
        tokio::task::spawn_blocking(move || Event::LastGood(job.last_good()))
    }

    fn start_job(&self) -> Work {
        let (job, stop) = (Arc::clone(&self.job), self.stop.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = job.run(&stop);
            Event::JobFinished { outcome, last_good: job.last_good() }
        })
    }

    /// Comes back when the scheduler wants to be woken.
    async fn timer(&self) {
        match self.scheduler.wake_at() {
            Some(at) => tokio::time::sleep(at.saturating_sub(self.clock.monotonic())).await,
            None => pending().await,
        }
    }
}

/// The event that work in another thread ends with. A panic there is a failed job, not the end of the daemon.
async fn ended(work: &mut Option<Work>) -> Event {
    match work {
        None => pending().await,
        Some(work) => work.await.unwrap_or_else(|_| {
            let error = "it ended by a panic, which is a bug in Worldkeeper".to_owned();
            Event::JobFinished { outcome: JobOutcome::Failed { error, retry: true }, last_good: None::<Timestamp> }
        }),
    }
}

fn say(level: Level, text: &str) {
    match level {
        Level::ERROR => error!("{text}"),
        Level::WARN => warn!("{text}"),
        Level::INFO => info!("{text}"),
        Level::DEBUG | Level::TRACE => debug!("{text}"),
    }
}
