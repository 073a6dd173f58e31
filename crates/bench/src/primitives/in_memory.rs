//! The parts that need no file: cutting, naming, sealing and opening, compressing, check sums.

use std::convert::Infallible;
use std::hint::black_box;

use anyhow::ensure;
use worldkeeper_chunker::{Chunker, ChunkerParams, Instructions};
use worldkeeper_compress::{Compression, Compressor, Decompressor};
use worldkeeper_core::RepositoryId;
use worldkeeper_crypto::{EncryptionMode, Key, bench_digest_all};

use super::{Part, Rounds};
use crate::corpus::{Noise, Text};

/// The chunker, for every parameter set and all instructions that the machine has. Blocks of a fixed length are cut without
/// a look at any byte.
pub(super) fn cut(rounds: &Rounds<'_>) -> anyhow::Result<Vec<Part>> {
    let bytes = Noise::new(1).bytes(rounds.working_set);
    let mut parts = Vec::new();
    for params in ["19,23,21,4095", "15,19,17,4095", "12,20,16,4095"] {
        let params: ChunkerParams = params.parse()?;
        for instructions in Instructions::ALL.into_iter().rev().filter(|instructions| instructions.are_available()) {
            let chunker = Chunker::new(&params, SEED).with(instructions);
            parts.push(Part::new("cut", format!("{params}, {instructions}"), cut_with(rounds, chunker, &bytes)?));
        }
    }
    Ok(parts)
}

/// The chunker as it is by default.
pub(super) fn default_cut(rounds: &Rounds<'_>) -> anyhow::Result<f64> {
    let bytes = Noise::new(1).bytes(rounds.working_set);
    cut_with(rounds, Chunker::new(&ChunkerParams::DEFAULT, SEED), &bytes)
}

/// Of the chunker's table; any would do.
const SEED: i32 = 0x1234_5678;

fn cut_with(rounds: &Rounds<'_>, mut chunker: Chunker, bytes: &[u8]) -> anyhow::Result<f64> {
    rounds.best(bytes.len(), || {
        let mut rest = bytes;
        while let Some(cut) = chunker.next_cut(rest, true) {
            rest = &rest[cut..];
        }
        Ok(())
    })
}

/// Ids of chunks: one after the other, and in every way to make several side by side.
pub(super) fn digest(rounds: &Rounds<'_>) -> anyhow::Result<Vec<Part>> {
    let bytes = Noise::new(2).bytes(rounds.working_set);
    let chunks: Vec<_> = bytes.chunks_exact(rounds.chunk()).collect();
    let mut parts = Vec::new();
    for (mode, name) in [(EncryptionMode::RepokeyBlake2, "BLAKE2b-256"), (EncryptionMode::Repokey, "HMAC-SHA256")] {
        let key = key(mode);
        let one = rounds.best(bytes.len(), || {
            for chunk in &chunks {
                black_box(key.id_hash(chunk));
            }
            Ok(())
        })?;
        parts.push(Part::new("id", format!("{name}, one stream"), one));
    }
    for (way, ns) in side_by_side(rounds, &chunks)? {
        parts.push(Part::new("id", format!("BLAKE2b-256 side by side, {way}"), ns));
    }
    Ok(parts)
}

/// An id as the default mode makes it, in the best way.
pub(super) fn best_id(rounds: &Rounds<'_>) -> anyhow::Result<f64> {
    let bytes = Noise::new(2).bytes(rounds.working_set);
    let chunks: Vec<_> = bytes.chunks_exact(rounds.chunk()).collect();
    let digester = key(EncryptionMode::RepokeyBlake2).id_digester();
    rounds.best(bytes.len(), || {
        black_box(digester.digest_all(&chunks));
        Ok(())
    })
}

fn side_by_side(rounds: &Rounds<'_>, chunks: &[&[u8]]) -> anyhow::Result<Vec<(String, f64)>> {
    let bytes = chunks.iter().map(|chunk| chunk.len()).sum();
    let mut ways = Vec::new();
    bench_digest_all(&key(EncryptionMode::RepokeyBlake2).id_digester(), chunks, |way, work| {
        let ns = rounds.best(bytes, || {
            work();
            Ok(())
        });
        ways.push(ns.map(|ns| (way.to_owned(), ns)));
    });
    ways.into_iter().collect()
}

/// Sealing and opening: in the default mode as a backup does it, and in one step.
pub(super) fn seal(rounds: &Rounds<'_>) -> anyhow::Result<Vec<Part>> {
    let (encrypt, mac, compare) = seal_in_steps(rounds)?;
    let mut parts = vec![
        Part::new("seal", "AES-256-CTR", encrypt),
        Part::new("seal", "MAC, BLAKE2b-256 side by side", mac),
        Part::new("seal", "both", encrypt + mac),
        Part::new("open", "AES-256-CTR, compared with the plaintext", compare),
    ];
    for mode in [EncryptionMode::RepokeyBlake2, EncryptionMode::Repokey] {
        let key = key(mode);
        let chunk = Noise::new(3).bytes(rounds.chunk());
        let mut object = vec![0; key.overhead() + chunk.len()];
        key.encrypt_from(0, &[&chunk], &mut object);
        let seal = rounds.best(chunk.len(), || {
            key.seal(0, black_box(&mut object));
            Ok(())
        })?;
        parts.push(Part::new("seal", format!("{mode}, one after the other"), seal));
        let mut payload = Vec::new();
        let open = rounds.best(chunk.len(), || Ok(key.open_into(black_box(&object), &mut payload)?))?;
        parts.push(Part::new("open", format!("{mode}, one after the other"), open));
    }
    parts.sort_by_key(|part| part.name != "seal");
    Ok(parts)
}

