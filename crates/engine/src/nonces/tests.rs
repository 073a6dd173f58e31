//! No counter value twice, whatever happens between two sealings; and a fault that would use one is noticed.
//!
//! Each life is that of one key: two clients, each with a state directory, seal in turns, are killed, meet disks that
//! fail at any call, lose their state, and are given older copies of the repository. Objects are small, so that there
//! can be many.

use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, RepositoryId};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::disk::{Fault, MemoryDisk};
use worldkeeper_testkit::gate;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::random::Random;

use super::*;
use crate::state::StateDir;

/// A mistake that a client might make one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// The counter stands still, as in tarsnap 1.0.22.
    NoIncrement,
    /// The last block of each object, which is often not full, is not counted.
    LastBlockNotCounted,
    /// What was reserved is forgotten when the client ends.
    NoReservation,
    /// A client without a state, or with an older copy that it was told to accept, takes the repository's word.
    NoLeap,
}

/// One key, and all that is sealed with it.
struct Life {
    planted: Planted,
    random: Random,
    key: Key,
    repository: MemoryRepository,
    /// Older states of the repository, which whoever owns its disk may put back.
    copies: Vec<MemoryRepository>,
    /// The disks of the clients' state directories.
    states: [MemoryDisk; 2],
    /// Whether each of them sees that it is given an older copy, and is told to accept it.
    accepts: [bool; 2],
    leaps: u32,
}

impl Life {
    fn new(planted: Planted, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let key = Key::generate(EncryptionMode::RepokeyBlake2, ID, &mut |bytes| {
            bytes.fill_with(|| random.drawn_from(0..256) as u8);
        });
        let repository = MemoryRepository::new(1);
        Self {
            planted,
            random,
            key,
            repository,
            copies: Vec::new(),
            states: Default::default(),
            accepts: [false; 2],
            leaps: 0,
        }
    }

    /// A client opens the repository, seals some objects and ends in one way or another. Returns how many it sealed.
    fn session(&mut self, objects: Range<u64>) -> usize {
        let client = self.random.drawn_from(0..2) as usize;
        self.something_happens(client);
        let disk = self.states[client].clone();
        let state_dir = StateDir::open(Arc::new(disk.clone()), "/state".as_ref(), "test").unwrap();
        let state = state_dir.repository(ID);
        let (kept_nonce, kept_state) = (self.repository.store().nonce, state.nonce().unwrap().unwrap_or(0));
        let manifest = self.repository.store().objects.get(&ChunkId::MANIFEST).cloned();
        let nonces = Nonces::new(manifest.and_then(|object| self.key.nonce_after(&object)));
        if self.random.one_in(4) {
            let call = self.random.drawn_from(1..12) as usize;
            disk.fail(Some(Fault { call, kind: ErrorKind::Other, for_ever: self.random.one_in(2) }));
        }
        if self.random.one_in(8) {
            let mut store = self.repository.store();
            store.restart_counting();
            store.fail_after = Some(self.random.drawn_from(0..2));
        }
        if self.planted == Planted::NoLeap {
            self.accepts = [false; 2];
            if state.nonce().unwrap().is_none() {
                let _ = state.set_nonce(0);
            }
        }
        let accepted = !self.accepts[client] || nonces.leap(&self.repository, &state).is_ok();
        self.accepts[client] = !accepted;
        let objects = if accepted { self.random.drawn_from(objects) } else { 0 };
        let sealed = self.seal(&nonces, &state, objects);
        disk.fail(None);
        self.repository.store().fail_after = None;
        if self.planted == Planted::NoReservation {
            self.repository.store().nonce = kept_nonce;
            state.set_nonce(kept_state).unwrap();
        }
        sealed
    }

    /// Puts objects until there are enough or one cannot be sealed; the last is the manifest, if it is committed.
    fn seal(&mut self, nonces: &Nonces, state: &RepositoryState, objects: u64) -> usize {
        let mut last = None;
        for number in 0..objects {
            let mut object = vec![0; self.key.overhead()];
            let len = self.random.drawn_from(1..40) as usize;
            object.resize(object.len() + len, self.random.drawn_from(0..256) as u8);
            let Ok(mut nonce) = nonces.take(&self.key, len, &self.repository, state) else { return number as usize };
            match (self.planted, last) {
                (Planted::NoIncrement, Some((before, _))) => nonce = before,
                (Planted::LastBlockNotCounted, Some((before, len))) => nonce = before + self.key.blocks(len) - 1,
                _ => {}
            }
            last = Some((nonce, len));
            self.key.seal(nonce, &mut object);
            let object = Bytes::from(object);
            self.repository.counters().record(&object);
            if number + 1 == objects && !self.random.one_in(3) {
                self.repository.store().objects.insert(ChunkId::MANIFEST, object);
            }
        }
        objects as usize
    }

