//! How long ago a file must have changed for its next change to show in its ctime.

use jiff::Timestamp;

use crate::source::Stat;

/// What is feared of a file that looks as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caution {
    /// The clocks of file systems tick: two changes within one tick look like one, and we may have read between them.
    ///
    /// Where nothing was known of any file, that is all: what is written to while a first archive is made is
    /// written to again.
    Tick,
    /// A write has its time from when it began, and brings its bytes bit by bit; it waits for a disk, or for memory.
    Write,
    /// What is written to mapped memory has the time of the first change of a page since that was last on the disk, which is
    /// half a minute later; until then all further changes look like none.
    Writeback,
}

impl Caution {
    /// Returns whether what a file holds when it was looked at is what it holds for as long as its ctime stays what it was then.
    pub(super) fn trusts(self, stat: &Stat, looked: Timestamp) -> bool {
        // A time without a fraction is most likely from a file system that has none.
        let tick_ns = if stat.ctime_ns % 1_000_000_000 == 0 { COARSE_TICK_NS } else { FINE_TICK_NS };
        let age_ns = match self {
            Self::Tick => tick_ns,
            Self::Write => tick_ns.max(WRITE_NS),
            Self::Writeback => WRITEBACK_NS,
        };
        i128::from(stat.ctime_ns) + age_ns < looked.as_nanosecond()
    }
}

/// Several ticks of a kernel that counts 100 in a second.
const FINE_TICK_NS: i128 = 100_000_000;
/// FAT stores every other second.
const COARSE_TICK_NS: i128 = 3_000_000_000;
/// Longer than the kernel holds up who writes too much: a fifth of a second, for each of a few pieces.
const WRITE_NS: i128 = 3_000_000_000;
/// The kernel writes back what is 30 s old, looks every 5 s, and takes its time.
const WRITEBACK_NS: i128 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_files_are_trusted_by_what_is_feared_of_them() {
        let looked = Timestamp::from_nanosecond(1_800_000_000_500_000_000).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::File::open(folder.path()).unwrap();
        for (age_ms, trusting) in [
            (-1, &[][..]),
            (99, &[]),
            (101, &[Caution::Tick]),
            // That one has no fraction of a second.
            (2500, &[]),
            (3001, &[Caution::Tick, Caution::Write]),
            (59_999, &[Caution::Tick, Caution::Write]),
            (60_001, &[Caution::Tick, Caution::Write, Caution::Writeback]),
        ] {
            let ctime_ns = looked.as_nanosecond() as i64 - age_ms * 1_000_000;
            let stat = Stat { ctime_ns, ..Stat::of_open(&open).unwrap() };
            for caution in [Caution::Tick, Caution::Write, Caution::Writeback] {
                assert_eq!(caution.trusts(&stat, looked), trusting.contains(&caution), "{caution:?} {age_ms} ms");
            }
        }
    }
}
