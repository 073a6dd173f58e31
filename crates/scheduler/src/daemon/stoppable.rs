//! Work that runs once and can be stopped by a signal.

use tokio::task::spawn_blocking;
use tracing::info;
use worldkeeper_core::Stop;

use super::DaemonError;
use super::signals::{Signal, Signals};

impl Signals {
    /// Does `work` on a thread of its own and requests its stop on SIGTERM, SIGINT or SIGHUP, also if that has come before. A
    /// second signal, unless it is an echo of the first, returns [`DaemonError::Interrupted`] at once.
    pub fn stoppable<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, DaemonError> {
        let stop = self.stop().clone();
        let (runtime, received) = self.split();
        runtime.block_on(async {
            let mut work = spawn_blocking({
                let stop = stop.clone();
                move || work(&stop)
            });
            loop {
                tokio::select! {
                    ended = &mut work => return ended.map_err(|_| DaemonError::Panicked),
                    Some(signal) = received.recv() => match signal {
                        Signal::Stop if stop.is_requested() => return Err(DaemonError::Interrupted),
                        Signal::Stop => {
                            info!("stopping as soon as the repository is as it should be");
                            stop.request();
                        }
                        Signal::Backup => {}
                    },
                }
            }
        })
    }
}
