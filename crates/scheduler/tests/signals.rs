//! The daemon and real signals. One test, because signals are sent to the whole process.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Signal, getpid, kill_process};
use worldkeeper_core::{Clock, Stop};
use worldkeeper_scheduler::{Daemon, DaemonError, Job, JobOutcome, stoppable};

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A job that tells when it has begun and works until it is asked to stop.
struct Endless(Sender<()>);

impl Job for Endless {
    fn run(&self, stop: &Stop) -> JobOutcome {
        self.0.send(()).unwrap();
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        JobOutcome::Stopped
    }

    fn last_good(&self) -> Option<Timestamp> {
        None
    }
}

/// Proves that it was kept: it tells when it is dropped.
struct Guard(Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Sends `signal` to this process each time `begun` says so.
fn send_when(begun: Receiver<()>, signal: Signal) {
    std::thread::spawn(move || {
        for () in begun {
            kill_process(getpid(), signal).unwrap();
        }
    });
}

#[test]
fn signals_end_the_daemon_and_commands() {
    for signal in [Signal::TERM, Signal::INT] {
        let (begun, has_begun) = channel();
        send_when(has_begun, signal);
        let (dropped, was_dropped) = channel();
        let clock = Arc::new(SystemClock(Instant::now()));
        let daemon = Daemon { interval: Duration::from_hours(1), watch: None, job: Arc::new(Endless(begun)), clock };
        daemon.run(Guard(dropped)).expect("a stop that was asked for is no failure");
        was_dropped.try_recv().expect("the guard is given back");
    }

    let (begun, has_begun) = channel();
    send_when(has_begun, Signal::TERM);
    let stopped = stoppable(move |stop| Endless(begun).run(stop)).unwrap();
    assert_eq!(stopped, JobOutcome::Stopped);

    let (begun, has_begun) = channel();
    let (let_go, held) = channel::<()>();
    send_when(has_begun, Signal::TERM);
    let interrupted = stoppable(move |stop| {
        begun.send(()).unwrap();
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        // The first signal was heard, and this work does not care.
        begun.send(()).unwrap();
        let _ = held.recv();
    });
    assert!(matches!(interrupted, Err(DaemonError::Interrupted)));
    drop(let_go);

    assert!(matches!(stoppable(|_| panic!("a panic on purpose")), Err::<(), _>(DaemonError::Panicked)));
}
