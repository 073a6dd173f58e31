//! Where a database is best cut: at its pages, and the larger it is the fewer of them have a piece of their own.
//!
//! How long a piece is depends on where it lies, not on how long the file is: a database that has grown is cut as before,
//! and nothing of it is stored once more for that. `docs/design/world-cuts.md` has the reasons, and what it saves.

use worldkeeper_core::{Plan, RangeReader};

use super::{HEADER_LEN, MAGIC, is_possible, page_size};

/// Plans a database; `None` if it is none.
pub(super) fn plan(file: &mut dyn RangeReader) -> Option<Plan> {
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(0, &mut header).ok()?;
    let page_size = page_size(&header);
    if !header.starts_with(MAGIC) || !is_possible(page_size) {
        return None;
    }
    let size = file.size();
    let mut ends = Vec::new();
    let mut end = 0;
    for (least, up_to) in PIECES {
        let piece = least.max(page_size.into());
        while end < size.min(up_to) {
            end += piece;
            ends.push(end.min(size));
        }
    }
    Plan::new(ends, size)
}

/// How long pieces are at least, in bytes, and up to where in the file. All of it are multiples of any page.
///
/// What lies behind the last offset is not planned, so that a plan has 360,000 pieces at most.
const PIECES: [(u64, u64); 3] = [(4 << 10, 256 << 20), (16 << 10, 1 << 30), (64 << 10, 16 << 30)];

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A database of any length, of which the header alone is there.
    struct Database {
        page_size: u16,
        size: u64,
    }

    impl RangeReader for Database {
        fn size(&self) -> u64 {
            self.size
        }

        fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            let mut header = [0; HEADER_LEN];
            header[..16].copy_from_slice(MAGIC);
            header[16..18].copy_from_slice(&self.page_size.to_be_bytes());
            let len = self.size.min(HEADER_LEN as u64) as usize;
            (&header[..len]).read_exact_at(offset, buffer)
        }
    }

    /// How long the pieces of a database are, and how many there are of each.
    fn planned(page_size: u16, size: u64) -> Option<Vec<(u64, usize)>> {
        let plan = plan(&mut Database { page_size, size })?;
        assert_eq!(plan.head_len(), None);
        let mut pieces: Vec<(u64, usize)> = Vec::new();
        let mut start = 0;
        for end in plan.ends() {
            match pieces.last_mut() {
                Some((len, count)) if *len == end - start => *count += 1,
                _ => pieces.push((end - start, 1)),
            }
            start = *end;
        }
        Some(pieces)
    }

    #[test]
    fn pieces_are_pages_and_grow_with_the_file() {
        const MIB: u64 = 1 << 20;
        assert_eq!(planned(4096, 3 * 4096), Some(vec![(4096, 3)]));
        assert_eq!(planned(4096, 3 * 4096 + 100), Some(vec![(4096, 3), (100, 1)]));
        assert_eq!(planned(4096, 100), Some(vec![(100, 1)]));
        // Smaller ones would cost more in lists than in data.
        assert_eq!(planned(512, 5 * 4096 + 512), Some(vec![(4096, 5), (512, 1)]));
        assert_eq!(planned(16_384, 16_384 * 2), Some(vec![(16_384, 2)]));
        assert_eq!(planned(1, 65_536 * 2), Some(vec![(65_536, 2)]));
        assert_eq!(planned(4096, 257 * MIB), Some(vec![(4096, 65_536), (16_384, 64)]));
        assert_eq!(planned(4096, 1025 * MIB), Some(vec![(4096, 65_536), (16_384, 49_152), (65_536, 16)]));
        assert_eq!(planned(1, 1 << 50), Some(vec![(65_536, 1 << 18)]));
        let most: usize = planned(512, u64::MAX).unwrap().into_iter().map(|(_, count)| count).sum();
        assert_eq!(most, 65_536 + 49_152 + 15 * (1 << 14));
    }

    #[test]
    fn what_is_no_database_is_not_planned() {
        for page_size in [0, 2, 256, 513, 4095, 4097, 0xffff] {
            assert_eq!(planned(page_size, 1 << 20), None, "{page_size}");
        }
        assert_eq!(planned(4096, 99), None);
        assert_eq!(planned(4096, 0), None);
        assert_eq!(plan(&mut &[0; 8192][..]), None);
    }
}
