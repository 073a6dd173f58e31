//! Makes the scheduler's events happen and carries its actions out.
//!
//! One loop on one thread: signals, the container watcher and the timer come in as events; the job runs on a thread of
//! its own, so that a stop is heard while it works.
//!
//! SIGTERM and SIGINT stop gracefully: a running job is asked to stop and waited for. A second one, a second or more
//! later, ends at once, with [`DaemonError::Interrupted`] and exit code 2: whatever the job was doing is rolled back by
//! the next one. SIGUSR1 asks for a backup now. As process 1 of a container it also collects the orphans that end up
//! with it.

mod event_loop;
mod reaper;
mod signals;
mod stoppable;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use worldkeeper_core::Clock;
use worldkeeper_docker::{ContainerName, Endpoint, Watcher};

use crate::{Job, Lookout, Scheduler};
use event_loop::EventLoop;

pub use signals::Signals;

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
    /// The containers to watch. Without, the schedule always runs.
    pub watch: Option<Watched>,
    /// What is done when a backup is due: a job for each repository, with what that is called. One after the other.
    pub jobs: Vec<(String, Arc<dyn Job>)>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Containers that are watched.
pub struct Watched {
    /// Through what.
    pub endpoint: Endpoint,
    /// Which.
    pub names: Vec<ContainerName>,
    /// Sees whether they use what is backed up.
    pub lookout: Arc<dyn Lookout>,
    /// Whether there may be nothing to watch them through, as nobody has said that there is. Then the schedule is fixed until
    /// somebody answers.
    pub is_optional: bool,
}

impl Daemon {
    /// Runs until SIGTERM or SIGINT, then returns `Ok`; at once if one has come before.
    ///
    /// `guard` is kept until then: what proves that this is the only daemon of its state directory.
    pub fn run<G>(self, signals: &mut Signals, guard: G) -> Result<(), DaemonError> {
        if signals.stop().is_requested() {
            return Ok(());
        }
        let (runtime, received) = signals.split();
        let ended = runtime.block_on(async {
            let (names, jobs): (Vec<_>, _) = self.jobs.into_iter().unzip();
            let (watch, lookout, scheduler) = match self.watch {
                Some(Watched { endpoint, names: containers, lookout, is_optional }) => {
                    let (sender, receiver) = mpsc::channel(1);
                    let scheduler = Scheduler::new(self.interval, &containers, &names);
                    tokio::spawn(Watcher::new(endpoint, containers).run(sender));
                    let scheduler = if is_optional { scheduler.with_optional_engine() } else { scheduler };
                    (Some(receiver), Some(lookout), scheduler)
                }
                None => (None, None, Scheduler::new(self.interval, &[], &names)),
            };
            EventLoop::new(scheduler, jobs, lookout, self.clock).run(received, watch).await
        });
        drop(guard);
        ended
    }
}
