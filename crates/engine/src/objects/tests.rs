//! Whoever reads several chunks at a time is told of each what it would be told alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, select};
use worldkeeper_compress::Compressor;
use worldkeeper_core::{RepositoryId, error_text};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::memory_repository::MemoryRepository;

use super::*;
use crate::pipeline::Closed;
use crate::random;

/// What a reader says of a chunk, for comparing.
type Said = Result<(u32, Vec<u8>), String>;

fn said<B: Into<Vec<u8>>>(read: Result<(u32, B), ObjectError>) -> Said {
    read.map(|(csize, chunk)| (csize, chunk.into())).map_err(|error| format!("{error}: {}", error_text(&error.source)))
}

/// Chunks of all sizes, whole and damaged.
struct Chunks {
    key: Key,
    repository: MemoryRepository,
    wanted: Vec<(ChunkId, Option<u32>)>,
    /// What each of them alone is told.
    expected: Vec<Said>,
}

impl Chunks {
    fn new(mode: EncryptionMode) -> Self {
        // Together more than is at hand at a time; of those behind the third large one most are damaged.
        let sizes = [0, 1, 500, 70_000, 7 << 20, 7 << 20, 3, 7 << 20, 200, 200, 200, 200, 200, 200, 200];
        let compressed =
            ["lz4", "zstd,3", "zlib,6", "lzma,0", "obfuscate,118,lz4", "obfuscate,2,none", "lz4", "zstd,3"];
        let all = sizes.map(|len| (len, "none")).into_iter();
        let all = all.chain(compressed.map(|compression| (300_000, compression))).chain([(40_000, "lz4")]);
        let key = random::with(|random| Key::generate(mode, RepositoryId([1; 32]), random)).unwrap();
        let repository = MemoryRepository::new(1);
        let mut wanted = Vec::new();
        for (number, (len, compression)) in (0_u64..).zip(all) {
            let mut chunk = sha_stream(&format!("{number}"), len);
            if compression != "none" {
                chunk[len / 3..].fill(0);
            }
            let id = key.id_hash(&chunk);
            let mut object = vec![0; key.overhead()];
            Compressor::new(compression.parse().unwrap(), random::fill as random::Fill)
                .compress(&chunk, &mut object)
                .unwrap();
            match number {
                8 => object[key.overhead()] = 0xee,
                9 => *object.last_mut().unwrap() ^= 1,
                _ => {}
            }
            key.seal(number << 32, &mut object);
            match number {
                10 => *object.last_mut().unwrap() ^= 1,
                11 => object.truncate(3),
                12 => object[0] ^= 0x55,
                _ => {}
            }
            if number != 13 {
                repository.store().objects.insert(id, object.into());
            }
            // Of some the size is not known, of some a wrong one is.
            let size = [Some(len), None, Some(len), Some(len + 1), Some(len.saturating_sub(1))][number as usize % 5];
            wanted.push((id, size.map(|size| size as u32)));
        }
        let mut alone = ChunkReader::new(&repository, &key);
        let expected: Vec<_> = wanted.iter().map(|(id, size)| said(alone.read_with_csize(id, *size))).collect();
        assert_eq!(expected.iter().filter(|read| read.is_err()).count(), 6, "{mode}: all that were damaged");
        Self { key, repository, wanted, expected }
    }

    fn reader(&self, buffers: &Arc<Buffers>) -> ChunkReader<'_> {
        ChunkReader::new(&self.repository, &self.key).with_buffers(buffers)
    }

    fn wanted<T>(&self, place: usize, purpose: T) -> WantedChunk<T> {
        let (id, size) = self.wanted[place];
        WantedChunk { purpose, id, size }
    }

    fn expect(&self, told: BTreeMap<usize, Said>, places: Range<usize>) {
        let mode = self.key.mode();
        assert!(told.keys().copied().eq(places), "{mode}: each that was asked for, and no other");
        for (place, told) in told {
            assert!(told == self.expected[place], "{mode}, {place}: it is told what it is told alone");
        }
    }
}

#[test]
fn several_at_a_time_are_told_what_each_alone_is_told() {
    for mode in EncryptionMode::ALL {
        let chunks = Chunks::new(mode);
        let size = chunks.wanted.len();
        // Memory that is used again holds what was there before.
        let buffers = Buffers::new(16 << 20);
        let orders = [(0..size, false), (8..size, true), (0..8, true), (4..5, false), (0..0, true)];
        for (places, comes_late) in orders {
            let (mut told, mut coming, mut turn) = (BTreeMap::new(), places.clone(), 0);
            let next = |is_busy: bool| {
                turn += 1;
                let is_there = !comes_late || !is_busy || turn % 3 > 0;
                let place = if is_there { coming.next() } else { None };
                place.map(|place| chunks.wanted(place, place))
            };
            chunks.reader(&buffers).read_several(next, |place, id, read| {
                assert_eq!(id, chunks.wanted[place].0);
                assert_eq!(told.insert(place, said(read)), None, "{mode}: it is told once");
            });
            chunks.expect(told, places);
        }
    }
}

