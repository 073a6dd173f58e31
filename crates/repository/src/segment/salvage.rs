//! Reads what is left of a segment: every entry that verifies, and where something else stands between them.
//!
//! Behind damage the next entry must be found. If only the content of an entry is damaged, its header still says where
//! that is; otherwise the next offset at which an entry verifies is where the log goes on. What an object contains may
//! look like entries (somebody may have backed up a repository), so the header is asked first. A checksum that
//! matches by chance is not to be feared: a candidate needs a known tag and a fitting length as well.
//!
//! Source: borg 1.4 `repository.py`, `recover_segment`, which searches only.

use std::sync::Arc;

use worldkeeper_core::DiskError;
use worldkeeper_core::disk::DiskFile;

use super::entry::EntryError;
use super::reader::{Entry, SegmentReader};

/// Bytes of a segment that are no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where they begin.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) len: u64,
    /// What is wrong with the first of them.
    pub(crate) reason: EntryError,
}

/// What was found next.
#[derive(Debug)]
pub(crate) enum Salvaged<'a> {
    Entry(Entry<'a>),
    Damage(Damage),
}

/// Takes what is left of one segment, in order.
pub(crate) struct SalvageReader {
    reader: SegmentReader,
    len: u64,
    started: bool,
}

impl SalvageReader {
    pub(crate) fn new(file: Arc<dyn DiskFile>, segment: u32) -> Result<Self, DiskError> {
        let len = file.len()?;
        Ok(Self { reader: SegmentReader::at_start(file, segment)?, len, started: false })
    }

    /// Goes to an offset at which something begins: what is found from there on is what whoever reads all of the segment finds
    /// from there on.
    pub(crate) fn begin_at(&mut self, offset: u32) {
        self.started = true;
        self.reader.seek(offset.into());
    }

