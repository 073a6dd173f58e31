//! The seam through which time comes in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from; tests pass one that they move by hand.
pub trait Clock: Send + Sync {
    /// The wall clock. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back. Waits and deadlines use this one.
    fn monotonic(&self) -> Duration;

    /// Waits. A test's clock moves itself forward instead.
    fn sleep(&self, duration: Duration);
}

/// A moment on both clocks, to see by later whether somebody has set the wall clock since.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Timestamp,
    monotonic: Duration,
}

impl Moment {
    /// This moment.
    pub fn now(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }

    /// How far the wall clock has been moved since, forward or (negative) back.
    pub fn wall_moved(&self, clock: &dyn Clock) -> SignedDuration {
        let passed = clock.monotonic().saturating_sub(self.monotonic);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        clock.now().duration_since(self.wall).saturating_sub(passed)
    }
}
