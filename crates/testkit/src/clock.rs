//! A clock that a test moves by hand.

use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use worldkeeper_core::Clock;

/// Stands still until it is moved; who sleeps moves it.
pub struct ManualClock {
    now: Mutex<(Timestamp, Duration)>,
    tick: Duration,
}

impl ManualClock {
    /// Stands at `now`, in the form `2026-11-06T12:00:00Z`.
    ///
    /// # Panics
    ///
    /// If it is another form.
    pub fn at(now: &str) -> Self {
        let now = Mutex::new((now.parse().expect("a time"), Duration::ZERO));
        Self { now, tick: Duration::ZERO }
    }

    /// The same, but whenever somebody looks how much time has passed, it is a second more; the wall clock does not mind.
    #[must_use]
    pub fn ticking(self) -> Self {
        Self { tick: Duration::from_secs(1), ..self }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.now.lock().expect("no test panics while it looks");
        now.0 += SignedDuration::try_from(duration).expect("a test's durations are short");
        now.1 += duration;
    }

    /// Sets the wall clock alone, as an administrator would.
    pub fn set_wall(&self, now: Timestamp) {
        self.now.lock().expect("no test panics while it looks").0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now.lock().expect("no test panics while it looks").0
    }

    fn monotonic(&self) -> Duration {
        let mut now = self.now.lock().expect("no test panics while it looks");
        now.1 += self.tick;
        now.1
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
