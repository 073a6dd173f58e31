//! The signals people and container engines send.

use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::mpsc::{self, Receiver};

use super::DaemonError;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT: end.
    Stop,
    /// SIGUSR1: make a backup now.
    Backup,
}

/// The signals that are listened to. Process 1 of a container has no default actions: what is not listened to is lost.
pub(super) struct Signals {
    terminate: Listener,
    interrupt: Listener,
    user: Listener,
}

impl Signals {
    /// Begins to listen. Needs a runtime.
    pub(super) fn listen() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(|source| DaemonError::System { action: "listen to signals", source });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            user: listen(SignalKind::user_defined1())?,
        })
    }

    /// Hands the signals over as they come, until the receiver is dropped.
    pub(super) fn into_receiver(mut self) -> Receiver<Signal> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    Some(()) = self.terminate.recv() => Signal::Stop,
                    Some(()) = self.interrupt.recv() => Signal::Stop,
                    Some(()) = self.user.recv() => Signal::Backup,
                    else => return,
                };
                if sender.send(signal).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
