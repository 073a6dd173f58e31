//! How fast chunks are compressed and given back: `cargo bench -p worldkeeper-compress`.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use worldkeeper_compress::{Compression, Compressor, Decompressor};

/// The average chunk of borg's default chunker, in bytes.
const CHUNK: usize = 2 << 20;

fn main() {
    for (name, bytes) in [("records", records(64 << 20)), ("noise", noise(64 << 20))] {
        for spec in ["none", "lz4", "zstd,1", "zstd,3", "auto,zstd,3", "zlib,6"] {
            let mut compressor = Compressor::new(spec.parse::<Compression>().expect("one of borg's"), not_random);
            let mut payloads: Vec<Vec<u8>> = vec![Vec::new(); bytes.len() / CHUNK];
            let compress = rate(bytes.len(), || {
                for (chunk, payload) in bytes.chunks_exact(CHUNK).zip(&mut payloads) {
                    payload.clear();
                    let Ok(()) = compressor.compress(chunk, payload);
                }
            });
            let stored: usize = payloads.iter().map(Vec::len).sum();

            let mut decompressor = Decompressor::new();
            let mut out = Vec::new();
            let mut decompress = |hint| {
                rate(bytes.len(), || {
                    for payload in &payloads {
                        decompressor.decompress_into(payload, &mut out, hint, 4 * CHUNK).expect("we wrote it");
                    }
                })
            };
            println!(
                "{name:8} {spec:11} to {:3} %: {compress:6.2} GB/s, back {:6.2} GB/s, back without a hint {:6.2} GB/s",
                100 * stored / bytes.len(),
                decompress(Some(CHUNK)),
                decompress(None),
            );
        }
    }
}

/// Bytes per second in units of 10^9: the best of five runs.
fn rate(bytes: usize, mut run: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    bytes as f64 / best.as_secs_f64() / 1e9
}

/// None of what is measured asks for randomness.
#[expect(clippy::unnecessary_wraps, reason = "a source of randomness may fail")]
fn not_random(_: &mut [u8]) -> Result<(), Infallible> {
    Ok(())
}

/// Bytes without any pattern (xorshift64), as compressed world data is.
fn noise(len: usize) -> Vec<u8> {
    words().take(len / 8).flat_map(u64::to_le_bytes).collect()
}

/// Small records of a few kinds with some random fields, as uncompressed game data is.
fn records(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut words = words();
    while bytes.len() < len {
        let word = words.next().unwrap_or_default();
        bytes.extend_from_slice(format!("minecraft:block_{};", word % 40).as_bytes());
        bytes.extend_from_slice(&(word >> 32).to_be_bytes());
        bytes.resize(bytes.len() + (word >> 20) as usize % 24, 0);
    }
    bytes.truncate(len);
    bytes
}

fn words() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}
