//! The compression function for one stream, in safe and portable code: what every other one is held against.

use super::{BLOCK_LEN, INITIAL, SIGMA};

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
    // Each round in its own words: the compiler needs to see which of the block's they mix in.
    round(&mut v, &m, &SIGMA[0]);
    round(&mut v, &m, &SIGMA[1]);
    round(&mut v, &m, &SIGMA[2]);
    round(&mut v, &m, &SIGMA[3]);
    round(&mut v, &m, &SIGMA[4]);
    round(&mut v, &m, &SIGMA[5]);
    round(&mut v, &m, &SIGMA[6]);
    round(&mut v, &m, &SIGMA[7]);
    round(&mut v, &m, &SIGMA[8]);
    round(&mut v, &m, &SIGMA[9]);
    round(&mut v, &m, &SIGMA[10]);
    round(&mut v, &m, &SIGMA[11]);
    for (i, word) in state.iter_mut().enumerate() {
        *word ^= v[i] ^ v[i + 8];
    }
}

#[expect(clippy::inline_always, reason = "the indices must be known where it is used")]
#[inline(always)]
fn round(v: &mut [u64; 16], m: &[u64; 16], s: &[usize; 16]) {
    mix(v, [0, 4, 8, 12], m[s[0]], m[s[1]]);
    mix(v, [1, 5, 9, 13], m[s[2]], m[s[3]]);
    mix(v, [2, 6, 10, 14], m[s[4]], m[s[5]]);
    mix(v, [3, 7, 11, 15], m[s[6]], m[s[7]]);
    mix(v, [0, 5, 10, 15], m[s[8]], m[s[9]]);
    mix(v, [1, 6, 11, 12], m[s[10]], m[s[11]]);
    mix(v, [2, 7, 8, 13], m[s[12]], m[s[13]]);
    mix(v, [3, 4, 9, 14], m[s[14]], m[s[15]]);
}

#[expect(clippy::inline_always, reason = "the indices must be known where it is used")]
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
