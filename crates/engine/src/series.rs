//! How the archives of one series are named: `NAME-2026-11-06T12:00:00`, in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The name of an archive that is made at `now`; the first that is not taken.
pub(crate) fn archive_name(series: &str, now: Timestamp, is_taken: impl Fn(&str) -> bool) -> String {
    let name = format!("{series}-{}", TimeZone::UTC.to_datetime(now).strftime(FORMAT));
    if !is_taken(&name) {
        return name;
    }
    let mut number = 2;
    loop {
        let name = format!("{name}-{number}");
        if !is_taken(&name) {
            return name;
        }
        number += 1;
    }
}

/// Returns whether an archive is named as one of the series.
pub fn is_member(name: &str, series: &str) -> bool {
    let Some(rest) = name.strip_prefix(series).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let (time, number) = rest.split_at_checked(TIME_LEN).unwrap_or((rest, ""));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let well_ended = number.is_empty() || number.strip_prefix('-').is_some_and(is_number);
    well_ended && time.len() == TIME_LEN && jiff::civil::DateTime::strptime(FORMAT, time).is_ok()
}

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S";
const TIME_LEN: usize = "2026-11-06T12:00:00".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_a_number() {
        let now = "2026-11-06T12:00:00Z".parse().unwrap();
        assert_eq!(archive_name("mc", now, |_| false), "mc-2026-11-06T12:00:00");
        let taken = ["mc-2026-11-06T12:00:00", "mc-2026-11-06T12:00:00-2"];
        assert_eq!(archive_name("mc", now, |name| taken.contains(&name)), "mc-2026-11-06T12:00:00-3");
    }

    #[test]
    fn only_our_own_names_are_members() {
        for name in ["mc-2026-11-06T12:00:00", "mc-2026-11-06T12:00:00-2", "mc-2026-11-06T12:00:00-13"] {
            assert!(is_member(name, "mc"), "{name}");
        }
        for name in [
            "mc",
            "mc-",
            "mc-2026-11-06",
            "mc-2026-11-06T12:00:00-",
            "mc-2026-11-06T12:00:00-x",
            "mc-2026-13-06T12:00:00",
            "mc-2026-11-06T12:00:00.checkpoint",
            "mc-creative-2026-11-06T12:00:00",
            "mcx-2026-11-06T12:00:00",
            "mc-2026-11-06Tüüüü",
        ] {
            assert!(!is_member(name, "mc"), "{name}");
        }
    }
}
