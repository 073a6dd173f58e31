//! Lengths of time as people write them: `3600`, `90m`, `1h30m`, `2d`.

use std::time::Duration;

/// The units, longest first, and how many seconds each has.
const UNITS: [(char, u64); 5] = [('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest duration taken, in seconds: ten years. Keeps all arithmetic on times within its range.
const MAX_SECONDS: u64 = 3_660 * 86_400;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    /// Not of the form.
    #[error("a duration is a number of seconds, or like 90m, 1h30m or 2d (units w d h m s, longest first)")]
    Form,
    /// More than ten years.
    #[error("a duration is at most ten years")]
    TooLong,
}

/// Reads a duration: a bare number is seconds, else numbers with units, longest first, each unit once.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Form);
    }
    let mut rest = text;
    let mut seconds = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::Form);
        }
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        let (unit, behind) = match behind.chars().next() {
            // Only a bare number goes without a unit.
            None if digits == text.len() => ('s', behind),
            None => return Err(DurationError::Form),
            Some(unit) => (unit, &behind[unit.len_utf8()..]),
        };
        // The iterator goes on where it stood: a unit that is repeated, or longer than the last, is not found.
        let (_, factor) = units.find(|(known, _)| *known == unit).ok_or(DurationError::Form)?;
        seconds =
            number.checked_mul(*factor).and_then(|more| seconds.checked_add(more)).ok_or(DurationError::TooLong)?;
        rest = behind;
    }
    if seconds > MAX_SECONDS { Err(DurationError::TooLong) } else { Ok(Duration::from_secs(seconds)) }
}

/// Writes a duration so that [`parse`] reads it, fractions of a second cut off.
pub(crate) fn to_text(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor {
            text.push_str(&(rest / factor).to_string());
            text.push(unit);
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, seconds) in [
            ("0", 0),
            ("3600", 3_600),
            ("45s", 45),
            ("90m", 5_400),
            ("1h30m", 5_400),
            (" 1h ", 3_600),
            ("2d", 172_800),
            ("1w1d1h1m1s", 694_861),
            ("00060", 60),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", " ", "h", "1x", "1h30", "30m1h", "1h1h", "-1", "+1", "1.5h", "1 h", "1H", "soon", "1ü", "ü", "1h-"]
        {
            assert_eq!(parse(text), Err(DurationError::Form), "{text:?}");
        }
        for text in ["99999999999999999999", "18446744073709551615w", "3661d", "400000000"] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text:?}");
        }
    }

    #[test]
    fn the_text_form_is_read_back() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (5_400, "1h30m"), (86_400 * 8 + 1, "1w1d1s")] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(to_text(duration), text);
            assert_eq!(parse(text), Ok(duration));
        }
    }
}
