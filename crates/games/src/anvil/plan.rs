//! Where a region file is best cut.
//!
//! A piece for the header, one for each chunk, and one for each hole. Chunks with hardly any content would cost more in
//! lists than in data: such neighbours share a piece. Of how the file was cut the last time everything stays in which
//! nothing was written since, whatever the rules were then: a hole keeps the pieces of the chunks that lay there, and they
//! are stored already. `docs/design/world-cuts.md` has the reasons, and what it saves.

use std::ops::Range;

use worldkeeper_core::{Known, Last, Plan, RangeReader};

use super::header::{HEADER_LEN, SECTOR};
use super::layout::{Chunk, Layout};

/// Plans a region file; `None` if its header makes no sense.
pub(super) fn plan(file: &mut dyn RangeReader, known: &Known<'_>) -> Option<Plan> {
    let size = file.size();
    if !(HEADER_LEN..=MAX_SIZE).contains(&size) {
        return None;
    }
    let mut header = vec![0; HEADER_LEN as usize];
    file.read_exact_at(0, &mut header).ok()?;
    let layout = Layout::of(&header, size);
    let is_plausible = layout.chunks.len() >= layout.passed_over && (!layout.chunks.is_empty() || size == HEADER_LEN);
    if !is_plausible {
        return None;
    }
    let fine = fine(&layout.chunks, size, file)?;
    let ends = match known.last {
        last if known.is_full && layout.rests(known.now_s) && !last.is_some_and(|last| is_fine(&last, &fine)) => {
            windows(&fine)
        }
        Some(last) => Kept::of(last, &layout).merge(&fine, size),
        None => fine,
    };
    let plan = Plan::new(ends, size);
    debug_assert!(plan.is_some(), "pieces cover a file of {size} bytes");
    Some(plan?.with_head(HEADER_LEN))
}

/// The ends of pieces as fine as they are worth it.
fn fine(chunks: &[Chunk], size: u64, file: &mut dyn RangeReader) -> Option<Vec<u64>> {
    let mut ends = vec![HEADER_LEN];
    let (mut covered, mut is_tiny_before) = (HEADER_LEN, false);
    for chunk in chunks {
        let room = &chunk.room;
        if covered < room.start {
            push(&mut ends, room.start);
            is_tiny_before = false;
        }
        let is_tiny = is_tiny(chunk, file)?;
        match ends.last_mut() {
            Some(end) if is_tiny && is_tiny_before && !room.start.is_multiple_of(TINY_WINDOW) => *end = room.end,
            _ => push(&mut ends, room.end),
        }
        (covered, is_tiny_before) = (room.end, is_tiny);
    }
    if covered < size {
        push(&mut ends, size);
    }
    Some(ends)
}

/// Ends a piece. What is longer than any chunk is a hole; it is cut at round offsets, which stay where they are.
fn push(ends: &mut Vec<u64>, end: u64) {
    let start = ends.last().copied().unwrap_or_default();
    if end - start > LONG {
        ends.extend((start / LONG + 1..=(end - 1) / LONG).map(|number| number * LONG));
    }
    ends.push(end);
}

/// Returns whether a chunk has hardly any content: one that the game has only begun to generate. `None` if it cannot be
/// read.
fn is_tiny(chunk: &Chunk, file: &mut dyn RangeReader) -> Option<bool> {
    let len = chunk.room.end - chunk.room.start;
    if !(4..=SECTOR).contains(&len) {
        return Some(false);
    }
    let mut payload = [0; 4];
    file.read_exact_at(chunk.room.start, &mut payload).ok()?;
    Some(u32::from_be_bytes(payload) < TINY)
}

/// Of these ends the first at or behind each multiple of [`WINDOW`]: they stay where they are if chunks elsewhere move.
fn windows(fine: &[u64]) -> Vec<u64> {
    let mut ends: Vec<u64> = Vec::new();
    for (number, end) in fine.iter().enumerate() {
        let start = ends.last().copied().unwrap_or_default();
        if number == 0 || number + 1 == fine.len() || end / WINDOW > start / WINDOW {
            ends.push(*end);
        }
    }
    ends
}

/// Returns whether the last time's pieces were fine ones: windows hold many chunks each.
fn is_fine(last: &Last<'_>, fine: &[u64]) -> bool {
    last.sizes.len() * 2 > fine.len()
}

/// What stays of the last time's pieces.
struct Kept<'a> {
    last: Last<'a>,
    /// Where something was written since, in the order of the file.
    written: Vec<Range<u64>>,
}

impl<'a> Kept<'a> {
    /// Something was written, or there would be no need for a plan. If no chunk says so, the times in the header are of
    /// another clock, or of none, and any chunk may have been; but most holes have what they had.
    fn of(last: Last<'a>, layout: &Layout) -> Self {
        let is_told = i64::from(layout.newest_s()) >= last.changed_s;
        // What was written within the same second may have been written since.
        let is_new = |chunk: &&Chunk| !is_told || i64::from(chunk.written_s) >= last.changed_s;
        let chunks = layout.chunks.iter().filter(is_new).map(|chunk| chunk.room.clone());
        Self { last, written: std::iter::once(0..HEADER_LEN).chain(chunks).collect() }
    }

    /// All ends: of what stays its own, between them the fine ones.
    fn merge(&self, fine: &[u64], size: u64) -> Vec<u64> {
        let is_written = |start: u64, end: u64| {
            let next = self.written.partition_point(|room| room.end <= start);
            self.written.get(next).is_some_and(|room| room.start < end)
        };
        let mut ends = Vec::with_capacity(fine.len());
        let mut fine = fine.iter().copied().peekable();
        let mut start = 0;
        for piece in self.last.sizes {
            let end = start + u64::from(*piece);
            if *piece == 0 || end > size {
                break;
            }
            if u64::from(*piece) <= Plan::MAX_PIECE && !is_written(start, end) {
                while let Some(between) = fine.next_if(|fine| *fine < start) {
                    ends.push(between);
                }
                if start > 0 && ends.last() != Some(&start) {
                    ends.push(start);
                }
                ends.push(end);
                while fine.next_if(|fine| *fine <= end).is_some() {}
            }
            start = end;
        }
        ends.extend(fine);
        ends
    }
}

/// No region file is longer: its locations name sectors by 24 bits.
const MAX_SIZE: u64 = SECTOR << 24;
/// Chunks with less content, in bytes, share pieces.
const TINY: u32 = 512;
/// At multiples of so many bytes a piece of tiny chunks ends.
const TINY_WINDOW: u64 = 32 * 1024;
/// Longer than any chunk whose location says how long it is, in bytes.
const LONG: u64 = 1 << 20;
/// Pieces of what rests, in bytes.
const WINDOW: u64 = 256 * 1024;
