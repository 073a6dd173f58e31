//! The compression function for one stream, in safe and portable code: what every other one is held against.

use super::{BLOCK_LEN, INITIAL};

/// Compresses whole blocks; `last` marks all of them.
pub(super) fn compress(state: &mut [u64; 8], counter: &mut u64, blocks: &[u8], last: u64) {
    for block in blocks.as_chunks::<BLOCK_LEN>().0 {
        *counter = counter.wrapping_add(BLOCK_LEN as u64);
        compress_block(state, *counter, block, last);
    }
}

fn compress_block(state: &mut [u64; 8], counter: u64, block: &[u8; BLOCK_LEN], last: u64) {
    let mut m = [0; 16];
    for (word, bytes) in m.iter_mut().zip(block.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut v = [0; 16];
    v[..8].copy_from_slice(state);
    v[8..].copy_from_slice(&INITIAL);
    v[12] ^= counter;
    v[14] ^= last;
    rounds!(mix(&mut v, m));
    for (i, word) in state.iter_mut().enumerate() {
        *word ^= v[i] ^ v[i + 8];
    }
}

#[expect(clippy::inline_always, reason = "called, it is half as fast")]
#[inline(always)]
fn mix(words: &mut [u64; 16], [a, b, c, d]: [usize; 4], first: u64, second: u64) {
    words[a] = words[a].wrapping_add(words[b]).wrapping_add(first);
    words[d] = (words[d] ^ words[a]).rotate_right(32);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_right(24);
    words[a] = words[a].wrapping_add(words[b]).wrapping_add(second);
    words[d] = (words[d] ^ words[a]).rotate_right(16);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_right(63);
}
