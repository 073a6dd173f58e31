//! The seam through which time comes in.

use std::time::Duration;

use jiff::Timestamp;

/// Where the time comes from; tests pass one that they move by hand.
pub trait Clock: Send + Sync {
    /// The wall clock. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back. Waits and deadlines use this one.
    fn monotonic(&self) -> Duration;

    /// Waits. A test's clock moves itself forward instead.
    fn sleep(&self, duration: Duration);
}
