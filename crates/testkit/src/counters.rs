//! Has a counter value been used twice? Every object that was handed to a write, committed or not, held against all others.
//!
//! AES-CTR gives both plaintexts away where two ciphertexts share a block of the counter under one key, and no other test
//! notices: everything still opens. So the tests that write keep a [`Counters`], which panics at the PUT that uses a
//! value again. One key, one [`Counters`]; its clones are the same book, to be shared by all clients of a repository,
//! its copies and its crashes. What a killed process has left on a disk is read with [`Counters::directory`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use worldkeeper_core::repository::{Announced, CheckEvent, CheckOptions, CompactStats, RepositoryCheck, Room};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, RepositoryId, Transaction};

use crate::segments;

/// The counter values that were used under one key, and for what.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Book>>);

/// What was sealed, by the first counter value it used. The ranges do not overlap.
#[derive(Clone, Debug, Default)]
struct Book {
    sealed: BTreeMap<u64, Sealed>,
    objects: usize,
}

/// What stands behind an object's header.
#[derive(Clone, Debug)]
struct Sealed {
    ciphertext: Bytes,
    /// Not so at the end of a segment whose writer was killed.
    is_whole: bool,
}

/// Two ciphertexts share a block of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "counter values from {later:#x} on seal {later_len} bytes, those from {earlier:#x} on have sealed {earlier_len} others"
)]
pub struct Reused {
    /// The first value of what was found first.
    pub earlier: u64,
    /// Its ciphertext's length in bytes.
    pub earlier_len: usize,
    /// The first value of what was found then.
    pub later: u64,
    /// Its ciphertext's length in bytes.
    pub later_len: usize,
}

impl Counters {
    /// Notes an object. The same one again, as compaction writes it, is no second use; one of a mode that does not
    /// encrypt has no counter.
    ///
    /// # Panics
    ///
    /// If it shares a counter value with another one.
    #[track_caller]
    pub fn record(&self, object: &Bytes) {
        if let Err(reused) = self.try_record(object, true) {
            panic!("the key is broken: {reused}");
        }
    }

    /// Notes an object, or what there is of it.
    pub fn try_record(&self, object: &Bytes, is_whole: bool) -> Result<(), Reused> {
        let encrypts = object.first().is_some_and(|type_byte| ENCRYPTING.contains(type_byte));
        let Some(nonce) = object.get(NONCE).filter(|_| encrypts) else { return Ok(()) };
        let first = u64::from_be_bytes(nonce.try_into().expect("the range has 8 bytes"));
        let sealed = Sealed { ciphertext: object.slice(NONCE.end..), is_whole };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(first, sealed)
    }

    /// How many objects with a counter were noted; one that came twice counts twice.
    pub fn objects(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).objects
    }

    /// Notes all that the segments of a repository on a disk hold, committed or not, to the last torn entry.
    ///
    /// It is for what was killed: after a power failure the end of a file is no longer what somebody wrote.
    ///
    /// # Panics
    ///
    /// If a counter value was used twice, or the repository cannot be read.
    #[track_caller]
    pub fn directory(&self, repository: &Path) {
        for (number, segment) in segments::read(repository) {
            if let Err(reused) = self.segment(&segment.into()) {
                panic!("the key is broken, in segment {number} of {}: {reused}", repository.display());
            }
        }
    }

    /// Notes all objects in a segment, the last perhaps torn.
    pub fn segment(&self, segment: &Bytes) -> Result<(), Reused> {
        objects(segment).try_for_each(|(object, is_whole)| self.try_record(&object, is_whole))
    }

    /// Notes the objects in a segment that are whole. After a power failure an end that is torn is nobody's writing.
    pub fn whole_objects(&self, segment: &Bytes) -> Result<(), Reused> {
        objects(segment).filter(|(_, is_whole)| *is_whole).try_for_each(|(object, _)| self.try_record(&object, true))
    }

    /// A book of its own with the same in it: for one of several courses that things may take from here.
    #[must_use]
    pub fn branch(&self) -> Self {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self(Arc::new(Mutex::new(book)))
    }

    /// A repository whose every PUT is noted here before it is done.
    pub fn watch(&self, repository: Box<dyn Repository>) -> Box<dyn Repository> {
        Box::new(Watched { repository, counters: self.clone() })
    }
}

/// The objects in a segment, and whether each is whole.
fn objects(segment: &Bytes) -> impl Iterator<Item = (Bytes, bool)> {
    let (entries, end) = segments::entries(segment);
    entries.into_iter().filter_map(move |(_, entry)| match entry {
        segments::Entry::Put(_, object) => {
            let is_whole = object.as_ptr_range().end <= segment[..end].as_ptr_range().end;
            Some((segment.slice_ref(object), is_whole))
        }
        _ => None,
    })
}