#[test]
fn readers_that_share_what_they_read_are_told_what_each_alone_is_told() {
    for mode in EncryptionMode::ALL {
        let chunks = Chunks::new(mode);
        let buffers = Buffers::new(16 << 20);
        let size = chunks.wanted.len();
        for (readers, places) in [(1, 0..size), (2, 0..size), (3, 3..8), (2, 0..0)] {
            let told = Mutex::new(BTreeMap::new());
            let each = |place: usize, id, read| {
                assert_eq!(id, chunks.wanted[place].0);
                assert_eq!(told.lock().unwrap().insert(place, said(read)), None, "{mode}: it is told once");
            };
            std::thread::scope(|scope| {
                let (relay, proven, digests) = Relay::new();
                let (begun_in, begun) = crossbeam_channel::unbounded();
                for _ in 0..readers {
                    let (begun, proven, mut reader) = (begun.clone(), proven.clone(), chunks.reader(&buffers));
                    scope.spawn(move || {
                        errands(&begun, &proven).for_each(|errand| errand.run(&mut reader, &mut { each }).unwrap());
                    });
                }
                drop((begun, proven));
                let digester = chunks.reader(&buffers);
                scope.spawn(|| digests.digest(digester, each, || Ok(())));
                for place in places.clone() {
                    begun_in.send(relay.errand(chunks.wanted(place, place))).unwrap();
                }
                drop((relay, begun_in));
            });
            chunks.expect(told.into_inner().unwrap(), places);
        }
    }
}

#[test]
fn what_is_longer_than_it_may_be_waits_for_nobody() {
    for mode in [EncryptionMode::RepokeyBlake2, EncryptionMode::AuthenticatedBlake2] {
        let chunks = Chunks::new(mode);
        let compressed = chunks.wanted.len() - 1;
        // Whether it waits for its MAC, and, where there is none or it is right, for its id.
        for (place, size, waits) in [
            (4, Some(7 << 20), true),
            (4, Some(1 << 20), false),
            (4, None, false),
            (compressed, Some(40_000), true),
            (compressed, Some(30_000), mode.encrypts()),
        ] {
            let (relay, proven, _digests) = Relay::new();
            let (id, _) = chunks.wanted[place];
            let (mut told, mut reader) = (BTreeMap::new(), chunks.reader(&Buffers::new(0)));
            let mut each = |place, _, read| _ = told.insert(place, said(read));
            relay.errand(WantedChunk { purpose: place, id, size }).run(&mut reader, &mut each).unwrap();
            proven.try_iter().for_each(|errand| errand.run(&mut reader, &mut each).unwrap());
            chunks.expect(told, if waits { 0..0 } else { place..place + 1 });
        }
    }
}

/// What a reader has to do, until there is nothing more of either.
fn errands<T>(begun: &Receiver<Errand<T>>, proven: &Receiver<Errand<T>>) -> impl Iterator<Item = Errand<T>> {
    std::iter::from_fn(move || {
        select! {
            recv(begun) -> errand => errand.or_else(|_| proven.recv()).ok(),
            recv(proven) -> errand => errand.or_else(|_| begun.recv()).ok(),
        }
    })
}

#[test]
fn readers_that_share_end_when_one_of_them_does() {
    /// What the thread does that should take digests.
    type Take<'a> = Box<dyn FnOnce(Digests<Arc<()>>, ChunkReader<'_>) + Send + 'a>;

    fn ends(chunks: &Chunks, take: Take<'_>) {
        let (buffers, purpose) = (Buffers::new(16 << 20), Arc::new(()));
        std::thread::scope(|scope| {
            let (relay, proven, digests) = Relay::new();
            let (begun_in, begun) = crossbeam_channel::unbounded();
            for _ in 0..2 {
                let (begun, proven, mut reader) = (begun.clone(), proven.clone(), chunks.reader(&buffers));
                scope.spawn(move || {
                    _ = errands(&begun, &proven).try_for_each(|errand| errand.run(&mut reader, &mut |_, _, _| {}));
                });
            }
            drop((begun, proven));
            let digester = scope.spawn(|| take(digests, chunks.reader(&buffers)));
            for place in (0..chunks.wanted.len()).cycle().take(100) {
                // Sooner or later there may be nobody any more.
                _ = begun_in.send(relay.errand(chunks.wanted(place, Arc::clone(&purpose))));
            }
            drop((relay, begun_in));
            _ = digester.join();
        });
        assert_eq!(Arc::strong_count(&purpose), 1, "nothing is left of what was under way");
    }

    let chunks = Chunks::new(EncryptionMode::RepokeyBlake2);
    let counting = |mut rounds: usize, end: fn() -> Closed| {
        move || {
            rounds = rounds.checked_sub(1).ok_or_else(end)?;
            Ok(())
        }
    };
    let panics = || panic!("the one that takes digests");
    for rounds in [0, 1, 20] {
        for end in [|| Closed, panics] {
            ends(&chunks, Box::new(move |digests, reader| digests.digest(reader, |_, _, _| {}, counting(rounds, end))));
        }
    }
    ends(&chunks, Box::new(|digests, _| drop(digests)));
}
