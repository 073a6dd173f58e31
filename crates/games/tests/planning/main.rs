//! Where files of worlds are cut, and how one is read that somebody writes to.

mod again;
mod anvil;
mod others;
mod play;

use std::ops::Range;

use worldkeeper_core::{FileFormat, Known, Plan};
use worldkeeper_games::{Anvil, FORMATS};

const REGION: &str = "world/region/r.1.-2.mca";

/// The plan of a file; `None` if nobody makes one.
fn plan(path: &str, mut content: &[u8], known: &Known<'_>) -> Option<Plan> {
    FORMATS.iter().find_map(|format| format.plan(path.as_bytes(), &mut content, known))
}

/// Where the pieces of a region file lie; each byte is in one of them.
#[track_caller]
fn pieces(content: &[u8], known: &Known<'_>) -> Vec<Range<usize>> {
    let plan = plan(REGION, content, known).expect("a region file is planned");
    assert_eq!(plan.ends().last(), Some(&(content.len() as u64)));
    assert_eq!(plan.head_len(), Some(8192));
    let ends = plan.ends().iter().map(|end| *end as usize);
    std::iter::once(0).chain(ends.clone()).zip(ends).map(|(start, end)| start..end).collect()
}

/// The lengths of pieces, as somebody remembers them.
fn sizes(pieces: &[Range<usize>]) -> Vec<u32> {
    pieces.iter().map(|piece| piece.len() as u32).collect()
}

/// What must be read again of a region file.
fn again(before: &[u8], now: &[u8], len: usize) -> Vec<Range<usize>> {
    let ranges = Anvil.again(before, now, len as u64);
    ranges.into_iter().map(|range| range.start as usize..range.end as usize).collect()
}
