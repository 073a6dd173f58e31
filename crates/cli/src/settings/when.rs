//! A moment that bounds which archives are meant: so long ago, or a date, or a time of day on one.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::retention;

/// A moment, as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long before now.
    Ago(Duration),
    /// What clocks of the local zone show.
    Local(DateTime),
    /// The same for all zones.
    At(Timestamp),
}

/// Not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected how long ago, like 36H, 7d, 4w, 6m or 1y, or a date and time, like 2026-11-06 or 2026-11-06T12:00")]
pub(crate) struct NoMoment;

impl When {
    /// Reads a moment. One that names no zone is of the local one; a date alone is its beginning.
    pub(crate) fn parse(text: &str) -> Result<Self, NoMoment> {
        let text = text.trim();
        if let Ok(ago) = retention::parse_within(text) {
            return Ok(Self::Ago(ago));
        }
        // A zone that is named in brackets would be passed over.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.TtZz ".contains(&byte)) {
            return Err(NoMoment);
        }
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        let behind_date = text.get(10..).unwrap_or_default();
        if behind_date.contains(['+', '-', 'Z', 'z']) {
            return Err(NoMoment);
        }
        let local = if behind_date.is_empty() { text.parse().map(Date::into) } else { text.parse::<DateTime>() };
        local.map(Self::Local).map_err(|_| NoMoment)
    }

    /// The moment, seen from `now`. An hour that a clock change repeats is the first of the two.
    pub(crate) fn moment(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Ago(ago) => {
                let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
                now.saturating_sub(ago).unwrap_or(Timestamp::MIN)
            }
            // Only at the ends of time there is none.
            Self::Local(local) => zone.to_timestamp(local).unwrap_or(Timestamp::MIN),
            Self::At(moment) => moment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spans_back_dates_and_times() {
        let now: Timestamp = "2026-11-06T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("36H", "2026-11-05T00:00:00Z"),
            ("7d", "2026-10-30T12:00:00Z"),
            ("12m", "2025-10-30T12:00:00Z"),
            ("2026-11-06", "2026-11-05T22:00:00Z"),
            ("2026-11-06T12:00", "2026-11-06T10:00:00Z"),
            ("2026-11-06 12:00:30", "2026-11-06T10:00:30Z"),
            ("2026-11-06T12:00:00Z", "2026-11-06T12:00:00Z"),
            ("2026-11-06T12:00:00+05:30", "2026-11-06T06:30:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(When::parse(text).map(|when| when.moment(now, &zone)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "7",
            "-7d",
            "0d",
            "soon",
            "yesterday",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-30",
            "2026-11-06T25:00",
            "2026-11-06T12:00[Europe/Berlin]",
            "2026-11-06T12:00:00+99:00",
            "2026-11-06Z",
            "06.11.2026",
            "12:00",
            "ü",
        ] {
            assert_eq!(When::parse(text), Err(NoMoment), "{text:?}");
        }
    }
}
