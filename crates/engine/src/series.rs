//! How the archives of one series are named: `NAME-2026-11-06T12:00:00`, in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use worldkeeper_archive::ArchiveName;

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

/// The series that an archive is named as one of, or a checkpoint of one.
pub fn of(name: &str) -> Option<&str> {
    let name = without_checkpoint(name).unwrap_or(name);
    // What ends a name that is a member: a time, and perhaps a number.
    let mut ends = name.match_indices('-').map(|(end, _)| &name[..end]);
    ends.find(|series| is_member(name, series))
}

/// The name under which an archive in the making is saved; the first that is not taken.
///
/// Source: borg 1.4 `archive.py`, `Archive.__init__`.
pub(crate) fn checkpoint_name(archive: &ArchiveName, is_taken: impl Fn(&ArchiveName) -> bool) -> ArchiveName {
    let numbered = |number: u32| match number {
        0 => format!("{archive}.checkpoint"),
        _ => format!("{archive}.checkpoint.{number}"),
    };
    let mut names = (0..).map(|number| ArchiveName::from_bytes(numbered(number)));
    names.find(|name| !is_taken(name)).expect("not all names are taken")
}

/// Returns whether an archive is a checkpoint of one of the series.
pub fn is_checkpoint_of(name: &str, series: &str) -> bool {
    without_checkpoint(name).is_some_and(|archive| is_member(archive, series))
}

/// Returns whether an archive is a checkpoint: what is left of a run that was cut off, by stock borg or us.
pub fn is_checkpoint(name: &str) -> bool {
    without_checkpoint(name).is_some()
}

/// The archive that a checkpoint was to become.
///
/// Source: borg 1.4 `archiver.py`, `do_prune`: `\.checkpoint(\.\d+)?$`.
fn without_checkpoint(name: &str) -> Option<&str> {
    let unnumbered = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let unnumbered = unnumbered.strip_suffix('.').filter(|_| unnumbered.len() < name.len()).unwrap_or(name);
    unnumbered.strip_suffix(".checkpoint")
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
    fn checkpoints_are_told_from_archives() {
        for (name, expected) in [
            ("mc-2026-11-06T12:00:00.checkpoint", true),
            ("mc-2026-11-06T12:00:00-2.checkpoint.13", true),
            ("mc-2026-11-06T12:00:00.checkpoint.", false),
            ("mc-2026-11-06T12:00:00.checkpoint.x", false),
            ("mc-2026-11-06T12:00:00.checkpoint3", false),
            ("mc-2026-11-06T12:00:00", false),
            ("mcx-2026-11-06T12:00:00.checkpoint", false),
        ] {
            assert_eq!(is_checkpoint_of(name, "mc"), expected, "{name}");
        }
        assert!(is_checkpoint("by hand.checkpoint.1") && !is_checkpoint("by hand"));
        let taken = [ArchiveName::from_bytes("a.checkpoint"), ArchiveName::from_bytes("a.checkpoint.1")];
        let name = checkpoint_name(&ArchiveName::from_bytes("a"), |name| taken.contains(name));
        assert_eq!(name.to_string(), "a.checkpoint.2");
    }

    #[test]
    fn a_name_tells_its_series() {
        for (name, series) in [
            ("mc-2026-11-06T12:00:00", Some("mc")),
            ("mc-1-2026-11-06T12:00:00-2", Some("mc-1")),
            ("mc-2026-11-06T12:00:00.checkpoint.3", Some("mc")),
            ("by-hand", None),
            ("mc", None),
        ] {
            assert_eq!(of(name), series, "{name}");
        }
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
