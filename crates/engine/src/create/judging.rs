//! Lets whoever knows a file's format look at its bytes while they pass, and whoever asks whether it only grows: no byte is read
//! for that, none is kept.

use worldkeeper_core::{Defects, FileFormat, Judge};

use super::growth::Growth;

/// One file, as it is read.
pub(super) struct Judging<'a> {
    path: &'a [u8],
    judge: Bench,
    /// Shown each piece as it was read, whatever the file.
    growth: &'a mut Growth,
    /// How much was seen, holes among it.
    seen: u64,
}

/// Who judges.
enum Bench {
    /// Nobody was asked yet: it is not known what the file begins with.
    Waits(&'static [&'static dyn FileFormat]),
    Judges(Box<dyn Judge>),
    /// Nobody knows anything about such files.
    Empty,
}

impl<'a> Judging<'a> {
    pub(super) fn new(formats: &'static [&'static dyn FileFormat], path: &'a [u8], growth: &'a mut Growth) -> Self {
        Self { path, judge: Bench::Waits(formats), growth, seen: 0 }
    }

    /// Shows the bytes that were read at `offset`. What was passed over before them is a hole; what was read once more,
    /// because a hole begins in it, was seen.
    pub(super) fn see(&mut self, offset: u64, bytes: &[u8]) {
        self.growth.see(offset, bytes);
        if matches!(self.judge, Bench::Empty) || bytes.is_empty() {
            return;
        }
        self.see_zeros(offset);
        // If it was not seen up to here, nobody wanted to.
        let known = self.seen.checked_sub(offset).and_then(|known| usize::try_from(known).ok());
        if let Some(new) = known.and_then(|known| bytes.get(known..)) {
            self.look(new);
        }
    }

    /// What is wrong with the file, which has ended after `len` bytes.
    pub(super) fn finish(mut self, len: u64) -> Defects {
        self.see_zeros(len);
        self.ask(&[]);
        match self.judge {
            Bench::Judges(judge) => judge.finish(),
            Bench::Waits(_) | Bench::Empty => Defects::default(),
        }
    }

    /// Shows zeros up to an offset.
    fn see_zeros(&mut self, end: u64) {
        if end.saturating_sub(self.seen) > MAX_HOLE {
            self.judge = Bench::Empty;
        }
        while self.seen < end && !matches!(self.judge, Bench::Empty) {
            let len = usize::try_from(end - self.seen).map_or(ZEROS.len(), |len| len.min(ZEROS.len()));
            self.look(&ZEROS[..len]);
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        self.ask(bytes);
        if let Bench::Judges(judge) = &mut self.judge {
            judge.look(bytes);
        }
        self.seen += bytes.len() as u64;
    }

    /// Finds out who judges, if nobody was asked yet.
    fn ask(&mut self, head: &[u8]) {
        if let Bench::Waits(formats) = self.judge {
            let judge = formats.iter().find_map(|format| format.judge(self.path, head));
            self.judge = judge.map_or(Bench::Empty, Bench::Judges);
        }
    }
}

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
/// No file of a world has longer holes; somebody who wants to keep us busy can make them of any length.
const MAX_HOLE: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells what it has seen.
    #[derive(Debug)]
    struct Diary;

    impl FileFormat for Diary {
        fn judge(&self, path: &[u8], head: &[u8]) -> Option<Box<dyn Judge>> {
            (path == b"diary").then(|| Box::new(Page(format!("{head:?}"), Vec::new())) as Box<dyn Judge>)
        }
    }

    struct Page(String, Vec<u8>);

    impl Judge for Page {
        fn look(&mut self, bytes: &[u8]) {
            self.1.extend_from_slice(bytes);
        }

        fn finish(self: Box<Self>) -> Defects {
            let mut defects = Defects::default();
            defects.add(format_args!("{} {:?}", self.0, self.1));
            defects
        }
    }

    fn seen(path: &str, reads: &[(u64, &[u8])], len: u64) -> String {
        let mut growth = Growth::default();
        let mut judging = Judging::new(&[&Diary], path.as_bytes(), &mut growth);
        for (offset, bytes) in reads {
            judging.see(*offset, bytes);
        }
        judging.finish(len).to_string()
    }

    #[test]
    fn each_byte_is_seen_once_and_holes_are_zeros() {
        assert_eq!(seen("diary", &[(0, &[1, 2]), (2, &[]), (2, &[3])], 3), "[1, 2] [1, 2, 3]");
        // A hole that begins in what was read, and one that was passed over; one at the beginning, one at the end.
        assert_eq!(seen("diary", &[(0, &[1, 0, 0]), (2, &[0, 4])], 4), "[1, 0, 0] [1, 0, 0, 4]");
        assert_eq!(seen("diary", &[(0, &[1, 0, 0]), (1, &[0])], 3), "[1, 0, 0] [1, 0, 0]");
        assert_eq!(seen("diary", &[(2, &[3])], 5), "[0, 0] [0, 0, 3, 0, 0]");
        assert_eq!(seen("diary", &[], 2), "[0, 0] [0, 0]");
        assert_eq!(seen("diary", &[], 0), "[] []");
        assert_eq!(seen("another", &[(0, &[1]), (9, &[1])], 20), "");
        assert_eq!(seen("another", &[(200_000, &[1])], 300_000), "");
        // Nobody waits for that.
        assert_eq!(seen("diary", &[(0, &[1]), (1 << 50, &[1])], 1 << 60), "");
        let long = seen("diary", &[], 200_000);
        assert_eq!(long.matches('0').count(), ZEROS.len() + 200_000);
    }
}