    /// What a client finds changed since it was here.
    fn something_happens(&mut self, client: usize) {
        let copy = (!self.copies.is_empty() && self.random.one_in(2))
            .then(|| self.copies[self.random.drawn_from(0..self.copies.len() as u64) as usize].snapshot());
        // A key stands 127 leaps at the least, and each of these may mean one for each client.
        if self.leaps < 60 && self.random.one_in(4) {
            self.leaps += 2;
            match copy {
                // With the state of both lost, an older copy cannot be told from the newest.
                Some(copy) if self.random.one_in(2) => (self.repository, self.states) = (copy, Default::default()),
                Some(copy) => (self.repository, self.accepts) = (copy, [true; 2]),
                None => self.states[client] = MemoryDisk::new(),
            }
        }
        if self.random.one_in(3) {
            self.states[client] = self.states[client].after_kill();
        }
        // One that holds a manifest: a repository of which not even that is left is made anew, with another key.
        if self.random.one_in(4) && self.repository.store().objects.contains_key(&ChunkId::MANIFEST) {
            self.copies.push(self.repository.snapshot());
        }
    }
}

const ID: RepositoryId = RepositoryId([1; 32]);

#[test]
fn gate_counter_audit() {
    const OBJECTS_OF_A_KEY: usize = 40_000;
    let mut sealed = 0;
    for number in 0..gate::amount(25, 250) as u64 {
        let seed = gate::seed().wrapping_add(number);
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let mut life = Life::new(Planted::Nothing, seed);
            let mut sealed = 0;
            while sealed < OBJECTS_OF_A_KEY {
                sealed += life.session(1..500);
            }
            assert!(life.leaps > 20 && life.copies.len() > 10, "{} {}", life.leaps, life.copies.len());
            assert_eq!(life.repository.counters().objects(), sealed);
            sealed
        }));
        sealed += lived.unwrap_or_else(|_| panic!("key {number}, TESTS_SEED={seed}"));
    }
    assert!(sealed >= gate::amount(1_000_000, 10_000_000), "{sealed}");
}

#[test]
fn a_client_that_uses_a_value_twice_is_noticed() {
    for planted in [Planted::NoIncrement, Planted::LastBlockNotCounted, Planted::NoReservation, Planted::NoLeap] {
        for seed in 0..20 {
            let lived = catch_unwind(|| {
                let mut life = Life::new(planted, seed);
                (0..100).for_each(|_| _ = life.session(1..50));
            });
            let said = lived.map_err(|panic| *panic.downcast::<String>().unwrap());
            assert!(
                said.as_ref().is_err_and(|said| said.contains("the key is broken")),
                "{planted:?}, {seed}: {said:?}"
            );
        }
    }
}

/// Nobody waits for a reservation often: behind a server one takes two round trips.
#[test]
fn four_gibibytes_are_sealed_with_one_reservation() {
    let life = Life::new(Planted::Nothing, 1);
    let state_dir = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
    let (state, nonces) = (state_dir.repository(ID), Nonces::new(None));
    let take = || nonces.take(&life.key, 8 << 20, &life.repository, &state).unwrap();
    let reserved = || life.repository.store().nonce;
    assert_eq!(take(), 0);
    let first = reserved();
    // What was needed at once, and the margin.
    (0..512).for_each(|_| _ = take());
    assert_eq!(reserved(), first);
    let _ = take();
    assert!(reserved() > first);
}

/// Draws counters and chances.
trait Draw {
    fn drawn_from(&mut self, range: Range<u64>) -> u64;

    fn one_in(&mut self, count: u64) -> bool {
        self.drawn_from(0..count) == 0
    }
}

impl Draw for Random {
    fn drawn_from(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below((range.end - range.start) as usize) as u64
    }
}