/// What encryption, a MAC, and a decryption that compares cost for each byte, many chunks at once.
pub(super) fn seal_in_steps(rounds: &Rounds<'_>) -> anyhow::Result<(f64, f64, f64)> {
    let key = key(EncryptionMode::RepokeyBlake2);
    let bytes = Noise::new(3).bytes(rounds.working_set);
    let chunks: Vec<_> = bytes.chunks_exact(rounds.chunk()).collect();
    let mut objects: Vec<_> = chunks.iter().map(|chunk| vec![0; key.overhead() + chunk.len()]).collect();
    let encrypt = rounds.best(bytes.len(), || {
        for (chunk, object) in chunks.iter().zip(&mut objects) {
            key.encrypt_from(0, &[chunk], object);
        }
        Ok(())
    })?;
    let inputs: Vec<_> = objects.iter().map(|object| Key::mac_input(object)).collect();
    let digester = key.mac_digester().unwrap_or_else(|| key.id_digester());
    let mac = rounds.best(bytes.len(), || {
        black_box(digester.digest_all(&inputs));
        Ok(())
    })?;
    let compare = rounds.best(bytes.len(), || {
        let is_same = chunks.iter().zip(&objects).all(|(chunk, object)| key.decrypts_to(object, &[chunk]));
        ensure!(is_same, "what was encrypted does not decrypt");
        Ok(())
    })?;
    Ok((encrypt, mac, compare))
}

/// Compressors there and back, of noise and of text.
pub(super) fn compress(rounds: &Rounds<'_>) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    // The slow ones need no more to be measured.
    let len = rounds.working_set / 8;
    for (name, bytes) in [("noise", Noise::new(4).bytes(len)), ("text", Text::new(4).bytes(len))] {
        for spec in ["lz4", "zstd,3", "zlib,6"] {
            let (there, back, percent) = there_and_back(rounds, &bytes, spec)?;
            parts.push(Part::new("compress", format!("{spec} on {name}, to {percent:.0} %"), there));
            parts.push(Part::new("decompress", format!("{spec} on {name}"), back));
        }
    }
    parts.sort_by_key(|part| part.name != "compress");
    Ok(parts)
}

/// What the default compressor costs for each byte that it can do nothing about.
pub(super) fn lz4_of_noise(rounds: &Rounds<'_>) -> anyhow::Result<f64> {
    let bytes = Noise::new(4).bytes(rounds.working_set);
    let mut compressor = Compressor::new("lz4".parse::<Compression>()?, not_random);
    rounds.best(bytes.len(), || {
        for chunk in bytes.chunks(rounds.chunk()) {
            let Ok(payload) = compressor.payload(chunk);
            black_box(payload.len());
        }
        Ok(())
    })
}

fn there_and_back(rounds: &Rounds<'_>, bytes: &[u8], spec: &str) -> anyhow::Result<(f64, f64, f64)> {
    let mut compressor = Compressor::new(spec.parse::<Compression>()?, not_random);
    let chunk = rounds.chunk();
    let mut payloads = vec![Vec::new(); bytes.len().div_ceil(chunk)];
    let there = rounds.best(bytes.len(), || {
        for (chunk, payload) in bytes.chunks(chunk).zip(&mut payloads) {
            payload.clear();
            let Ok(()) = compressor.compress(chunk, payload);
        }
        Ok(())
    })?;
    let (mut decompressor, mut data) = (Decompressor::new(), Vec::new());
    let back = rounds.best(bytes.len(), || {
        for payload in &payloads {
            decompressor.decompress_into(payload, &mut data, Some(chunk), chunk)?;
        }
        Ok(())
    })?;
    let stored: usize = payloads.iter().map(Vec::len).sum();
    Ok((there, back, stored as f64 * 100.0 / bytes.len() as f64))
}

/// None of what is measured asks for randomness.
#[expect(clippy::unnecessary_wraps, reason = "a source of randomness may fail")]
fn not_random(_: &mut [u8]) -> Result<(), Infallible> {
    Ok(())
}

/// The check sum of an entry of a segment.
pub(super) fn crc(rounds: &Rounds<'_>) -> anyhow::Result<Vec<Part>> {
    Ok(vec![Part::new("check sum", "CRC-32", crc_of_noise(rounds)?)])
}

pub(super) fn crc_of_noise(rounds: &Rounds<'_>) -> anyhow::Result<f64> {
    let bytes = Noise::new(5).bytes(rounds.working_set);
    rounds.best(bytes.len(), || {
        bytes.chunks(rounds.chunk()).for_each(|chunk| _ = black_box(crc32fast::hash(chunk)));
        Ok(())
    })
}

fn key(mode: EncryptionMode) -> Key {
    Key::generate(mode, RepositoryId([1; 32]), &mut |bytes| bytes.fill(0x5a))
}
