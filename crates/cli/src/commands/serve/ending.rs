//! The signals that end a server: it rolls back, gives the lock back and goes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use worldkeeper_core::Stop;

/// The signals, which stay caught after the first one, with what is said of them. SSH sends the first one when the connection is gone.
const SIGNALS: [(Signal, &str); 3] = [(Signal::HUP, "SIGHUP."), (Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")];

/// How a session is told to end.
pub(super) struct Ending {
    /// Requested by the first signal.
    pub(super) stop: Stop,
    /// Disconnected by the first signal.
    pub(super) end: Receiver<()>,
    signal: Arc<AtomicU8>,
}

impl Ending {
    /// Begins to listen, on a thread of its own.
    pub(super) fn listen() -> io::Result<Self> {
        let (stop, number) = (Stop::default(), Arc::new(AtomicU8::new(0)));
        let (ending, end) = bounded::<()>(0);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut listeners = Vec::new();
        {
            let _entered = runtime.enter();
            for (kind, _) in SIGNALS {
                listeners.push((kind, signal(SignalKind::from_raw(kind.as_raw()))?));
            }
            // A file that may not grow is an error like any other, and must not kill.
            drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        }
        let heard = Self { stop: stop.clone(), end, signal: Arc::clone(&number) };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let [hangup, interrupt, terminate] = &mut listeners[..] else { return };
                let first = tokio::select! {
                    _ = hangup.1.recv() => hangup.0,
                    _ = interrupt.1.recv() => interrupt.0,
                    _ = terminate.1.recv() => terminate.0,
                };
                number.store(first.as_raw() as u8, Ordering::SeqCst);
            });
            stop.request();
            drop(ending);
        })?;
        Ok(heard)
    }

    /// The number of the signal that has come.
    pub(super) fn signal(&self) -> u8 {
        self.signal.load(Ordering::SeqCst)
    }
}

/// What stock calls a signal.
pub(super) fn name(number: u8) -> &'static str {
    SIGNALS.iter().find(|(signal, _)| signal.as_raw() == i32::from(number)).map_or("a signal", |(_, name)| name)
}
