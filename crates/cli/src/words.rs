//! Numbers, sizes and times as people read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

/// Bytes in decimal units, as borg writes them: `0 B`, `1.23 kB`, `45.60 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded up to 1000 belongs to the next unit.
    while size >= 999.995 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.2} {}", UNITS[unit])
}

/// A number with its noun: `1 file`, `12,345 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long something took or takes, in its two largest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 d 3 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_borgs_units() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (999_994, "999.99 kB"),
            (999_999, "1.00 MB"),
            (1_234_567_890, "1.23 GB"),
            (u64::MAX, "18.45 EB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn numbers_and_durations() {
        assert_eq!(count(0, "file"), "0 files");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(1_234_567, "file"), "1,234,567 files");
        for (seconds, expected) in
            [(0, "0.0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
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