impl Book {
    fn add(&mut self, first: u64, new: Sealed) -> Result<(), Reused> {
        let reused = |earlier: u64, old: &Sealed| Reused {
            earlier,
            earlier_len: old.ciphertext.len(),
            later: first,
            later_len: new.ciphertext.len(),
        };
        self.objects += 1;
        let end = new.end(first);
        if end == u128::from(first) {
            return Ok(());
        }
        if let Some((before, old)) = self.sealed.range(..first).next_back()
            && old.end(*before) > u128::from(first)
        {
            return Err(reused(*before, old));
        }
        if let Some((behind, old)) = self.sealed.range((Bound::Excluded(first), Bound::Unbounded)).next()
            && u128::from(*behind) < end
        {
            return Err(reused(*behind, old));
        }
        match self.sealed.entry(first) {
            Entry::Vacant(vacant) => _ = vacant.insert(new),
            Entry::Occupied(mut old) => {
                if !old.get().is_same(&new) {
                    return Err(reused(first, old.get()));
                }
                if old.get().ciphertext.len() < new.ciphertext.len() || new.is_whole {
                    old.insert(new);
                }
            }
        }
        Ok(())
    }
}

impl Sealed {
    /// Behind the last counter value.
    fn end(&self, first: u64) -> u128 {
        u128::from(first) + self.ciphertext.len().div_ceil(BLOCK) as u128
    }

    /// Whether both are, or may be, one ciphertext.
    fn is_same(&self, other: &Self) -> bool {
        let (longer, shorter) =
            if self.ciphertext.len() >= other.ciphertext.len() { (self, other) } else { (other, self) };
        let same_len = longer.ciphertext.len() == shorter.ciphertext.len();
        longer.ciphertext.starts_with(&shorter.ciphertext) && (same_len || !shorter.is_whole)
    }
}

struct Watched {
    repository: Box<dyn Repository>,
    counters: Counters,
}

impl Repository for Watched {
    fn id(&self) -> RepositoryId {
        self.repository.id()
    }

    fn location(&self) -> String {
        self.repository.location()
    }

    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        self.repository.get(id)
    }

    fn get_into(&self, id: &ChunkId, room: &mut dyn Room) -> Result<(), RepositoryError> {
        self.repository.get_into(id, room)
    }

    fn will_read(&self, objects: &mut dyn Iterator<Item = Announced>) {
        self.repository.will_read(objects);
    }

    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        self.repository.ids()
    }

    fn object_count(&self) -> Result<u64, RepositoryError> {
        self.repository.object_count()
    }

    fn load_key(&self) -> Result<Option<String>, RepositoryError> {
        self.repository.load_key()
    }

    fn save_key(&self, key: &str) -> Result<(), RepositoryError> {
        self.repository.save_key(key)
    }

    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        self.repository.free_nonce()
    }

    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError> {
        self.repository.reserve_nonce(next, current)
    }

    fn replace_damaged_nonce(&self, next: u64) -> Result<(), RepositoryError> {
        self.repository.replace_damaged_nonce(next)
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError> {
        let transaction = self.repository.begin()?;
        Ok(Box::new(WatchedTransaction { transaction, counters: &self.counters }))
    }

    fn check(
        &self,
        options: &CheckOptions,
        on_event: &mut dyn FnMut(CheckEvent<'_>),
    ) -> Result<RepositoryCheck, RepositoryError> {
        self.repository.check(options, on_event)
    }

    fn earlier_ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        self.repository.earlier_ids()
    }

    fn find_earlier(
        &self,
        id: &ChunkId,
        is_wanted: &mut dyn FnMut(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, RepositoryError> {
        self.repository.find_earlier(id, is_wanted)
    }

    fn earlier_unread(&self) -> Option<RepositoryError> {
        self.repository.earlier_unread()
    }
}

struct WatchedTransaction<'a> {
    transaction: Box<dyn Transaction + 'a>,
    counters: &'a Counters,
}

impl Transaction for WatchedTransaction<'_> {
    fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), RepositoryError> {
        self.counters.record(&object);
        self.transaction.put(id, object)
    }

    fn delete(&mut self, id: ChunkId) -> Result<(), RepositoryError> {
        self.transaction.delete(id)
    }

    fn commit(self: Box<Self>) -> Result<(), RepositoryError> {
        self.transaction.commit()
    }

    fn commit_and_compact(self: Box<Self>, threshold_percent: u8) -> Result<CompactStats, RepositoryError> {
        self.transaction.commit_and_compact(threshold_percent)
    }
}

