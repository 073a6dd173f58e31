//! One of the repositories that backups go to: when its next one is due, and what that is reckoned from.

use std::time::Duration;

use jiff::Timestamp;

use super::{FIRST_RETRY, Now};

/// A repository, as far as the schedule is concerned.
#[derive(Debug)]
pub(super) struct Target {
    /// What it is called, where there are several.
    pub(super) name: Option<String>,
    /// When its next job is due, on the monotonic clock.
    pub(super) due: Duration,
    /// The last good archive that `due` was reckoned from.
    pub(super) last_good: Option<Timestamp>,
    /// Failures since the last good archive.
    pub(super) failures: u32,
    /// Its turn comes in the run that goes on.
    pub(super) is_queued: bool,
}

impl Target {
    pub(super) fn new(name: Option<String>) -> Self {
        Self { name, due: Duration::ZERO, last_good: None, failures: 0, is_queued: false }
    }

    /// Reckons from a last good archive that was learnt just now. Returns whether its date can be true.
    pub(super) fn learn(&mut self, last_good: Option<Timestamp>, interval: Duration, now: Now) -> bool {
        let wait = last_good.map_or(Some(Duration::ZERO), |time| due_after(time, interval, now.wall));
        self.last_good = last_good;
        self.failures = 0;
        self.due = now.monotonic + wait.unwrap_or_default();
        wait.is_some()
    }

    /// Reckons from an archive of this process, in a run that began then. Whatever was recorded: what this process saw begin
    /// is reckoned on the monotonic clock.
    pub(super) fn succeed(&mut self, last_good: Option<Timestamp>, run_began: Duration, interval: Duration) {
        self.failures = 0;
        self.last_good = last_good;
        self.due = run_began + interval;
    }

    /// Waits after a failure that may pass, or for a whole interval.
    pub(super) fn fail(&mut self, may_pass: bool, interval: Duration, now: Now) {
        self.due = now.monotonic + if may_pass { self.retry_wait(interval) } else { interval };
        self.failures = self.failures.saturating_add(1);
    }

    /// Waits as after failures if so many jobs in a row ended with their processes. After the first one it does not: whoever
    /// killed it may have meant to, or it was the machine.
    pub(super) fn reckon_with(&mut self, cut_off: u32, interval: Duration, now: Now) {
        if let Some(failures) = cut_off.checked_sub(2) {
            let due = self.due;
            self.failures = failures;
            self.fail(true, interval, now);
            self.due = self.due.max(due);
        }
    }

    /// How long to wait after a failure: 1 min, 2 min, 4 min, … up to the interval.
    pub(super) fn retry_wait(&self, interval: Duration) -> Duration {
        FIRST_RETRY.saturating_mul(1 << self.failures.min(20)).min(interval)
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        now.monotonic >= self.due
    }

    /// Returns whether it may take part in a run of others: it is due within a tenth of the interval, so that repositories
    /// that were out of step are in step again. One that failed waits for its own time.
    pub(super) fn may_join(&self, interval: Duration, now: Now) -> bool {
        self.failures == 0 && now.monotonic + interval / 10 >= self.due
    }
}

/// How long after `now` a backup is due, given when the last good archive was begun; `None` if that cannot be.
///
/// An archive from the future means that the clock was, or is, wrong. Up to one interval ahead it is taken for one of
/// just now: the next is due after an interval, and the clock catches up on the way. Further ahead its age cannot be
/// guessed. Waiting could go on for ever in a daemon that is restarted more often than the interval, so the next is due
/// now; its archive replaces the wrong date, so that this happens once.
fn due_after(last_good: Timestamp, interval: Duration, now: Timestamp) -> Option<Duration> {
    match now.duration_since(last_good).try_into() {
        Ok(age) => Some(interval.saturating_sub(age)),
        Err(_) => (last_good.duration_since(now).unsigned_abs() <= interval).then_some(interval),
    }
}
