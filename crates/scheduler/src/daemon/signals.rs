//! The signals people and container engines send, listened to from the first moment on.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::Instant;
use worldkeeper_core::Stop;

use super::{DaemonError, reaper};

/// For how long after the first one a request to stop is an echo of it. Supervisors signal every process of a group,
/// and a terminal does too: who passes a signal on, as wrappers do, makes two of one.
const ECHO: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT, or SIGHUP, which comes when the terminal or its connection is gone: end.
    Stop,
    /// SIGUSR1: make a backup now.
    Backup,
}

/// The signals of this process. Its work runs under them: [`stoppable`](Self::stoppable) once, or a
/// [`Daemon`](super::Daemon) on schedule.
///
/// To be made before anything else. A signal that nobody listens to kills the process halfway through its
/// preparations, and as process 1 of a container, which has no default actions, it is lost. One that comes before the
/// work has begun is remembered. The signals stay listened to for the rest of the process's life, so that one that
/// comes after the end has no effect.
pub struct Signals {
    /// Gone only while this is dropped.
    runtime: Option<Runtime>,
    received: Receiver<Signal>,
    stop: Stop,
}

impl Signals {
    /// Begins to listen; and to collect orphans, if this is process 1. A process that `is_ours` is waited for by somebody,
    /// though it leads a group of its own.
    pub fn listen(is_ours: fn(u32) -> bool) -> Result<Self, DaemonError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("job")
            .build()
            .map_err(|source| DaemonError::System { action: "start the event loop", source })?;
        let received = runtime.block_on(async {
            reaper::start(is_ours);
            survive_file_size_limit()?;
            Listeners::new().map(Listeners::into_receiver)
        })?;
        Ok(Self { runtime: Some(runtime), received, stop: Stop::default() })
    }

    /// The stop that a signal requested, or will request, while work was [stoppable](Self::stoppable).
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What the work runs on, and the signals as they come.
    pub(super) fn split(&mut self) -> (&Runtime, &mut Receiver<Signal>) {
        let runtime = self.runtime.as_ref().expect("it is gone only while this is dropped");
        (runtime, &mut self.received)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Work that goes on after a second signal must not be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets a write beyond the limit on the size of files (`ulimit -f`) be one that fails, like any other. The signal that
/// comes with it kills whoever has no handler; this one does nothing, and stays after its listener is dropped.
fn survive_file_size_limit() -> Result<(), DaemonError> {
    listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Returns whether this process was begun with a signal ignored, as far as the system says so. As process 1 it ignores all
/// that it does not listen to.
fn ignores(signal: rustix::process::Signal) -> bool {
    if std::process::id() == 1 {
        return true;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (signal.as_raw() - 1)) != 0
}

/// Begins to listen to a signal. Needs a runtime.
fn listen(kind: SignalKind) -> Result<Listener, DaemonError> {
    signal(kind).map_err(|source| DaemonError::System { action: "listen to signals", source })
}

/// One listener for each signal.
struct Listeners {
    terminate: Listener,
    interrupt: Listener,
    /// Unless it is ignored: `nohup` means that the work goes on; and process 1 has no terminal of its own.
    hangup: Option<Listener>,
    user: Listener,
}

impl Listeners {
    /// Begins to listen. Needs a runtime.
    fn new() -> Result<Self, DaemonError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: (!ignores(rustix::process::Signal::HUP)).then(|| listen(SignalKind::hangup())).transpose()?,
            user: listen(SignalKind::user_defined1())?,
        })
    }

    /// Hands the signals over as they come, without their echoes, until the receiver is dropped.
    fn into_receiver(mut self) -> Receiver<Signal> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut echoes = Echoes::default();
            loop {
                let hangup = async {
                    match &mut self.hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                let signal = tokio::select! {
                    Some(()) = self.terminate.recv() => Signal::Stop,
                    Some(()) = self.interrupt.recv() => Signal::Stop,
                    Some(()) = hangup => Signal::Stop,
                    Some(()) = self.user.recv() => Signal::Backup,
                    else => return,
                };
                if !echoes.is_one(signal, Instant::now()) && sender.send(signal).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

/// Tells the echo of a request from the next one.
#[derive(Default)]
struct Echoes {
    /// When a stop was asked for, which counted.
    asked: Option<Instant>,
}

impl Echoes {
    /// Returns whether this signal is an echo.
    fn is_one(&mut self, signal: Signal, now: Instant) -> bool {
        if signal != Signal::Stop {
            return false;
        }
        let is_echo = self.asked.is_some_and(|asked| now.duration_since(asked) < ECHO);
        if !is_echo {
            self.asked = Some(now);
        }
        is_echo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_follows_at_once_is_the_same_one() {
        let start = Instant::now();
        let mut echoes = Echoes::default();
        for (signal, after_ms, is_echo) in [
            (Signal::Backup, 0, false),
            (Signal::Stop, 0, false),
            (Signal::Stop, 0, true),
            (Signal::Backup, 1, false),
            (Signal::Stop, 999, true),
            // An echo has none itself: who goes on asking is heard.
            (Signal::Stop, 1_000, false),
        ] {
            assert_eq!(echoes.is_one(signal, start + Duration::from_millis(after_ms)), is_echo, "after {after_ms} ms");
        }
    }
}
