//! What becomes of a file's content where chunks are lost, or have come back.
//!
//! A lost chunk's place is taken by zeros of the same size, so that the rest of the file stays where it was; what it was
//! made of is kept beside that, so that it is whole again once a backup has stored the chunk anew.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveChecker.rebuild_refcounts`, `verify_file_chunks`.

use worldkeeper_archive::{ChunkRef, RawItem};
use worldkeeper_core::ChunkId;

/// What is to be in one place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// This chunk.
    Chunk(ChunkRef),
    /// As many zeros as the chunk had bytes that should be there.
    Zeros(u32),
}

/// What is remarkable about one place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) what: What,
    /// The chunk that is, or was, not there.
    pub(super) chunk: ChunkRef,
    /// Where in the file its content begins.
    pub(super) offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A chunk is lost.
    Lost,
    /// A chunk was lost before, and the zeros are still in its place.
    StillLost,
    /// A chunk was lost before, and the zeros in its place are, too.
    ZerosLost,
    /// A chunk that was lost is there again.
    Back,
}

/// A file's content as it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) slots: Vec<Slot>,
    /// What it was before a repair; `None` where it is whole.
    pub(super) healthy: Option<Vec<ChunkRef>>,
    pub(super) remarks: Vec<Remark>,
    /// Chunks that zeros had stood for, which stand there no more.
    pub(super) superseded: Vec<ChunkId>,
    /// What was kept of the time before a repair does not fit the file, and is of no use.
    pub(super) is_healthy_invalid: bool,
}

/// Decides what a file is to be made of. `None` for an item without content.
pub(super) fn examine(item: &RawItem, is_present: impl Fn(&ChunkId) -> bool) -> Option<Examined> {
    let current = item.chunks()?;
    let kept = item.chunks_healthy().filter(|healthy| healthy.len() == current.len());
    let is_healthy_invalid = kept.is_none() && item.chunks_healthy().is_some();
    let slots = Vec::with_capacity(current.len());
    let mut examined = Examined { slots, is_healthy_invalid, ..Examined::default() };
    let (mut offset, mut is_hurt) = (0, false);
    for (current, healthy) in current.iter().zip(kept.unwrap_or(current)) {
        let (slot, what) = match (is_present(&healthy.id), current == healthy) {
            (true, true) => (Slot::Chunk(*current), None),
            (true, false) => {
                examined.superseded.push(current.id);
                (Slot::Chunk(*healthy), Some((What::Back, healthy)))
            }
            (false, true) => (Slot::Zeros(healthy.size), Some((What::Lost, healthy))),
            (false, false) if is_present(&current.id) => (Slot::Chunk(*current), Some((What::StillLost, healthy))),
            (false, false) => (Slot::Zeros(healthy.size), Some((What::ZerosLost, healthy))),
        };
        // No object holds so many zeros as a hostile archive can ask for.
        let is_impossible = matches!(slot, Slot::Zeros(size) if size as usize > crate::objects::MAX_CHUNK_SIZE);
        let slot = if is_impossible { Slot::Chunk(*current) } else { slot };
        is_hurt |= matches!(slot, Slot::Zeros(_));
        examined.slots.push(slot);
        examined.remarks.extend(what.map(|(what, chunk)| Remark { what, chunk: *chunk, offset }));
        offset += u64::from(healthy.size);
    }
    examined.healthy = match kept {
        Some(healthy) if examined.is_made_of(healthy) => None,
        Some(healthy) => Some(healthy.to_vec()),
        None => is_hurt.then(|| current.to_vec()),
    };
    Some(examined)
}

impl Examined {
    /// Returns whether the item is not what it should be.
    pub(super) fn is_changed(&self, item: &RawItem) -> bool {
        self.healthy.as_deref() != item.chunks_healthy() || !item.chunks().is_some_and(|chunks| self.is_made_of(chunks))
    }

    fn is_made_of(&self, chunks: &[ChunkRef]) -> bool {
        self.slots.len() == chunks.len()
            && self.slots.iter().zip(chunks).all(|(slot, chunk)| *slot == Slot::Chunk(*chunk))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use worldkeeper_archive::{ITEM_KEYS, Item};
    use worldkeeper_core::msgpack::Encoder;

    use super::*;

    fn chunk(name: char) -> ChunkRef {
        ChunkRef { id: ChunkId([name as u8; 32]), size: 10, csize: 5 }
    }

    fn chunks(names: &str) -> Vec<ChunkRef> {
        names.chars().map(chunk).collect()
    }

    fn item(current: &str, healthy: Option<&str>) -> RawItem {
        let (chunks, chunks_healthy) = (Some(chunks(current)), healthy.map(chunks));
        let mut encoder = Encoder::new();
        Item { chunks, chunks_healthy, ..Item::default() }.encode(&mut encoder);
        RawItem::new(&encoder.finish(), &ITEM_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect::<BTreeSet<_>>())
            .unwrap()
    }

    /// A file made of `current`, once of `healthy`, where only `present` is there, becomes `slots`, `_` being zeros.
    #[track_caller]
    fn becomes(current: &str, healthy: Option<&str>, present: &str, slots: &str, kept: Option<&str>) -> Vec<What> {
        let item = item(current, healthy);
        let examined = examine(&item, |id| present.contains(id.0[0] as char)).unwrap();
        let expected: Vec<_> =
            slots.chars().map(|name| if name == '_' { Slot::Zeros(10) } else { Slot::Chunk(chunk(name)) }).collect();
        assert_eq!(examined.slots, expected);
        assert_eq!(examined.healthy, kept.map(chunks));
        assert_eq!(examined.is_changed(&item), (current, healthy) != (slots, kept));
        examined.remarks.iter().map(|remark| remark.what).collect()
    }

    #[test]
    fn a_lost_chunk_becomes_zeros_and_is_remembered() {
        assert_eq!(becomes("abc", None, "abc", "abc", None), []);
        assert_eq!(becomes("abca", None, "bc", "_bc_", Some("abca")), [What::Lost, What::Lost]);
        assert_eq!(becomes("0bc", Some("abc"), "0c", "0_c", Some("abc")), [What::StillLost, What::Lost]);
        assert_eq!(becomes("0bc", Some("abc"), "bc", "_bc", Some("abc")), [What::ZerosLost]);
    }

    #[test]
    fn what_has_come_back_is_put_in_its_place() {
        assert_eq!(becomes("0b0", Some("abc"), "0ab", "ab0", Some("abc")), [What::Back, What::StillLost]);
        assert_eq!(becomes("0b0", Some("abc"), "0abc", "abc", None), [What::Back, What::Back]);
        assert_eq!(becomes("abc", Some("abc"), "abc", "abc", None), []);
    }

    #[test]
    fn what_was_kept_counts_only_if_it_fits() {
        assert_eq!(becomes("0bc", Some("ab"), "0bc", "0bc", None), []);
        assert_eq!(becomes("0bc", Some("ab"), "bc", "_bc", Some("0bc")), [What::Lost]);
        let examined = examine(&item("0bc", Some("ab")), |_| true).unwrap();
        assert!(examined.is_healthy_invalid);
    }

    #[test]
    fn no_more_zeros_are_made_than_an_object_holds() {
        let huge = ChunkRef { size: u32::MAX, ..chunk('a') };
        let mut item = item("a", None);
        item.set_chunks(vec![huge], None);
        let examined = examine(&item, |_| false).unwrap();
        assert_eq!((examined.slots.as_slice(), examined.remarks.len()), (&[Slot::Chunk(huge)][..], 1));
        assert!(!examined.is_changed(&item));
    }
}
