//! A file that somebody writes to, brought to where all its parts fit together.
//!
//! A game that moves what it rewrites (it writes the new place, then the head that tells of it, and only then gives the old
//! place to others) never spoils what the head tells of. So the whole file is read, and then its head again: what the head
//! tells of otherwise than before is read anew, until the head stays as it is. Then each part holds what it held at the
//! moment of one and the same head. What a head cannot show, a part rewritten in its place or twice within its time stamp,
//! is seen from the part itself: those that could have been met by it are asked whether they are whole. And where one was
//! that left and came back within its time stamp, another may have been read, whole: so those with the newest stamp are read
//! once more, until they are what they were.

use std::io;
use std::ops::Range;

use jiff::Timestamp;
use worldkeeper_core::{FileFormat, is_equal};

use super::caution::Caution;
use super::pending::Pending;
use crate::source::FileReader;

/// The longest file that is brought there: all of it is in memory.
pub(super) const LONGEST: u64 = 16 << 20;

/// How often the head is read again at most. It takes a moment; three times were enough at 200 writes a second.
const ROUNDS: usize = 20;

/// Brings what is pending, a whole file as it was read, to where all its parts fit together; returns whether it is there,
/// and how much was read for that. `looked` is when it was opened.
pub(super) fn settle(
    file: &FileReader,
    content: &mut Pending,
    format: &dyn FileFormat,
    head_len: usize,
    looked: Timestamp,
) -> io::Result<(bool, u64)> {
    let mut read_bytes = 0;
    let mut read = |content: &mut Pending, range: &Range<usize>| -> io::Result<bool> {
        let Some(buffer) = content.bytes_mut().get_mut(range.clone()) else { return Ok(false) };
        read_bytes += buffer.len() as u64;
        match file.read_exact_at(range.start as u64, buffer) {
            // It has become shorter; the next look at it shows that.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            result => result.map(|()| true),
        }
    };
    // What has to be asked whether it is whole; all of it, as soon as anything was written.
    let mut unsure: Option<Vec<Range<usize>>> = None;
    let mut is_settled = false;
    let mut was_same = false;
    for _ in 0..ROUNDS {
        let Some(before) = content.bytes().get(..head_len).map(<[u8]>::to_vec) else { break };
        if !read(content, &(0..head_len))? {
            break;
        }
        // After the head: what that tells of was there before it.
        let size = file.stat()?.size;
        let old_len = content.bytes().len();
        let Some(len) = usize::try_from(size).ok().filter(|len| size <= LONGEST && *len >= old_len) else { break };
        content.extend(len - old_len);
        if !read(content, &(old_len..len))? {
            break;
        }
        let head = &content.bytes()[..head_len];
        let moved = in_memory(format.again(&before, head, len as u64));
        let is_same = moved.is_empty() && before == head && len == old_len;
        if is_same && unsure.is_none() && !file.has_changed()? && Caution::Write.trusts(file.opened(), looked) {
            is_settled = true;
            break;
        }
        let all = || in_memory(format.again(&[], head, len as u64));
        // Those may have been elsewhere after the head before, and have come back before this one.
        let newest = in_memory(format.newest(&before, len as u64));
        let known = unsure.take().filter(|_| len == old_len);
        let mut known = known.unwrap_or_else(all);
        let again = if is_same {
            // The head was the same before and after all that is here; but not all the time, perhaps.
            let mut has_come_back = false;
            for range in newest {
                let was = content.bytes().get(range.clone()).map(<[u8]>::to_vec);
                let is_there = read(content, &range)?;
                let is_equal = was.is_some_and(|was| is_equal(&was, &content.bytes()[range]));
                has_come_back |= !(is_there && is_equal);
            }
            if has_come_back {
                (unsure, was_same) = (Some(known), false);
                continue;
            }
            known.retain(|range| content.bytes().get(range.clone()).is_some_and(|bytes| !format.is_whole(bytes)));
            if known.is_empty() {
                is_settled = true;
                break;
            }
            // It was read again, and nobody writes: what is broken was so before.
            if was_same && !file.has_changed()? {
                break;
            }
            known.clone()
        } else {
            let named = all();
            known.extend(moved.iter().cloned());
            // Where nothing is any more, nothing can be broken.
            known.retain(|range| named.contains(range));
            moved.into_iter().chain(newest).collect()
        };
        was_same = is_same;
        unsure = Some(known);
        for range in &again {
            _ = read(content, range)?;
        }
    }
    Ok((is_settled, read_bytes))
}

