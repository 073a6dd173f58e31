//! Work that runs once and can be stopped by a signal.

use tokio::task::spawn_blocking;
use tracing::info;
use worldkeeper_core::Stop;

use super::signals::{Signal, Signals};
use super::{DaemonError, reaper, runtime};

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
