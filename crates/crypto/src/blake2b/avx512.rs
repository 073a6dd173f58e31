//! Eight streams side by side, with AVX-512.

#![expect(
    unsafe_code,
    reason = "vectors are loaded and stored by pointer; measured 4.7 times as fast as one stream after the other"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_ror_epi64, _mm512_set1_epi64, _mm512_shuffle_i64x2,
    _mm512_storeu_si512, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::dealer::{Kernel, States};
use super::{BLOCK_LEN, INITIAL};

/// Proof that the machine has AVX-512.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        std::is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Kernel<8> for Avx512 {
    const WORTHWHILE: usize = 2;

    fn compress(self, states: &mut States<8>, blocks: &[&[u8]; 8]) {
        // SAFETY: whoever has `self` has seen that the machine has the feature.
        unsafe { compress(states, blocks) }
    }
}

#[target_feature(enable = "avx512f")]
fn compress(states: &mut States<8>, blocks: &[&[u8]; 8]) {
    let blocks = blocks.map(|blocks| blocks.as_chunks::<BLOCK_LEN>().0);
    let mut h = [_mm512_set1_epi64(0); 8];
    for (h, words) in h.iter_mut().zip(&states.words) {
        *h = load(words);
    }
    let mut counter = load(&states.counters);
    let marks = load(&states.marks);
    for at in 0..blocks[0].len() {
        counter = _mm512_add_epi64(counter, _mm512_set1_epi64(BLOCK_LEN as i64));
        compress_blocks(&mut h, counter, marks, blocks.map(|blocks| &blocks[at]));
    }
    for (h, words) in h.iter().zip(&mut states.words) {
        store(words, *h);
    }
    store(&mut states.counters, counter);
}

#[target_feature(enable = "avx512f")]
#[inline]
fn compress_blocks(h: &mut [__m512i; 8], counter: __m512i, marks: __m512i, blocks: [&[u8; BLOCK_LEN]; 8]) {
    let mut m = [_mm512_set1_epi64(0); 16];
    for (half, words) in m.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut lanes = [_mm512_set1_epi64(0); 8];
        for (lane, block) in lanes.iter_mut().zip(blocks) {
            *lane = load_bytes(&block.as_chunks().0[half]);
        }
        *words = transposed(&lanes);
    }
    let mut v = [_mm512_set1_epi64(0); 16];
    v[..8].copy_from_slice(h);
    for (v, word) in v[8..].iter_mut().zip(INITIAL) {
        *v = _mm512_set1_epi64(word as i64);
    }
    v[12] = _mm512_xor_si512(v[12], counter);
    v[14] = _mm512_xor_si512(v[14], marks);
    rounds!(mix(&mut v, m));
    for (i, h) in h.iter_mut().enumerate() {
        *h = _mm512_xor_si512(*h, _mm512_xor_si512(v[i], v[i + 8]));
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn mix(words: &mut [__m512i; 16], [a, b, c, d]: [usize; 4], first: __m512i, second: __m512i) {
    words[a] = _mm512_add_epi64(_mm512_add_epi64(words[a], words[b]), first);
    words[d] = _mm512_ror_epi64::<32>(_mm512_xor_si512(words[d], words[a]));
    words[c] = _mm512_add_epi64(words[c], words[d]);
    words[b] = _mm512_ror_epi64::<24>(_mm512_xor_si512(words[b], words[c]));
    words[a] = _mm512_add_epi64(_mm512_add_epi64(words[a], words[b]), second);
    words[d] = _mm512_ror_epi64::<16>(_mm512_xor_si512(words[d], words[a]));
    words[c] = _mm512_add_epi64(words[c], words[d]);
    words[b] = _mm512_ror_epi64::<63>(_mm512_xor_si512(words[b], words[c]));
}

/// From eight words of each lane to eight lanes of each word.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(lanes: &[__m512i; 8]) -> [__m512i; 8] {
    // Of two lanes each, the even words and the odd ones.
    let even = [
        _mm512_unpacklo_epi64(lanes[0], lanes[1]),
        _mm512_unpacklo_epi64(lanes[2], lanes[3]),
        _mm512_unpacklo_epi64(lanes[4], lanes[5]),
        _mm512_unpacklo_epi64(lanes[6], lanes[7]),
    ];
    let odd = [
        _mm512_unpackhi_epi64(lanes[0], lanes[1]),
        _mm512_unpackhi_epi64(lanes[2], lanes[3]),
        _mm512_unpackhi_epi64(lanes[4], lanes[5]),
        _mm512_unpackhi_epi64(lanes[6], lanes[7]),
    ];
    let ([w0, w2, w4, w6], [w1, w3, w5, w7]) = (of_pairs(&even), of_pairs(&odd));
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// From four pairs of each vector to four vectors of each pair.
#[target_feature(enable = "avx512f")]
#[inline]
fn of_pairs(vectors: &[__m512i; 4]) -> [__m512i; 4] {
    let [k, l, m, n] = *vectors;
    let low = [_mm512_shuffle_i64x2::<0b01_00_01_00>(k, l), _mm512_shuffle_i64x2::<0b01_00_01_00>(m, n)];
    let high = [_mm512_shuffle_i64x2::<0b11_10_11_10>(k, l), _mm512_shuffle_i64x2::<0b11_10_11_10>(m, n)];
    [
        _mm512_shuffle_i64x2::<0b10_00_10_00>(low[0], low[1]),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(low[0], low[1]),
        _mm512_shuffle_i64x2::<0b10_00_10_00>(high[0], high[1]),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(high[0], high[1]),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: these are 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_bytes(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: these are 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(words: &mut [u64; 8], vector: __m512i) {
    // SAFETY: these are 64 bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}
