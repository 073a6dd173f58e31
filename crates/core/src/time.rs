//! How borg writes a moment: `YYYY-MM-DDTHH:MM:SS.ffffff`, UTC, without a zone.
//!
//! Stock compares manifest timestamps as text, so the six digits are always written.
//! Source: borg 1.4 `helpers/time.py`, `to_localtime`, `parse_timestamp`; `constants.py`, `ISO_FORMAT`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The text is not a moment as borg writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time like 2026-11-06T12:00:00.000000")]
pub struct ParseTimeError {
    /// What was given, at most 64 characters of it.
    pub text: String,
}

/// Writes `moment` as borg does, cut to microseconds.
pub fn to_text(moment: Timestamp) -> String {
    TimeZone::UTC.to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// Reads a moment that borg wrote; the fraction may be missing.
pub fn parse(text: &str) -> Result<Timestamp, ParseTimeError> {
    let error = || ParseTimeError { text: text.chars().take(64).collect() };
    // DateTime's own parser takes more than borg writes, for one a zone that it then ignores.
    let well_formed = text.len() >= 19
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'.',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return Err(error());
    }
    let moment: DateTime = text.parse().map_err(|_| error())?;
    TimeZone::UTC.to_timestamp(moment).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_always_written() {
        let moment = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        assert_eq!(to_text(moment), "2023-11-14T22:13:20.000000");
        assert_eq!(parse(&to_text(moment)), Ok(moment));
        assert_eq!(parse("2023-11-14T22:13:20"), Ok(moment));
    }

    #[test]
    fn what_borg_does_not_write_is_refused() {
        for text in [
            "",
            "2023",
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20+00:00",
            "2023-13-14T22:13:20.000000",
            "2023-11-14T22:13:20Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