/// The type bytes of the modes that encrypt, that of the dead passphrase mode included.
const ENCRYPTING: [u8; 5] = [0x00, 0x01, 0x03, 0x04, 0x05];
/// Where an object has the first counter value that it used; the ciphertext follows.
const NONCE: std::ops::Range<usize> = 33..41;
/// What one counter value seals, in bytes.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::{self, Copy};

    /// An object that used the counter from `nonce` on.
    fn object(nonce: u64, ciphertext: &[u8]) -> Bytes {
        [&[5; 33], &nonce.to_be_bytes()[..], ciphertext].concat().into()
    }

    #[test]
    fn an_overlap_from_either_side_is_a_second_use() {
        let counters = Counters::default();
        counters.record(&object(10, &[1; 40]));
        counters.record(&object(13, &[2; 16]));
        counters.record(&object(9, &[3; 16]));
        for (nonce, len) in [(8, 33), (9, 1), (9, 17), (10, 39), (10, 41), (11, 1), (12, 16), (13, 17), (0, 1000)] {
            let reused = counters.try_record(&object(nonce, &vec![4; len]), true);
            assert!(reused.is_err(), "{len} bytes at {nonce}");
        }
        counters.record(&object(14, &[5; 1]));
        counters.record(&object(15, &[6; 1]));
        counters.record(&object(10, &[1; 40]));
        counters.record(&object(10, &[]));
        counters.record(&object(u64::MAX, &[1; 16]));
        assert!(counters.try_record(&object(u64::MAX, &[2; 16]), true).is_err());
    }

    #[test]
    fn what_is_torn_is_a_piece_of_one_that_is_whole() {
        let counters = Counters::default();
        let torn = |fill: u8, len: usize| counters.try_record(&object(10, &vec![fill; len]), false).is_ok();
        assert!(torn(1, 20) && torn(1, 30) && torn(1, 10) && !torn(2, 5));
        counters.record(&object(10, &[1; 40]));
        assert!(torn(1, 39) && !torn(1, 41) && !torn(2, 40));
        assert!(counters.try_record(&object(10, &[1; 20]), true).is_err(), "another one, though it begins alike");
    }

    #[test]
    fn modes_that_do_not_encrypt_have_no_counter() {
        let counters = Counters::default();
        for type_byte in [2, 6, 7, b'a'] {
            for fill in [0, 1] {
                counters.record(&[&[type_byte; 41], &[fill; 50][..]].concat().into());
            }
        }
        counters.record(&Bytes::from_static(b"\x05short"));
        assert_eq!(counters.objects(), 0);
    }

    #[test]
    fn stock_uses_no_value_twice_and_all_its_segments_are_read() {
        for name in repositories::NAMES {
            let copy = Copy::of(name);
            let counters = Counters::default();
            counters.directory(&copy.path());
            assert_eq!(counters.objects() > 10, name.starts_with("repokey"), "{name}");
            counters.directory(&copy.path());
        }
    }

    #[test]
    fn a_segment_is_read_to_its_torn_end() {
        let put = |nonce: u64, ciphertext: &[u8]| {
            let object = object(nonce, ciphertext);
            let entry = [&((object.len() + 41) as u32).to_le_bytes()[..], &[0], &[9; 32], &object].concat();
            [&crc32fast::hash(&entry).to_le_bytes()[..], &entry].concat()
        };
        let segment = [b"BORG_SEG", &put(5, &[1; 100])[..], &put(20, &[2; 100])].concat();
        let with = |bytes: &[u8], nonce| {
            let counters = Counters::default();
            counters.segment(&Bytes::copy_from_slice(bytes)).unwrap();
            counters.try_record(&object(nonce, &[3; 16]), true).is_err()
        };
        assert!(with(&segment, 5) && with(&segment, 26));
        assert!(!with(&segment[..segment.len() - 4], 26), "its last block is not there");
        assert!(with(&segment[..segment.len() - 4], 25));
        for len in 0..segment.len() {
            with(&segment[..len], 1000);
        }
        let counters = Counters::default();
        counters.whole_objects(&segment[..segment.len() - 4].to_vec().into()).unwrap();
        let branch = counters.branch();
        branch.record(&object(20, &[3; 16]));
        counters.record(&object(20, &[4; 16]));
        assert!(counters.try_record(&object(5, &[3; 16]), true).is_err(), "what is whole is noted");
    }
}