/// Where parts of the file are in memory.
fn in_memory(ranges: Vec<Range<u64>>) -> Vec<Range<usize>> {
    let memory = |range: Range<u64>| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
    ranges.into_iter().filter_map(memory).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use worldkeeper_core::{Judge, Plan, RangeReader};

    use super::*;
    use crate::pipeline::Buffers;
    use crate::source::{Found, Pulse, Rules, Walker};

    /// Pages of 8 bytes, all of them whole, behind a head that says of each of two where it is, and when it was written.
    #[derive(Debug)]
    struct Book;

    const HEAD: usize = 8;
    const PAGE: u64 = 8;

    fn room(head: &[u8], slot: usize) -> Range<u64> {
        let start = u64::from(head[slot * 4]) * PAGE;
        start..start + PAGE
    }

    impl FileFormat for Book {
        fn judge(&self, _: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
            None
        }

        fn plan(&self, _: &[u8], _: &mut dyn RangeReader, _: &worldkeeper_core::Known<'_>) -> Option<Plan> {
            None
        }

        fn again(&self, before: &[u8], now: &[u8], _: u64) -> Vec<Range<u64>> {
            let entry = |head: &[u8], slot: usize| head.get(slot * 4..slot * 4 + 4).map(<[u8]>::to_vec);
            (0..2).filter(|slot| entry(before, *slot) != entry(now, *slot)).map(|slot| room(now, slot)).collect()
        }

        fn newest(&self, head: &[u8], _: u64) -> Vec<Range<u64>> {
            let newest = head[1].max(head[5]);
            (0..2).filter(|slot| head[slot * 4 + 1] == newest).map(|slot| room(head, slot)).collect()
        }
    }

    /// What comes of content that was read while another page lay where the first is again. Its head was as `read` says.
    #[track_caller]
    fn settles(read: [u8; HEAD], now: [u8; HEAD]) {
        let folder = tempfile::tempdir().unwrap();
        let pages = b"page onepage twoold page";
        let now = [&now[..], pages].concat();
        fs::write(folder.path().join("book"), &now).unwrap();
        let mut walker = Walker::new([folder.path()], Rules::default(), Pulse::default()).unwrap();
        let mut entry = loop {
            match walker.next().unwrap() {
                Some(Found::Entry(entry)) if entry.has_content() => break entry,
                Some(_) => {}
                None => panic!("the file was not found"),
            }
        };
        let file = walker.open(&mut entry).unwrap();
        let mut read = [&read[..], pages].concat();
        read.copy_within(16..24, 8);
        let mut content = Pending::new(100, Buffers::new(0));
        let fill = |buffer: &mut [u8]| {
            buffer[..read.len()].copy_from_slice(&read);
            Ok::<_, io::Error>(read.len())
        };
        content.fill(read.len() as u64, fill).unwrap();
        let looked = Timestamp::from_nanosecond(file.opened().ctime_ns.into()).unwrap();
        let (is_settled, _) = settle(&file, &mut content, &Book, HEAD, looked).unwrap();
        assert!(is_settled);
        assert_eq!(content.bytes(), now);
    }

    #[test]
    fn a_part_that_was_elsewhere_and_came_back_while_it_was_read_is_read_again() {
        // The first page lies at 1, written at 5; the second at 2, written before.
        let head = [1, 5, 0, 0, 2, 4, 0, 0];
        settles(head, head);
        // Then the second was written, and is the newest.
        settles([1, 5, 0, 0, 3, 4, 0, 0], [1, 5, 0, 0, 2, 6, 0, 0]);
    }
}
