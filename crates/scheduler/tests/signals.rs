//! The daemon and real signals. One test, because signals are sent to the whole process.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Signal, getpid, kill_process};
use worldkeeper_core::{Clock, Stop};
use worldkeeper_scheduler::{Daemon, DaemonError, Job, JobOutcome, Signals};

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

fn daemon(job: Endless) -> Daemon {
    let clock = Arc::new(SystemClock(Instant::now()));
    Daemon { interval: Duration::from_hours(1), watch: None, jobs: vec![("/repository".into(), Arc::new(job))], clock }
}

#[test]
fn signals_end_the_daemon_and_commands() {
    for signal in [Signal::TERM, Signal::INT] {
        let (begun, has_begun) = channel();
        send_when(has_begun, signal);
        let (dropped, was_dropped) = channel();
        let ended = daemon(Endless(begun)).run(&mut Signals::listen(|_| false).unwrap(), Guard(dropped));
        ended.expect("a stop that was asked for is no failure");
        was_dropped.try_recv().expect("the guard is given back");
    }

    let (begun, has_begun) = channel();
    send_when(has_begun, Signal::TERM);
    let stopped = Signals::listen(|_| false).unwrap().stoppable(move |stop| Endless(begun).run(stop)).unwrap();
    assert_eq!(stopped, JobOutcome::Stopped);

    // One that comes before the work is remembered, by all the work there is.
    let mut signals = Signals::listen(|_| false).unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    let (begun, _heard) = channel();
    assert_eq!(signals.stoppable(move |stop| Endless(begun).run(stop)).unwrap(), JobOutcome::Stopped);
    let (begun, has_begun) = channel();
    daemon(Endless(begun)).run(&mut signals, ()).unwrap();
    assert!(has_begun.recv().is_err(), "nothing begins after a stop");

    let (begun, has_begun) = channel();
    let (let_go, held) = channel::<()>();
    send_when(has_begun, Signal::TERM);
    let interrupted = Signals::listen(|_| false).unwrap().stoppable(move |stop| {
        begun.send(()).unwrap();
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        // The first signal was heard, and this work does not care. Whoever insists is heard, too.
        while held.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            begun.send(()).unwrap();
        }
    });
    assert!(matches!(interrupted, Err(DaemonError::Interrupted)));
    drop(let_go);

    let panicked = Signals::listen(|_| false).unwrap().stoppable(|_| panic!("a panic on purpose"));
    assert!(matches!(panicked, Err::<(), _>(DaemonError::Panicked)));
}
