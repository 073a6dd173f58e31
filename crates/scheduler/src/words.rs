//! Durations and sizes as people say them.

use std::time::Duration;

/// The duration in its two largest units: `45 s`, `12 min`, `1 h 5 min`, `2 d 3 h`.
pub(crate) fn duration(duration: Duration) -> String {
    // Rounded up, so that a wait that has begun is never said to be nothing.
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => pair(days, "d", hours % 24, "h"),
        () if hours > 0 => pair(hours, "h", minutes % 60, "min"),
        () if minutes > 0 => pair(minutes, "min", seconds % 60, "s"),
        () => format!("{seconds} s"),
    }
}

/// The size in the largest unit that leaves something before the point: `512 B`, `1.4 MB`; powers of 1000, as borg.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded to 1000.0 is one of the next unit.
    while size >= 999.95 {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_largest_units_are_said() {
        for (seconds, expected) in [
            (0, "0 s"),
            (45, "45 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3_900, "1 h 5 min"),
            (86_400, "1 d"),
            (97_200, "1 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(duration(Duration::from_millis(1)), "1 s");
    }

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_449_999, "1.4 MB"),
            (999_960, "1.0 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }
}
