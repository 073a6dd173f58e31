//! Which chunks of a region file the game has written while it was read.
//!
//! A game of today writes a chunk to sectors that are free, then the header, and only then are the old sectors free: what
//! the header says is whole in the moment in which it says so. Whoever has read the file, and finds its header changed,
//! reads the chunks again that it says something new of, until it says nothing new any more.

use std::ops::Range;

use super::header::{HEADER_LEN, time};
use super::layout::Layout;

/// The rooms of the chunks of which a header says something else than the one before did.
pub(super) fn again(before: &[u8], now: &[u8], len: u64) -> Vec<Range<u64>> {
    if (now.len() as u64) < HEADER_LEN {
        return Vec::new();
    }
    let is_known = before.len() as u64 >= HEADER_LEN;
    let is_same = |slot: usize| {
        let location = slot * 4..slot * 4 + 4;
        is_known && before[location.clone()] == now[location] && time(before, slot) == time(now, slot)
    };
    let chunks = Layout::of(now, len).chunks.into_iter();
    chunks.filter(|chunk| !is_same(chunk.slot)).map(|chunk| chunk.room).collect()
}

/// The rooms of the chunks with the newest time: who has left his and come back within that second is where he was, and when.
pub(super) fn newest(head: &[u8], len: u64) -> Vec<Range<u64>> {
    if (head.len() as u64) < HEADER_LEN {
        return Vec::new();
    }
    let layout = Layout::of(head, len);
    let newest_s = layout.newest_s();
    layout.chunks.into_iter().filter(|chunk| chunk.written_s == newest_s).map(|chunk| chunk.room).collect()
}
