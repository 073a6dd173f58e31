//! Where long segments are read in parts, so that all processors have something to read of a repository of few segments.

use std::collections::HashMap;

use super::pieces::Part;
use crate::index::Index;

/// The parts of segments with these numbers and lengths, in order, each of about `part_len` bytes where that is possible: parts
/// begin where the index says that objects do. Whether it is right is for the reader to see.
pub(super) fn parts(segments: &[(u32, u64)], part_len: u64, index: &Index) -> Vec<Part> {
    // Nothing can lie further behind, however long a file says that it is.
    let count = |len: &u64| ((*len).min(1 << 32) / part_len) as usize;
    let mut starts: HashMap<u32, Starts> = segments
        .iter()
        .filter(|(_, len)| len / 2 >= part_len)
        .map(|(segment, len)| (*segment, Starts { part_len, firsts: vec![None; count(len)] }))
        .collect();
    for (_, location) in index.iter() {
        if let Some(starts) = starts.get_mut(&location.segment) {
            starts.see(location.offset);
        }
    }
    let mut parts = Vec::new();
    for (segment, _) in segments {
        let begins = starts.get(segment).into_iter().flat_map(Starts::all).chain([0]);
        let mut begins: Vec<_> = begins.collect();
        begins.sort_unstable();
        let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
        parts.extend(begins.iter().zip(ends).map(|(start, end)| Part { segment: *segment, start: *start, end }));
    }
    parts
}

/// Where the parts of a segment can begin.
struct Starts {
    part_len: u64,
    /// The first object at or behind each multiple of that, before the next one.
    firsts: Vec<Option<u32>>,
}

impl Starts {
    fn see(&mut self, offset: u32) {
        if let Some(first) = self.firsts.get_mut((u64::from(offset) / self.part_len) as usize) {
            *first = Some(first.map_or(offset, |known| known.min(offset)));
        }
    }

    /// Without the beginning of the segment.
    fn all(&self) -> impl Iterator<Item = u32> {
        self.firsts.iter().skip(1).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::ChunkId;

    use super::*;
    use crate::segment::Location;

    #[test]
    fn parts_begin_with_the_first_object_behind_multiples_of_their_length() {
        let mut index = Index::new();
        let objects = [(1, 8), (1, 90), (1, 210), (1, 220), (1, 410), (1, 1300), (2, 8), (2, 130), (3, 8), (9, 300)];
        for (number, (segment, offset)) in objects.into_iter().enumerate() {
            index.insert(&ChunkId([number as u8; 32]), Location { segment, offset });
        }
        let part = |segment, start, end| Part { segment, start, end };
        let expected = [
            part(1, 0, Some(210)),
            part(1, 210, Some(410)),
            part(1, 410, None),
            // Not twice as long.
            part(2, 0, None),
            part(3, 0, None),
        ];
        assert_eq!(parts(&[(1, 560), (2, 199), (3, 700)], 100, &index), expected);
        assert_eq!(parts(&[(1, u64::MAX)], 1 << 20, &index), [Part::whole(1)]);
        let whole = [1, 2, 3].map(Part::whole);
        assert_eq!(parts(&[(1, 560), (2, 199), (3, 700)], 100, &Index::new()), whole);
    }
}
