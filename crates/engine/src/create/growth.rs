//! Whether a file that is written to all the time only grows, like a log. Then what was read of it is what it held at one
//! moment, though it had changed by the end.

use crc32fast::Hasher;

/// What came of one file, reading after reading.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// The reading before this one.
    before: Option<Sum>,
    /// This one, if it is watched: most files are read once, and are not.
    now: Option<Sum>,
    /// How many bytes this one began with were all of the one before.
    common: u64,
}

/// The bytes from the beginning of the file on.
#[derive(Clone, Debug, Default)]
struct Sum {
    len: u64,
    hasher: Hasher,
}

impl Growth {
    /// Watches what is read next, and holds it against what was watched before.
    pub(super) fn read_again(&mut self) {
        *self = Self { before: self.now.take(), now: Some(Sum::default()), common: 0 };
    }

    /// Is shown the bytes that were read at `offset`. What comes in another order, or with holes, is watched no longer.
    pub(super) fn see(&mut self, offset: u64, bytes: &[u8]) {
        let Some(now) = self.now.as_mut() else { return };
        if offset != now.len {
            *self = Self::default();
            return;
        }
        let common = self.before.as_ref().map_or(0, |before| before.len.saturating_sub(offset));
        let (common, new) =
            bytes.split_at(usize::try_from(common).map_or(bytes.len(), |common| common.min(bytes.len())));
        now.take(common);
        if let Some(before) = self.before.take_if(|before| before.len == now.len) {
            let is_same = before.hasher.finalize() == now.hasher.clone().finalize();
            self.common = if is_same { before.len } else { 0 };
        }
        now.take(new);
    }

    /// Returns whether all of the reading before this one came once more, and only little behind it: what is much longer each time
    /// is about to be written as a whole.
    pub(super) fn is_slow(&self) -> bool {
        self.now.as_ref().is_some_and(|now| self.common > 0 && now.len - self.common <= now.len / LITTLE)
    }
}

impl Sum {
    fn take(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
    }
}

/// Which part of a file comes at most from one reading to the next if it is a log.
const LITTLE: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the last of these readings, each of some reads, shows slow growth.
    fn is_slow(readings: &[&[(u64, &[u8])]]) -> bool {
        let mut growth = Growth::default();
        for reads in readings {
            growth.read_again();
            reads.iter().for_each(|(offset, bytes)| growth.see(*offset, bytes));
        }
        growth.is_slow()
    }

    #[test]
    fn a_log_grows_and_nothing_else_does() {
        let log: Vec<u8> = (0..=255).cycle().take(1_050).collect();
        let mut other = log.clone();
        other[17] += 1;
        let is_slow_of = |first: &[u8], second: &[u8]| is_slow(&[&[(0, first)], &[(0, second)]]);
        assert!(is_slow_of(&log[..1_000], &log));
        assert!(is_slow_of(&log, &log));
        assert!(!is_slow_of(&log[..900], &log), "it is being written");
        assert!(!is_slow_of(&other[..1_000], &log), "it was written to");
        assert!(!is_slow_of(&log, &log[..1_000]), "it was cut");
        assert!(!is_slow_of(b"", &log));
        assert!(!is_slow_of(b"", b""));
        assert!(!is_slow(&[&[(0, &log)]]), "nothing is known of the one before");
        assert!(is_slow(&[&[(0, &other)], &[(0, &log)], &[(0, &log)]]));
    }

    #[test]
    fn however_it_is_read_but_in_order() {
        let log = [7; 1_010];
        let one_by_one: Vec<_> = (0..1_000).map(|at| (at as u64, &log[at..=at])).collect();
        assert!(is_slow(&[&one_by_one, &[(0, &log[..990]), (990, &log[990..])]]));
        assert!(is_slow(&[&[(0, &log[..1_000])], &[(0, &log[..300]), (300, &log[300..])]]));
        assert!(!is_slow(&[&one_by_one, &[(0, &log[..990]), (991, &log[991..])]]), "a hole");
        assert!(!is_slow(&[&[(1, &log[1..1_000])], &[(0, &log)]]));
        assert!(!is_slow(&[&[(0, &log), (0, &log)], &[(0, &log)]]), "read twice");
    }

    #[test]
    fn a_file_that_is_read_once_is_not_watched() {
        let mut growth = Growth::default();
        growth.see(0, b"once");
        assert!(growth.now.is_none() && !growth.is_slow());
    }
}
