//! A file that somebody writes to, brought to where all its parts fit together.
//!
//! A game that moves what it rewrites (it writes the new place, then the head that tells of it, and only then gives the old
//! place to others) never spoils what the head tells of. So the whole file is read, and then its head again: what the head
//! tells of otherwise than before is read anew, until the head stays as it is. Then each part holds what it held at the
//! moment of one and the same head. What a head cannot show, a part rewritten in its place or twice within its time stamp,
//! is seen from the part itself: those that could have been met by it are asked whether they are whole.

use std::io;
use std::ops::Range;

use jiff::Timestamp;
use worldkeeper_core::FileFormat;

use super::pending::Pending;
use super::reader::may_be_remembered;
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
        let moved = ranges(format, &before, head, len);
        let is_same = moved.is_empty() && before == head && len == old_len;
        if is_same && unsure.is_none() && !file.has_changed()? && may_be_remembered(file.opened(), looked) {
            is_settled = true;
            break;
        }
        let all = || ranges(format, &[], head, len);
        let known = unsure.take().filter(|_| len == old_len);
        let mut known = known.unwrap_or_else(all);
        let again = if is_same {
            // The head was the same before and after all that is here.
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
            moved
        };
        was_same = is_same;
        unsure = Some(known);
        for range in &again {
            _ = read(content, range)?;
        }
    }
    Ok((is_settled, read_bytes))
}

/// What must be read again.
fn ranges(format: &dyn FileFormat, before: &[u8], now: &[u8], len: usize) -> Vec<Range<usize>> {
    let memory = |range: Range<u64>| Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
    format.again(before, now, len as u64).into_iter().filter_map(memory).collect()
}
