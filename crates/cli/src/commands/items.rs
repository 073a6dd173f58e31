//! How the parts of an item are shown, the same by every verb that shows some.

use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use worldkeeper_archive::Item;

/// A mode as `ls -l` shows it.
pub(super) fn mode(mode: u32) -> String {
    let kind = match mode & TYPE {
        SYMLINK => 'l',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o040_000 => 'd',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o100_000 => '-',
        _ => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// The size of what the item itself holds: of a symlink, its target.
pub(super) fn size(item: &Item) -> u64 {
    let target = item.source.as_ref().filter(|_| item.mode & TYPE == SYMLINK);
    let chunks = || item.chunks.iter().flatten().map(|chunk| u64::from(chunk.size)).sum();
    target.map_or_else(|| item.size.unwrap_or_else(chunks), |target| target.len() as u64)
}

/// A moment of an item, in nanoseconds, as stock understands it: through a float of seconds, which rounds, and never
/// before 1970.
///
/// Source: borg 1.4 `helpers/time.py`, `safe_timestamp`; Python's `datetime.fromtimestamp`.
pub(super) fn moment(ns: i64) -> Timestamp {
    let seconds = ns.clamp(0, MAX_NS) as f64 / 1e9;
    let micros = ((seconds - seconds.trunc()) * 1e6).round_ties_even();
    Timestamp::from_microsecond(seconds.trunc() as i64 * 1_000_000 + micros as i64).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A moment in JSON: local time, with six digits behind the second and no zone.
pub(super) fn json_moment(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// A moment of an archive or the manifest in JSON: stock shows whole seconds of it.
pub(super) fn json_whole_moment(moment: Timestamp, zone: &TimeZone) -> String {
    let cut = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    json_moment(moment.round(cut).unwrap_or(moment), zone)
}

/// The last moment stock shows: it takes two days off the end of 32 bits, for time zones.
const MAX_NS: i64 = ((1 << 31) - 1 - 172_800) * 1_000_000_000;

/// Where the mode holds the type.
pub(super) const TYPE: u32 = 0o170_000;
/// The type of a symlink.
pub(super) const SYMLINK: u32 = 0o120_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_ls() {
        for (bits, expected) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_644, "-rw-r-Sr--"),
            (0o041_777, "drwxrwxrwt"),
            (0o010_000, "p---------"),
            (0, "?---------"),
        ] {
            assert_eq!(mode(bits), expected);
        }
    }

    #[test]
    fn moments_are_rounded_as_a_float_is() {
        for (ns, expected) in [
            (1_767_323_045_123_456_789, "2026-01-02T03:04:05.123457"),
            (1_767_323_045_999_999_900, "2026-01-02T03:04:06.000000"),
            (-5, "1970-01-01T00:00:00.000000"),
            (i64::MAX, "2038-01-17T03:14:07.000000"),
        ] {
            assert_eq!(json_moment(moment(ns), &TimeZone::UTC), expected);
        }
    }
}
