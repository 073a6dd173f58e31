//! What to keep, in the words of borg's `--keep-…` options.

use std::time::Duration;

use worldkeeper_engine::prune::{Count, Period, Rules};

/// The options that count, and the period each of them keeps one archive of.
pub(super) const COUNTED: [(&str, &str, Period); 7] = [
    ("--keep-last", "KEEP_LAST", Period::Secondly),
    ("--keep-minutely", "KEEP_MINUTELY", Period::Minutely),
    ("--keep-hourly", "KEEP_HOURLY", Period::Hourly),
    ("--keep-daily", "KEEP_DAILY", Period::Daily),
    ("--keep-weekly", "KEEP_WEEKLY", Period::Weekly),
    ("--keep-monthly", "KEEP_MONTHLY", Period::Monthly),
    ("--keep-yearly", "KEEP_YEARLY", Period::Yearly),
];

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    /// Not a count.
    #[error("expected how many archives to keep: a number, or -1 for all")]
    Count,
    /// Not an interval.
    #[error("expected a number above 0 and a unit, like 36H, 7d, 4w, 6m or 1y")]
    Within,
}

/// What is kept if nothing is said: a day of hours, a week of days, a month of weeks, half a year of months.
pub(super) fn default_rules() -> Rules {
    let periods = [(Period::Hourly, 24), (Period::Daily, 7), (Period::Weekly, 4), (Period::Monthly, 6)];
    Rules { within: None, periods: periods.map(|(period, count)| (period, Count::AtMost(count))).to_vec() }
}

/// Reads a count; −1 is all.
pub(super) fn parse_count(text: &str) -> Result<Count, RuleError> {
    match text.trim() {
        "-1" => Ok(Count::Unlimited),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Count::AtMost).map_err(|_| RuleError::Count)
        }
        _ => Err(RuleError::Count),
    }
}

/// Reads an interval as borg does: hours, days, weeks, months of 31 days, years of 365.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `interval`.
pub(super) fn parse_within(text: &str) -> Result<Duration, RuleError> {
    let text = text.trim();
    let hours = match text.chars().next_back() {
        Some('H') => 1,
        Some('d') => 24,
        Some('w') => 24 * 7,
        Some('m') => 24 * 31,
        Some('y') => 24 * 365,
        _ => return Err(RuleError::Within),
    };
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RuleError::Within);
    }
    let number: u64 = number.parse().map_err(|_| RuleError::Within)?;
    // A thousand years: beyond it, and far beyond any use, arithmetic on times would leave its range.
    match number.checked_mul(hours) {
        Some(hours @ 1..8_760_000) => Ok(Duration::from_hours(hours)),
        _ => Err(RuleError::Within),
    }
}

/// Writes rules as the options that say the same.
pub(crate) fn to_text(rules: &Rules) -> String {
    let within = rules.within.map(|within| format!("within {}H", within.as_secs() / 3_600));
    let counted = rules.periods.iter().filter_map(|(period, count)| {
        let (option, _, _) = COUNTED.iter().find(|(_, _, known)| known == period)?;
        let option = option.trim_start_matches("--keep-");
        Some(match count {
            Count::AtMost(count) => format!("{count} {option}"),
            Count::Unlimited => format!("all {option}"),
        })
    });
    within.into_iter().chain(counted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(parse_count("7"), Ok(Count::AtMost(7)));
        assert_eq!(parse_count(" 0 "), Ok(Count::AtMost(0)));
        assert_eq!(parse_count("-1"), Ok(Count::Unlimited));
        for text in ["", "-2", "+1", "1.0", "seven", "4294967296", "1d"] {
            assert_eq!(parse_count(text), Err(RuleError::Count), "{text:?}");
        }
    }

    #[test]
    fn within_has_borgs_units() {
        for (text, hours) in [("1H", 1), ("2d", 48), ("1w", 168), ("1m", 744), ("1y", 8_760)] {
            assert_eq!(parse_within(text), Ok(Duration::from_hours(hours)), "{text}");
        }
        for text in ["", "1", "d", "0d", "-1d", "1h", "1D", "1M", "1.5d", "99999999999999999999y", "1000y", "1ü"] {
            assert_eq!(parse_within(text), Err(RuleError::Within), "{text:?}");
        }
    }

    #[test]
    fn the_default_reads_well() {
        assert_eq!(to_text(&default_rules()), "24 hourly, 7 daily, 4 weekly, 6 monthly");
    }
}