    /// Where what is found next begins, once something was found.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// Takes the next entry or piece of damage; `None` at the end of the file. The search behind damage can take long: once
    /// `goes_on` says no, it ends anywhere, and what comes is of no use.
    pub(crate) fn next(&mut self, goes_on: &dyn Fn() -> bool) -> Result<Option<Salvaged<'_>>, DiskError> {
        if !std::mem::replace(&mut self.started, true) && !self.reader.take_magic()? {
            // Without the magic nothing says where the first entry begins, not even that it does not begin here.
            self.search(0, goes_on)?;
            return Ok(Some(self.damage(0, EntryError::Magic)));
        }
        let offset = self.reader.offset();
        match self.reader.look()? {
            Ok(Some(seen)) => Ok(Some(Salvaged::Entry(self.reader.take(seen)))),
            Ok(None) => Ok(None),
            Err(reason) => {
                if !self.pass_by_header(offset)? {
                    self.search(offset + 1, goes_on)?;
                }
                Ok(Some(self.damage(offset, reason)))
            }
        }
    }

    /// The damage from `offset` to where the reader stands now.
    fn damage(&self, offset: u64, reason: EntryError) -> Salvaged<'static> {
        Salvaged::Damage(Damage { offset, len: self.reader.offset() - offset, reason })
    }

    /// Goes behind the damaged entry at `offset`, if its header says where that is: where the next entry is, or the
    /// end of the file.
    fn pass_by_header(&mut self, offset: u64) -> Result<bool, DiskError> {
        self.reader.seek(offset);
        let Some(Ok(header)) = self.reader.header()? else { return Ok(false) };
        let next = offset + u64::from(header.size);
        self.reader.seek(next);
        Ok(next == self.len || self.entry_follows()?)
    }

    /// Goes to the first entry at `offset` or behind it, or to the end of the file.
    fn search(&mut self, offset: u64, goes_on: &dyn Fn() -> bool) -> Result<(), DiskError> {
        self.reader.seek(offset);
        while self.reader.offset() < self.len && goes_on() && !self.entry_follows()? {
            // The index could say nothing of what stands behind this.
            let next = self.reader.offset() + 1;
            self.reader.seek(if next > u32::MAX.into() { self.len } else { next });
        }
        Ok(())
    }

    fn entry_follows(&mut self) -> Result<bool, DiskError> {
        let offset = self.reader.offset();
        let Some(Ok(header)) = self.reader.header()? else { return Ok(false) };
        // Before it is read: most candidates are none.
        Ok(offset + u64::from(header.size) <= self.len && matches!(self.reader.look()?, Ok(Some(_))))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use proptest::prelude::*;
    use worldkeeper_core::{ChunkId, Disk};
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;
    use crate::segment::entry::COMMIT;
    use crate::segment::{Body, MAGIC, PutHeader};

    fn put(number: u8, data: &[u8]) -> Vec<u8> {
        [&PutHeader::encode_put(ChunkId([number; 32]), data)[..], data].concat()
    }

    /// The numbers of the objects that are found, and the pieces of damage.
    fn salvage(bytes: &[u8]) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut file = MemoryDisk::new().create(Path::new("/0")).unwrap();
        file.append(bytes).unwrap();
        let mut reader = SalvageReader::new(file.into(), 0).unwrap();
        let (mut found, mut damage, mut end) = (Vec::new(), Vec::new(), MAGIC.len() as u64);
        while let Some(salvaged) = reader.next(&|| true).unwrap() {
            let (offset, len) = match salvaged {
                Salvaged::Entry(entry) => {
                    if let Body::Put(id) = entry.body {
                        found.push(id.0[0]);
                    }
                    (entry.offset.into(), entry.bytes.len() as u64)
                }
                Salvaged::Damage(Damage { offset, len, .. }) => {
                    damage.push((offset, len));
                    (offset, len)
                }
            };
            assert!(offset == end || offset == 0, "every byte is taken once");
            end = offset + len;
        }
        assert_eq!(end.max(MAGIC.len() as u64), bytes.len().max(MAGIC.len()) as u64, "every byte is taken");
        (found, damage)
    }

    #[test]
    fn what_looks_like_entries_in_a_damaged_object_is_not_taken_for_some() {
        let bait = put(9, b"bait");
        let object = [&[1; 20][..], &bait, &COMMIT].concat();
        let whole = [&MAGIC[..], &put(1, b"abc"), &put(2, &object), &put(3, b"def")].concat();
        assert_eq!(salvage(&whole), (vec![1, 2, 3], vec![]));
        let second = 8 + 44;
        let mut flipped = whole.clone();
        flipped[second + 45] ^= 1;
        assert_eq!(salvage(&flipped), (vec![1, 3], vec![(second as u64, 41 + object.len() as u64)]));
        // The same at the end of the file.
        let end = flipped.len() - 44;
        assert_eq!(salvage(&flipped[..end]).0, [1]);
    }

    #[test]
    fn behind_a_damaged_header_the_next_entry_is_searched_for() {
        let whole = [&MAGIC[..], &put(1, b"abc"), &put(2, b"defg"), &put(3, &[7; 3000]), &COMMIT].concat();
        for at in 0..9 {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[52 + at] ^= 1 << bit;
                assert_eq!(salvage(&flipped), (vec![1, 3], vec![(52, 45)]), "byte {at}, bit {bit}");
            }
        }
        for at in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(salvage(&flipped), (vec![1, 2, 3], vec![(0, 8)]), "byte {at}");
        }
        assert_eq!(salvage(&whole[8..]), (vec![1, 2, 3], vec![(0, 0)]), "nothing but the magic is missing");
        assert_eq!(salvage(b"BORG"), (vec![], vec![(0, 4)]));
        assert_eq!(salvage(b""), (vec![], vec![(0, 0)]));
    }

    #[test]
    fn a_search_ends_when_nobody_wants_it_to_go_on() {
        let mut file = MemoryDisk::new().create(Path::new("/0")).unwrap();
        file.append(&[&MAGIC[..], &[0xee; 5000]].concat()).unwrap();
        let mut reader = SalvageReader::new(file.into(), 0).unwrap();
        let left = Cell::new(100);
        let goes_on = || {
            left.set(left.get() - 1);
            left.get() > 0
        };
        assert!(matches!(reader.next(&goes_on).unwrap(), Some(Salvaged::Damage(Damage { offset: 8, len: 100, .. }))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            before in proptest::collection::vec(any::<u8>(), 0..100),
            between in proptest::collection::vec(any::<u8>(), 0..100),
            has_magic in any::<bool>(),
        ) {
            let magic = if has_magic { &MAGIC[..] } else { &[] };
            let bytes = [magic, &before, &put(1, b"abc"), &between, &put(2, &[0; 500])].concat();
            let (found, _) = salvage(&bytes);
            prop_assert!(found.contains(&1) && found.contains(&2));
        }
    }
}
