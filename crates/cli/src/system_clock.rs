//! The machine's clock.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use worldkeeper_core::Clock;

/// The machine's clock. Its monotonic time goes on while the machine sleeps: else every sleep would look as if somebody
/// had set the wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        let since_boot = clock_gettime(ClockId::Boottime);
        Duration::new(since_boot.tv_sec.unsigned_abs(), since_boot.tv_nsec as u32)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
