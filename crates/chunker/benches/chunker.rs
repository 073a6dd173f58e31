//! How fast a stream is cut: `cargo bench -p worldkeeper-chunker`.

use std::time::{Duration, Instant};

use worldkeeper_chunker::{Chunker, ChunkerParams, Instructions};

fn main() {
    // In cache, as bytes are that were just read, and out of it.
    for mib in [8, 64] {
        let bytes = noise(mib << 20);
        for params in [ChunkerParams::DEFAULT, ChunkerParams::ITEMS] {
            for instructions in Instructions::ALL.into_iter().filter(|instructions| instructions.are_available()) {
                let mut chunker = Chunker::new(&params, 0x1234_5678).with(instructions);
                let (rate, chunks) = measure(&mut chunker, &bytes, 800 / mib);
                println!("{mib} MiB, {params}, {instructions}: {rate:.2} GB/s, {chunks} chunks");
            }
        }
    }
}

/// The best of so many rounds, in GB/s, and the number of chunks.
fn measure(chunker: &mut Chunker, bytes: &[u8], rounds: usize) -> (f64, usize) {
    let mut best = Duration::MAX;
    let mut chunks = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        let mut rest = bytes;
        chunks = 0;
        while let Some(cut) = chunker.next_cut(rest, true) {
            rest = &rest[cut..];
            chunks += 1;
        }
        best = best.min(start.elapsed());
    }
    (bytes.len() as f64 / best.as_secs_f64() / 1e9, chunks)
}

/// Bytes without any pattern (xorshift64), as compressed world data is.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len / 8).flatten().collect()
}
