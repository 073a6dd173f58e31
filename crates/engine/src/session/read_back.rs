//! After the commit, some of what was stored is read again: a disk or a server that drops what it has acknowledged is found
//! out by the run that it was dropped in, while the files are still there.
//!
//! What was stored last is always read: it is what all the rest hangs on, the archive itself. Of the others, a sample is,
//! drawn so that each has the same chance: whoever drops one in ten is found out in 29 of 30 runs. A `check` reads them all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::warn;
use worldkeeper_core::{ChunkId, error_text};

use super::{Session, SessionError};
use crate::objects::{ChunkReader, ObjectError, ReadChunk, StoredObject, WantedChunk, prove_several};
use crate::pipeline::default_workers;
use crate::random;

/// How many objects are read besides the last one.
const SAMPLE: usize = 32;

/// Objects that were stored: a sample of them, and the last.
#[derive(Debug, Default)]
pub(super) struct Stored {
    sample: Vec<StoredObject>,
    last: Option<StoredObject>,
    count: u64,
    /// A generator's state; 0 before the first draw.
    random: u64,
}

impl Stored {
    /// Notes an object that was stored.
    pub(super) fn note(&mut self, stored: StoredObject) -> Result<(), SessionError> {
        self.last = Some(stored);
        self.count += 1;
        if let Some(before) = self.sample.iter_mut().find(|sampled| sampled.id == stored.id) {
            // It was replaced.
            *before = stored;
        } else if self.sample.len() < SAMPLE {
            self.sample.push(stored);
        } else {
            let place = usize::try_from(self.draw()? % self.count).unwrap_or(usize::MAX);
            if let Some(place) = self.sample.get_mut(place) {
                *place = stored;
            }
        }
        Ok(())
    }

    /// Notes that an object was deleted again.
    pub(super) fn forget(&mut self, id: &ChunkId) {
        self.sample.retain(|sampled| sampled.id != *id);
        self.last = self.last.filter(|last| last.id != *id);
    }

    /// Reads the last object and the sample.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotStored`] if one of them is not what was stored.
    pub(super) fn read_back(&self, session: &Session) -> Result<(), SessionError> {
        let sample = self.sample.iter().filter(|stored| Some(**stored) != self.last);
        let stored: Vec<_> = self.last.iter().chain(sample).copied().collect();
        match read(session, &stored) {
            Ok(()) => Ok(()),
            Err(error) if error.is_damage() => Err(SessionError::NotStored(error)),
            Err(error) => {
                // The commit was made and acknowledged; whoever cannot be asked is not a liar.
                warn!("what was stored could not be read back: {}", error_text(&error));
                Ok(())
            }
        }
    }

    /// A number that nobody knows before. Marsaglia's xorshift, from a random beginning.
    fn draw(&mut self) -> Result<u64, SessionError> {
        if self.random == 0 {
            let mut seed = [0; 8];
            random::fill(&mut seed)?;
            self.random = u64::from_le_bytes(seed) | 1;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Ok(self.random)
    }
}

/// Reads objects and checks them, until one is not what it should be.
fn read(session: &Session, stored: &[StoredObject]) -> Result<(), ObjectError> {
    let (repository, key) = (session.repository(), session.key());
    repository.will_read(&mut stored.iter().map(|stored| stored.id.into()));
    let (places, failed) = (AtomicUsize::new(0), Mutex::new(None::<ObjectError>));
    let failed_now = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || stored.get(places.fetch_add(1, Ordering::Relaxed)).filter(|_| failed_now().is_none());
    let fail = |error: ObjectError| {
        // What came is looked at all the same, and damage is worth more than silence.
        let mut failed = failed_now();
        if failed.as_ref().is_none_or(|before| error.is_damage() && !before.is_damage()) {
            *failed = Some(error);
        }
    };
    let work = || {
        if let Some(begun) = key.mac_digester() {
            return prove_several(repository, key, &begun, || next().copied(), fail);
        }
        // Without MACs, an object is what was stored if its chunk is what its id says.
        let next = |_| next().map(|stored| WantedChunk { purpose: (), id: stored.id, size: None });
        let each = |(), _, chunk: ReadChunk| chunk.err().into_iter().for_each(fail);
        ChunkReader::new(repository, key).read_several(next, each);
    };
    let others = default_workers().min(stored.len() / WORTH_A_THREAD).saturating_sub(1);
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// From how many objects for each on it pays to read with several threads.
const WORTH_A_THREAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_the_same_chance_to_be_read() {
        let mut chosen = [0u32; 10];
        for _ in 0..200 {
            let mut stored = Stored::default();
            for number in 0..1000u32 {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&number.to_le_bytes());
                stored.note(StoredObject { id: ChunkId(id), mac: [0; 32] }).unwrap();
            }
            assert_eq!(stored.sample.len(), SAMPLE);
            for StoredObject { id, .. } in &stored.sample {
                chosen[u32::from_le_bytes(id.0[..4].try_into().unwrap()) as usize / 100] += 1;
            }
        }
        // 640 each; one in 10^20 such tests is this far off.
        assert!(chosen.iter().all(|count| (400..900).contains(count)), "{chosen:?}");
    }

    /// As when one run stores a chunk, deletes it, and stores it again, or stores it twice in two ways.
    #[test]
    fn what_was_stored_twice_is_what_was_stored_last() {
        let object = |number: u8, mac| StoredObject { id: ChunkId([number; 32]), mac: [mac; 32] };
        let mut stored = Stored::default();
        for noted in [object(1, 1), object(2, 1), object(1, 2)] {
            stored.note(noted).unwrap();
        }
        assert_eq!((stored.last, &stored.sample[..]), (Some(object(1, 2)), &[object(1, 2), object(2, 1)][..]));
        stored.forget(&ChunkId([1; 32]));
        assert_eq!((stored.last, &stored.sample[..]), (None, &[object(2, 1)][..]));
    }
}
