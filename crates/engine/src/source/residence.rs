//! What of a file the kernel had in memory before somebody read it.
//!
//! What a game uses lies there, and is to stay; what only a backup reads may go again.

#![expect(unsafe_code, reason = "only `mincore` tells it on every kernel, and asks for a mapping; 0.2 ms for 32 MiB")]

use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::param::page_size;

/// In bytes, a whole number of pages on every machine: where any part of so many is in memory, all of them count as if they were.
/// So the kernel is told of a few ranges, not of single pages.
const GRAIN: u64 = 64 << 10;

/// Returns which parts of a stretch of a file are not in memory, in order and as long as possible; none if the kernel does not
/// say.
///
/// It does not say it to everybody: to who may not write to the file all is in memory. So where all is said to be, it is looked
/// at in a few places, and if nothing is there, all is taken to be absent.
pub(super) fn absent(file: impl AsFd, stretch: Range<u64>) -> Vec<Range<u64>> {
    let start = stretch.start - stretch.start % GRAIN;
    let pages = pages(&file, start, stretch.end).unwrap_or_default();
    if pages.iter().all(|page| page & 1 == 1) && !pages.is_empty() && is_nowhere(&file, &stretch) {
        return vec![stretch];
    }
    let mut absent: Vec<Range<u64>> = Vec::new();
    for (start, pages) in (start..).step_by(GRAIN as usize).zip(pages.chunks(GRAIN as usize / page_size())) {
        if pages.iter().any(|page| page & 1 == 1) {
            continue;
        }
        let grain = start.max(stretch.start)..(start + GRAIN).min(stretch.end);
        match absent.last_mut() {
            Some(last) if last.end == grain.start => last.end = grain.end,
            _ => absent.push(grain),
        }
    }
    absent
}

/// Returns whether a stretch is certain not to be in memory in a few places: at the beginning of the file, in the middle and at
/// its end. What the reads before it have fetched in advance is not at these.
fn is_nowhere(file: impl AsFd, stretch: &Range<u64>) -> bool {
    let middle = stretch.start + (stretch.end - stretch.start) / 2;
    let places = (stretch.start == 0).then_some(0).into_iter().chain([middle, stretch.end - 1]);
    let is_absent = |place| {
        let mut byte = [0];
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut byte)], place, ReadWriteFlags::NOWAIT);
        read == Err(Errno::AGAIN)
    };
    places.into_iter().all(is_absent)
}

/// One byte for each page from `start` to `end`, whose lowest bit says that it is in memory.
fn pages(file: impl AsFd, start: u64, end: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(end.checked_sub(start)?).ok().filter(|len| *len > 0)?;
    let offset = start.try_into().ok()?;
    let mut pages = vec![0; len.div_ceil(page_size())];
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the kernel finds a place for the mapping, nobody may read or write through it, and it is gone again at the end;
    // `mincore` writes one byte for each page of it.
    let told = unsafe {
        let mapped = libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, libc::MAP_SHARED, file, offset);
        if mapped == libc::MAP_FAILED {
            return None;
        }
        let told = libc::mincore(mapped, len, pages.as_mut_ptr());
        libc::munmap(mapped, len);
        told
    };
    (told == 0).then_some(pages)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    /// Whether a file system keeps what it is told to let go of: one in memory does.
    fn keeps_all(file: &File) -> bool {
        file.sync_all().unwrap();
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
        absent(file, 0..GRAIN).is_empty()
    }

    #[test]
    fn what_was_read_is_in_memory_and_what_was_let_go_of_is_not() {
        const LEN: u64 = (4 << 20) + 100;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; LEN as usize], 0).unwrap();
        assert_eq!(absent(&file, 0..LEN), []);
        if keeps_all(&file) {
            return;
        }
        for all in [0..LEN, 100..LEN, 1 << 20..2 << 20] {
            assert_eq!(absent(&file, all.clone()), vec![all]);
        }
        fadvise(&file, 0, None, Advice::Random).unwrap();
        file.read_exact_at(&mut [0; 10], (1 << 20) + 5_000).unwrap();
        assert_eq!(absent(&file, 0..LEN), [0..1 << 20, (1 << 20) + GRAIN..LEN]);
        file.read_exact_at(&mut [0; 10], LEN - 10).unwrap();
        assert_eq!(absent(&file, 0..LEN), [0..1 << 20, (1 << 20) + GRAIN..4 << 20]);
        // To look at a place may fetch it.
        assert!(!is_nowhere(&file, &(1 << 20..(1 << 20) + 10_001)));
        assert!(is_nowhere(&file, &(2 << 20..3 << 20)));
    }

    #[test]
    fn of_what_cannot_be_asked_nothing_is_absent() {
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        assert_eq!(absent(&pipe, 0..4096), []);
        assert_eq!(absent(tempfile::tempfile().unwrap(), 0..0), []);
    }
}
