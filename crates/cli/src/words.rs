//! Numbers, sizes and times as people read them; those that the log uses, too, are the scheduler's.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

pub(crate) use worldkeeper_scheduler::words::{bytes, count, duration};

/// A moment as borg lists it: `Fri, 2026-11-06 12:00:00`, in local time.
pub(crate) fn moment(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%a, %Y-%m-%d %H:%M:%S").to_string()
}

/// From one moment to a later one; nothing if the clock went back.
pub(crate) fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    now.since((Unit::Second, earlier))
        .ok()
        .and_then(|span| span.get_seconds().try_into().ok())
        .map_or(Duration::ZERO, Duration::from_secs)
}

/// Returns whether a moment is later than now by more than clocks differ.
pub(crate) fn is_ahead(moment: Timestamp, now: Timestamp) -> bool {
    /// In seconds.
    const SLACK: i64 = 120;
    moment.as_second() > now.as_second() + SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let later = |seconds: i64| is_ahead(Timestamp::from_second(1_000_000 + seconds).unwrap(), now);
        assert_eq!([-1000, 0, 120, 121, 1_000_000].map(later), [false, false, false, true, true]);
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_negative() {
        let now = Timestamp::UNIX_EPOCH;
        let later = "1970-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(since(now, later), Duration::from_hours(24));
        assert_eq!(since(later, now), Duration::ZERO);
        assert_eq!(moment(now, &TimeZone::UTC), "Thu, 1970-01-01 00:00:00");
    }
}
