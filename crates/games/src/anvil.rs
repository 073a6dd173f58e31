//! Minecraft's region files (Anvil, and MCRegion before it): a header that says where each chunk lies, and chunks.
//!
//! Judged is what the game needs to find its chunks. Cut they are at their chunks: a game rewrites single chunks, each to
//! a new place, and whatever lies beside them is stored already. And by the header a reader sees which chunks the game has
//! written while he read.

mod again;
mod header;
mod judge;
mod layout;
mod lz4;
mod plan;
mod whole;

use std::ops::Range;

use worldkeeper_core::{FileFormat, Judge, Known, Plan, RangeReader};

use crate::path::name;

/// Region files, `r.X.Z.mca` and `r.X.Z.mcr`.
#[derive(Clone, Copy, Debug)]
pub struct Anvil;

impl FileFormat for Anvil {
    fn judge(&self, path: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        Some(Box::new(judge::Judged::new(place(name(path))?)))
    }

    fn plan(&self, path: &[u8], file: &mut dyn RangeReader, known: &Known<'_>) -> Option<Plan> {
        place(name(path))?;
        plan::plan(file, known)
    }

    fn again(&self, before: &[u8], now: &[u8], len: u64) -> Vec<Range<u64>> {
        again::again(before, now, len)
    }

    fn newest(&self, head: &[u8], len: u64) -> Vec<Range<u64>> {
        again::newest(head, len)
    }

    fn is_whole(&self, range: &[u8]) -> bool {
        whole::is_whole(range)
    }
}

/// The coordinates in a region's name: plugins leave files with other names and the same ending.
fn place(name: &[u8]) -> Option<(i64, i64)> {
    let mut parts = std::str::from_utf8(name).ok()?.split('.');
    let (start, x, z, extension) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_region = start == "r" && matches!(extension, "mca" | "mcr") && parts.next().is_none();
    let coordinate = |text: &str| text.parse::<i32>().ok().map(i64::from);
    is_region.then_some((coordinate(x)?, coordinate(z)?))
}
