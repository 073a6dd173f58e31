//! Numbers, sizes and durations as people read them, in the log and on the screen.

use std::time::Duration;

/// Bytes in decimal units, as borg writes them: `0 B`, `1.23 kB`, `45.60 MB`.
pub fn bytes(bytes: u64) -> String {
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
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with its digits in groups of three: `12,345`.
pub fn grouped(number: u64) -> String {
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

/// How long something took or takes, in its two largest units: `0.2 s`, `45 s`, `12 min`, `1 h 5 min`, `2 d 3 h`.
///
/// Rounded up, so that what has begun is never said to be nothing.
pub fn duration(duration: Duration) -> String {
    let tenths = duration.as_nanos().div_ceil(100_000_000);
    if tenths < 100 && !tenths.is_multiple_of(10) {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn pair(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
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
    fn numbers_agree_with_their_nouns() {
        for (number, expected) in [(0, "0 files"), (1, "1 file"), (999, "999 files"), (1_234_567, "1,234,567 files")] {
            assert_eq!(count(number, "file"), expected);
        }
    }

    #[test]
    fn the_two_largest_units_are_said() {
        assert_eq!(duration(Duration::from_nanos(1)), "0.1 s");
        for (ms, expected) in [
            (0, "0 s"),
            (1, "0.1 s"),
            (200, "0.2 s"),
            (1_000, "1 s"),
            (9_900, "9.9 s"),
            (9_901, "10 s"),
            (44_001, "45 s"),
            (59_001, "1 min"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_900_000, "1 h 5 min"),
            (86_400_000, "1 d"),
            (97_200_000, "1 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }
}
