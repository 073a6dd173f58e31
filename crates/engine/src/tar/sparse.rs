//! Where the data of a sparse member lies in the file; all else are zeros.
//!
//! GNU has had four ways to write that: in the header and blocks behind it (kind `S`), in extended records (0.0, 0.1), and
//! as lines in front of the data (1.0).
//!
//! Source: Python 3.11 `tarfile.py`, `_proc_sparse`, `_proc_gnusparse_00` and the like.

use super::fields;
use super::header::BLOCK;
use super::pax::{Records, parse};

/// Pieces of data, in order, without overlap.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Where each begins in the file, and its length.
    pieces: Vec<(u64, u64)>,
}

/// As many pieces as a map may have: 16 MiB of them. A file of a terabyte has fewer if it is any use.
const MAX_PIECES: usize = 1 << 20;

impl Map {
    /// One piece, as of a file without holes.
    pub(super) fn whole(size: u64) -> Self {
        Self { pieces: vec![(0, size)] }
    }

    /// Adds a piece behind the others.
    pub(super) fn push(&mut self, start: u64, len: u64) -> Result<(), &'static str> {
        if self.pieces.len() >= MAX_PIECES {
            return Err("it has more holes than can be kept");
        }
        if start < self.end() || start.checked_add(len).is_none() {
            return Err("its pieces of data overlap");
        }
        self.pieces.push((start, len));
        Ok(())
    }

    /// Adds those pieces of a header, or of a block behind one, that are there.
    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Result<(), &'static str> {
        for field in fields.chunks_exact(24) {
            let (start, len) = (fields::size(&field[..12])?, fields::size(&field[12..])?);
            if (start, len) != (0, 0) {
                self.push(start, len)?;
            }
        }
        Ok(())
    }

    /// The map that extended records hold, if they do.
    pub(super) fn of_records(records: &Records) -> Result<Option<Self>, &'static str> {
        let number = |digits: &[u8]| parse(digits).ok_or(BROKEN);
        let mut map = Self::default();
        if let Some(numbers) = records.value("GNU.sparse.map") {
            let numbers: Vec<u64> = numbers.split(|byte| *byte == b',').map(number).collect::<Result<_, _>>()?;
            let (pairs, []) = numbers.as_chunks::<2>() else { return Err(BROKEN) };
            pairs.iter().try_for_each(|[start, len]| map.push(*start, *len))?;
        } else if records.value("GNU.sparse.size").is_some() {
            for (start, len) in records.pieces() {
                map.push(number(start)?, number(len)?)?;
            }
        } else {
            return Ok(None);
        }
        Ok(Some(map))
    }

    /// Returns whether the map stands in front of the data.
    pub(super) fn is_in_front(records: &Records) -> bool {
        records.value("GNU.sparse.major") == Some(b"1") && records.value("GNU.sparse.minor") == Some(b"0")
    }

    /// Requires that the pieces are as long together as what is `stored`, and within the file's `size`.
    pub(super) fn require(&self, stored: u64, size: u64) -> Result<(), &'static str> {
        let sum = self.pieces.iter().try_fold(0_u64, |sum, (_, len)| sum.checked_add(*len));
        if sum != Some(stored) || self.end() > size {
            return Err("its map of holes is not that of its size");
        }
        Ok(())
    }

    /// The pieces, in order.
    pub(super) fn into_pieces(self) -> std::vec::IntoIter<(u64, u64)> {
        self.pieces.into_iter()
    }

    fn end(&self) -> u64 {
        self.pieces.last().map_or(0, |(start, len)| start + len)
    }
}

/// The pieces in a header begin here, ...
pub(super) const IN_HEADER: std::ops::Range<usize> = 386..482;
/// ... behind them stands whether there are more in the next block, ...
pub(super) const MORE_AFTER_HEADER: usize = 482;
/// ... and the file's size.
pub(super) const SIZE_IN_HEADER: std::ops::Range<usize> = 483..495;
/// A block of pieces; behind them stands whether there is another.
pub(super) const IN_BLOCK: std::ops::Range<usize> = 0..504;
const _: () = assert!(IN_BLOCK.end < BLOCK);

/// Reads a map that stands in front of the data: its number of pieces, then the numbers of each, a line each; all padded
/// to whole blocks, which `next` gives.
pub(super) fn in_front<E>(
    mut next: impl FnMut() -> Result<[u8; BLOCK], E>,
    broken: impl Fn(&'static str) -> E,
) -> Result<Map, E> {
    let mut block = next()?;
    let mut place = 0;
    let mut number = || {
        let mut value = 0_u64;
        for digits in 0.. {
            if place == BLOCK {
                (block, place) = (next()?, 0);
            }
            let byte = block[place];
            place += 1;
            match byte {
                b'\n' if digits > 0 => break,
                b'0'..=b'9' => {
                    let more = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    value = more.filter(|_| digits < 20).ok_or_else(|| broken(BROKEN))?;
                }
                _ => return Err(broken(BROKEN)),
            }
        }
        Ok(value)
    };
    let mut map = Map::default();
    for _ in 0..number()? {
        let (start, len) = (number()?, number()?);
        map.push(start, len).map_err(&broken)?;
    }
    Ok(map)
}

const BROKEN: &str = "its map of holes is malformed";
