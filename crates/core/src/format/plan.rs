//! Where a file is best cut: plain offsets, and what may decide about them.

use std::io;

/// Reads any part of a file.
pub trait RangeReader {
    /// How many bytes the file has.
    fn size(&self) -> u64;

    /// Fills `buffer` with what lies at `offset`.
    ///
    /// # Errors
    ///
    /// Any that reading gives, and if the file ends before.
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A file that is in memory.
impl RangeReader for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// What may decide about a plan besides the file itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The wall clock, in seconds since 1970.
    pub now_s: i64,
    /// How the file was cut the last time; `None` if it is new, or nobody remembers.
    pub last: Option<Last<'a>>,
    /// Whether there are so many objects already that what rests should be cut into few.
    pub is_full: bool,
}

/// How a file was cut the last time, by a plan or without one.
#[derive(Clone, Copy, Debug)]
pub struct Last<'a> {
    /// The sizes of its pieces in bytes, in the order of the file.
    pub sizes: &'a [u32],
    /// When the file had changed last before it was read that time (its ctime), in seconds since 1970: what was written
    /// since is from then or later.
    pub changed_s: i64,
}

/// Where a file is to be cut.
///
/// What lies behind the last end is not planned: it is cut as if there were no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    ends: Vec<u64>,
    head_len: Option<u64>,
}

impl Plan {
    /// The longest piece of a plan, in bytes: as long as stock's longest chunk.
    pub const MAX_PIECE: u64 = 8 << 20;

    /// A plan for a file of `size` bytes whose pieces end there: at strictly ascending offsets, none of them behind the
    /// end, no piece longer than [`MAX_PIECE`](Self::MAX_PIECE). `None` if it is none.
    pub fn new(ends: Vec<u64>, size: u64) -> Option<Self> {
        let mut start = 0;
        for end in &ends {
            if *end <= start || end - start > Self::MAX_PIECE {
                return None;
            }
            start = *end;
        }
        (start <= size && !ends.is_empty()).then_some(Self { ends, head_len: None })
    }

    /// Says that the file can be read while somebody writes to it: by what it begins with, this many bytes, one sees
    /// [what must be read again](super::FileFormat::again).
    #[must_use]
    pub fn with_head(self, head_len: u64) -> Self {
        Self { head_len: Some(head_len), ..self }
    }

    /// Where the pieces end; at least one.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// The length of the head by which a reader sees what was written meanwhile, in bytes; `None` if the file has none.
    pub fn head_len(&self) -> Option<u64> {
        self.head_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_covers_each_byte_once_up_to_its_end() {
        let max = Plan::MAX_PIECE;
        let good: [(&[u64], u64); 4] = [(&[1], 1), (&[1, 2], 5), (&[max], max), (&[7, max + 7], u64::MAX)];
        for (ends, size) in good {
            let plan = Plan::new(ends.to_vec(), size).unwrap();
            assert_eq!((plan.ends(), plan.head_len()), (ends, None));
            assert_eq!(plan.with_head(1).head_len(), Some(1));
        }
        let bad: [(&[u64], u64); 7] = [
            (&[], 9),
            (&[0], 9),
            (&[1, 1], 9),
            (&[2, 1], 9),
            (&[10], 9),
            (&[max + 1], u64::MAX),
            (&[1, max + 2], u64::MAX),
        ];
        for (ends, size) in bad {
            assert_eq!(Plan::new(ends.to_vec(), size), None, "{ends:?}");
        }
    }

    #[test]
    fn memory_is_read_within_its_bounds() {
        let mut file: &[u8] = b"world";
        let mut buffer = [0; 2];
        file.read_exact_at(3, &mut buffer).unwrap();
        assert_eq!((&buffer, file.size()), (b"ld", 5));
        for offset in [4, 5, 6, u64::MAX] {
            assert!(file.read_exact_at(offset, &mut buffer).is_err(), "{offset}");
        }
        file.read_exact_at(5, &mut []).unwrap();
    }
}
