//! BLAKE2b-256 of key ‖ message, as a state that takes its blocks alone or side by side with others.
//!
//! One message is a chain: each block waits for the one before it, and most of a processor's width lies idle. Several
//! messages that have nothing to do with each other fill it. The crates for BLAKE2b keep their states to themselves,
//! hence one of our own, which `plain`, `avx2` and `avx512` can take over from each other at any block. A [`stream`] is what
//! one digest has still to take; the `dealer` gives many of them to the lanes of a kernel, if [`lanes`] found one.
//!
//! Source: RFC 7693.

/// The twelve rounds, for anything that has words `v`, a block's words `m`, and a `mix(v, places, first, second)`. Written
/// out, since the compiler makes registers of `v` only if it knows every place.
macro_rules! rounds {
    ($mix:ident($v:expr, $m:expr)) => {
        rounds!($mix($v, $m) 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        rounds!($mix($v, $m) 14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3);
        rounds!($mix($v, $m) 11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4);
        rounds!($mix($v, $m) 7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8);
        rounds!($mix($v, $m) 9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13);
        rounds!($mix($v, $m) 2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9);
        rounds!($mix($v, $m) 12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11);
        rounds!($mix($v, $m) 13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10);
        rounds!($mix($v, $m) 6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5);
        rounds!($mix($v, $m) 10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0);
        rounds!($mix($v, $m) 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        rounds!($mix($v, $m) 14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3);
    };
    ($mix:ident($v:expr, $m:expr)
        $s0:literal $s1:literal $s2:literal $s3:literal $s4:literal $s5:literal $s6:literal $s7:literal
        $s8:literal $s9:literal $s10:literal $s11:literal $s12:literal $s13:literal $s14:literal $s15:literal) => {
        $mix($v, [0, 4, 8, 12], $m[$s0], $m[$s1]);
        $mix($v, [1, 5, 9, 13], $m[$s2], $m[$s3]);
        $mix($v, [2, 6, 10, 14], $m[$s4], $m[$s5]);
        $mix($v, [3, 7, 11, 15], $m[$s6], $m[$s7]);
        $mix($v, [0, 5, 10, 15], $m[$s8], $m[$s9]);
        $mix($v, [1, 6, 11, 12], $m[$s10], $m[$s11]);
        $mix($v, [2, 7, 8, 13], $m[$s12], $m[$s13]);
        $mix($v, [3, 4, 9, 14], $m[$s14], $m[$s15]);
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(any(test, target_arch = "x86_64"))]
mod dealer;
mod lanes;
mod plain;
mod stream;

use zeroize::ZeroizeOnDrop;

pub(crate) use lanes::{Lanes, Unfinished};
use stream::Stream;

/// Bytes that are compressed at once.
pub(crate) const BLOCK_LEN: usize = 128;

/// A BLAKE2b-256 in the making.
///
/// The last block is hashed in another way than those before it, so a full block waits until the next byte shows that
/// it was not the last.
#[derive(Clone)]
pub(crate) struct Blake2b {
    /// The chained value, `h` in the RFC.
    state: [u64; 8],
    /// How many bytes went into the state, `t` in the RFC. No message has 2^64 bytes: its upper half stays zero.
    counter: u64,
    /// The bytes that wait: none before the message begins, at least one ever after. While there are none, the digest
    /// of the empty message lies here.
    block: [u8; BLOCK_LEN],
    waiting: usize,
}

impl Blake2b {
    /// Begins with the key, which is a block. It is compressed here, once for all messages that clones take. Only the
    /// empty message would have it as its last block: that one's digest is made here too, as long as the key is at hand.
    pub(crate) fn keyed(key: &[u8; BLOCK_LEN]) -> Self {
        let mut begun = Self { state: INITIAL, counter: 0, block: [0; BLOCK_LEN], waiting: 0 };
        begun.state[0] ^= PARAMETERS;
        let mut empty = begun.clone();
        plain::compress(&mut empty.state, &mut empty.counter, key, LAST);
        begun.block[..32].copy_from_slice(&empty.digest());
        plain::compress(&mut begun.state, &mut begun.counter, key, NOT_LAST);
        begun
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        Stream::piece(self, bytes).finish_plainly();
    }

    /// The digest of all bytes that came.
    pub(crate) fn finish(mut self) -> [u8; 32] {
        let mut digest = [0; 32];
        Stream::end(&mut self, &[], &mut digest).finish_plainly();
        digest
    }

    /// What the state says, once it has taken the last block.
    fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(8).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }
}

/// The states hold what was made of a key.
impl Drop for Blake2b {
    fn drop(&mut self) {
        // `Zeroize` goes byte by byte, which is a tenth of the work for a message of 500 bytes.
        (self.state, self.counter, self.block) = ([0; 8], 0, [0; BLOCK_LEN]);
        zeroize::optimization_barrier(self);
    }
}

impl ZeroizeOnDrop for Blake2b {}

/// The state before anything came; BLAKE2's name for it is IV.
const INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The first word of the parameter block: no tree, no key in BLAKE2's own sense, a digest of 32 bytes.
const PARAMETERS: u64 = 0x0101_0000 ^ 32;

/// What a block is marked with when others follow.
const NOT_LAST: u64 = 0;
/// What the last block is marked with.
const LAST: u64 = !0;

#[cfg(test)]
mod tests;
