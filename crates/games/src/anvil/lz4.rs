//! The frames in which Java's LZ4 library writes streams, and Minecraft its chunks of kind 4.
//!
//! | bytes  | field    | encoding | meaning                                                                    |
//! |--------|----------|----------|----------------------------------------------------------------------------|
//! | 0..8   | magic    | text     | `LZ4Block`                                                                 |
//! | 8      | token    | u8       | high half: 1 stored, 2 compressed; low half: log2 of the longest block, - 10 |
//! | 9..13  | length   | u32 LE   | of the bytes that follow                                                   |
//! | 13..17 | inflated | u32 LE   | length of what they make                                                   |
//! | 17..21 | checksum | u32 LE   | XXH32 of what they make, seed `9747b28c`, 28 bits of it                    |
//!
//! The last block is empty: both lengths and the checksum are 0.
//!
//! Source: lz4-java, `LZ4BlockOutputStream.java`, `LZ4BlockInputStream.java`.

use twox_hash::XxHash32;

/// Returns whether a stream ends as it should, all its checksums right. Of one that makes more than `max` bytes, the front
/// has to do.
pub(super) fn is_whole(mut stream: &[u8], max: u64) -> bool {
    let (mut block, mut inflated) = (Vec::new(), 0);
    while inflated <= max {
        let Some(Block { token, len, inflated_len, checksum, rest }) = Block::of(stream) else { return false };
        if (len, inflated_len) == (0, 0) {
            return checksum == 0 && matches!(token >> 4, 1 | 2);
        }
        let is_possible = len > 0 && inflated_len <= 1 << (10 + (token & 0x0f));
        let Some(bytes) = rest.get(..len).filter(|_| is_possible) else { return false };
        let made = match token >> 4 {
            1 if len == inflated_len => bytes,
            2 => {
                block.resize(inflated_len, 0);
                match lz4_flex::block::decompress_into(bytes, &mut block) {
                    Ok(made) if made == inflated_len => &block,
                    _ => return false,
                }
            }
            _ => return false,
        };
        if (XxHash32::oneshot(SEED, made) ^ checksum) & CHECKED != 0 {
            return false;
        }
        inflated += inflated_len as u64;
        stream = &rest[len..];
    }
    true
}

/// What a block begins with.
struct Block<'a> {
    token: u8,
    len: usize,
    inflated_len: usize,
    checksum: u32,
    rest: &'a [u8],
}

impl<'a> Block<'a> {
    fn of(stream: &'a [u8]) -> Option<Self> {
        let (token, rest) = stream.strip_prefix(MAGIC)?.split_first()?;
        let (words, rest) = rest.split_first_chunk::<12>()?;
        let word = |at: usize| u32::from_le_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
        Some(Self { token: *token, len: word(0) as usize, inflated_len: word(4) as usize, checksum: word(8), rest })
    }
}

const MAGIC: &[u8] = b"LZ4Block";
const SEED: u32 = 0x9747_b28c;
const CHECKED: u32 = 0x0fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(token: u8, bytes: &[u8], made: &[u8]) -> Vec<u8> {
        let checksum = if made.is_empty() { 0 } else { XxHash32::oneshot(SEED, made) & CHECKED };
        let words = [bytes.len() as u32, made.len() as u32, checksum];
        [MAGIC, &[token], words.map(u32::to_le_bytes).as_flattened(), bytes].concat()
    }

    #[test]
    fn a_stream_is_whole_with_its_end_alone() {
        let content = b"stone stone stone stone stone stone stone stone stone stone grass".repeat(20);
        let noise: Vec<u8> = (0..=255).collect();
        let stream = [
            block(0x26, &lz4_flex::block::compress(&content), &content),
            block(0x16, &noise, &noise),
            block(0x16, &[], &[]),
        ]
        .concat();
        assert!(is_whole(&stream, 1 << 20));
        assert!(is_whole(&[&stream[..], b"behind it"].concat(), 1 << 20));
        for len in 0..stream.len() {
            assert!(!is_whole(&stream[..len], 1 << 20), "{len}");
        }
        for at in 0..stream.len() {
            // The four highest bits of a checksum do not count.
            let mut stream = stream.clone();
            let is_checksum_end = at.checked_sub(20).is_some_and(|start| stream[start..].starts_with(MAGIC));
            stream[at] ^= 0x80;
            assert!(is_checksum_end || !is_whole(&stream, 1 << 20), "{at}");
        }
        // More than anybody wants to look at.
        assert!(is_whole(&stream[..stream.len() - 21], 1000));
        assert!(!is_whole(&block(0x20, &[0; 9], &[1; 1025]), 1 << 20));
        assert!(!is_whole(&block(0x36, &noise, &noise), 1 << 20));
    }
}
