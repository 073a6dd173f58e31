//! Where the chunks of a region file lie, as far as its header makes sense.

use std::cmp::Reverse;
use std::ops::Range;

use worldkeeper_core::Plan;

use super::header::{HEADER_LEN, SECTOR, UNCOUNTED, locations, time};

/// The chunks of a region file, in the order of the file: each has room of its own, within the file.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) chunks: Vec<Chunk>,
    /// How many locations were passed over, because they lie elsewhere, nowhere, or where another chunk is.
    pub(super) passed_over: usize,
}

/// A chunk, and the room it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its place among the locations.
    pub(super) slot: usize,
    /// All of its sectors; up to the end of the file if that comes first.
    pub(super) room: Range<u64>,
    /// When it was written last, in seconds since 1970.
    pub(super) written_s: u32,
}

impl Layout {
    /// Makes sense of the header of a file of `size` bytes.
    pub(super) fn of(header: &[u8], size: u64) -> Self {
        let mut all: Vec<_> = locations(header).collect();
        // Of those that begin in the same sector the longest has it: the others lie where it is.
        all.sort_by_key(|at| (at.sector, Reverse(at.sectors), at.slot));
        let mut chunks: Vec<Chunk> = Vec::new();
        let (mut taken, mut is_uncounted) = (HEADER_LEN, false);
        for at in &all {
            if at.sectors == 0 || at.start() < taken || at.start() >= size {
                continue;
            }
            if is_uncounted && let Some(last) = chunks.last_mut() {
                last.room.end = at.start().min(last.room.start + MAX_UNCOUNTED);
            }
            is_uncounted = at.sectors == UNCOUNTED;
            let end = size.min(at.start() + at.sectors * SECTOR);
            chunks.push(Chunk { slot: at.slot, room: at.start()..end, written_s: time(header, at.slot) });
            taken = end;
        }
        if is_uncounted && let Some(last) = chunks.last_mut() {
            last.room.end = size.min(last.room.start + MAX_UNCOUNTED);
        }
        let passed_over = all.len() - chunks.len();
        Self { chunks, passed_over }
    }

    /// When the last of the chunks was written, in seconds since 1970; 0 if nobody noted it.
    pub(super) fn newest_s(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.written_s).max().unwrap_or(0)
    }

    /// Returns whether nothing was written for long, as far as the header says when.
    pub(super) fn rests(&self, now_s: i64) -> bool {
        let newest_s = self.newest_s();
        newest_s > 0 && i64::from(newest_s) + RESTS_S < now_s
    }
}

/// 30 days.
const RESTS_S: i64 = 30 * 24 * 3600;

/// How many bytes a chunk is taken to have at most, if its location cannot say.
const MAX_UNCOUNTED: u64 = Plan::MAX_PIECE;
