use std::sync::Arc;

use tempfile::TempDir;
use worldkeeper_compress::Decompressor;
use worldkeeper_core::{Disk, RepositoryId};
use worldkeeper_crypto::{Awaited, EncryptionMode};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::memory_repository::MemoryRepository;

use super::*;
use crate::objects::MAX_CHUNK_SIZE;
use crate::state::StateDir;

/// What a sealer needs.
struct Bench {
    repository: MemoryRepository,
    state: RepositoryState,
    key: Key,
    nonces: Nonces,
    _folder: TempDir,
}

impl Bench {
    fn new(mode: EncryptionMode) -> Self {
        let folder = TempDir::new().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let id = RepositoryId([1; 32]);
        let state = StateDir::open(disk, folder.path(), "test").unwrap().repository(id);
        let key = random::with(|random| Key::generate(mode, id, random)).unwrap();
        Self { repository: MemoryRepository::new(1), state, key, nonces: Nonces::new(None), _folder: folder }
    }

    fn sealer(&self, compression: &str, how: Verify) -> ChunkSealer<'_> {
        let compression = compression.parse().unwrap();
        ChunkSealer::new(&self.repository, &self.state, &self.key, &self.nonces, compression).verified(how)
    }
}

/// Where a bit flips.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Named,
    Compressed,
    Sealed,
}

/// Seals a chunk while memory flips the bit `at` (taken modulo what there is) after a stage, `times` times.
fn seal_with_flips(
    bench: &Bench,
    sealer: &mut ChunkSealer<'_>,
    chunk: &[u8],
    stage: Stage,
    at: usize,
    times: usize,
) -> Result<Bytes, SessionError> {
    let mut left = times;
    let mut flip = |stage_now: Stage, bytes: &mut [u8]| {
        if stage_now == stage && left > 0 {
            left -= 1;
            let bit = at % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    };
    let id = bench.key.id_hash(chunk);
    let mut chunk = chunk.to_vec();
    flip(Stage::Named, &mut chunk);
    let overhead = bench.key.overhead();
    let mut make = |sealer: &mut ChunkSealer<'_>| {
        let mut unfinished = sealer.begin(&chunk)?;
        // A bit of what is encrypted is the same bit of the payload.
        flip(Stage::Compressed, &mut unfinished.object[overhead..]);
        Awaited::go_on(unfinished.digests(), 1, usize::MAX);
        let mut sealed = sealer.complete(unfinished);
        flip(Stage::Sealed, &mut sealed.object);
        Ok(sealed)
    };
    let sealed = make(sealer)?;
    sealer.checked_or(sealed, Some(&id), &chunk, make)
}

const MODES: [EncryptionMode; 3] =
    [EncryptionMode::None, EncryptionMode::AuthenticatedBlake2, EncryptionMode::RepokeyBlake2];
const COMPRESSIONS: [&str; 5] = ["none", "lz4", "zstd,3", "zlib,6", "auto,lzma,6"];

/// Chunks that compress, that do not, and the shortest.
fn chunks() -> [Vec<u8>; 3] {
    [b"a world of its own ".repeat(40), sha_stream("incompressible", 700), vec![7]]
}

#[test]
fn gate_a_flipped_bit_never_leaves_and_the_object_is_made_again() {
    let seed = gate::seed() as usize;
    let samples = gate::amount(16, 2_000);
    for mode in MODES {
        let bench = Bench::new(mode);
        for compression in COMPRESSIONS {
            let mut sealer = bench.sealer(compression, Verify::On);
            for (number, chunk) in chunks().iter().enumerate() {
                for stage in [Stage::Compressed, Stage::Sealed] {
                    for sample in 0..samples {
                        let at = seed.wrapping_add(sample.wrapping_mul(7919));
                        let case = format!("seed {seed}, {mode}, {compression}, chunk {number}, {stage:?}, bit {at}");
                        let healed = seal_with_flips(&bench, &mut sealer, chunk, stage, at, 1).unwrap();
                        let opened = bench.key.open(&healed).unwrap();
                        let data = Decompressor::new().decompress(&opened, None, MAX_CHUNK_SIZE).unwrap();
                        assert!(data == *chunk, "{case}");
                        let twice = seal_with_flips(&bench, &mut sealer, chunk, stage, at, 2);
                        match twice {
                            Err(SessionError::Encoding(_)) => {}
                            Err(error) => panic!("{case}: {error}"),
                            // Some bits mean nothing, but under a MAC: then what comes out is right all the same.
                            Ok(object) => {
                                let has_mac = mode == EncryptionMode::RepokeyBlake2;
                                assert!(stage == Stage::Compressed || !has_mac, "{case}");
                                let opened = bench.key.open(&object).unwrap_or_else(|error| panic!("{case}: {error}"));
                                let data = Decompressor::new().decompress(&opened, None, MAX_CHUNK_SIZE);
                                assert!(data.is_ok_and(|data| data == *chunk), "{case}: what left is another chunk");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_bit_that_flips_after_the_chunk_was_named_is_found_by_the_full_check() {
    for mode in MODES {
        let bench = Bench::new(mode);
        let mut sealer = bench.sealer("lz4", Verify::Full);
        for chunk in chunks() {
            for at in [0, 77, 5_000] {
                let sealed = seal_with_flips(&bench, &mut sealer, &chunk, Stage::Named, at, 1);
                assert!(matches!(sealed, Err(SessionError::Encoding(_))), "{mode}, bit {at}: {sealed:?}");
            }
        }
    }
}

#[test]
fn what_is_not_checked_is_stored_as_it_is() {
    let bench = Bench::new(EncryptionMode::RepokeyBlake2);
    let mut sealer = bench.sealer("none", Verify::Off);
    let object = seal_with_flips(&bench, &mut sealer, b"content", Stage::Sealed, 300, 1).unwrap();
    assert!(bench.key.open(&object).is_err());
}
