//! AES-256 in counter mode.
//!
//! The counter is a 128-bit integer that goes up by one for each block of 16 bytes. Many blocks are made at a time, in
//! place: the crate for this mode copies each one twice, which took half as long as the encryption itself.

use aes::Aes256Enc;
use aes::cipher::array::Array;
use aes::cipher::{Block, BlockCipherEncrypt};
use zeroize::Zeroize;

/// What is XORed with a message to encrypt it, or to decrypt it again.
pub(crate) struct Keystream<'a> {
    aes: &'a Aes256Enc,
    /// The next block's.
    counter: u128,
    blocks: [Block<Aes256Enc>; BLOCKS],
    /// How many bytes of the blocks were used.
    used: usize,
    /// How many blocks were made at a time, at most; they lie at the end.
    made: usize,
}

/// How many are made at a time: a small part of a processor's nearest memory.
const BLOCKS: usize = 256;
const BLOCK_LEN: usize = 16;

impl<'a> Keystream<'a> {
    /// Begins with a block's number.
    pub(crate) fn new(aes: &'a Aes256Enc, counter: u128) -> Self {
        Self { aes, counter, blocks: [Block::<Aes256Enc>::default(); BLOCKS], used: BLOCKS * BLOCK_LEN, made: 0 }
    }

    /// Encrypts or decrypts the next bytes, from one place into another as long.
    pub(crate) fn apply(&mut self, mut from: &[u8], mut to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "every byte has its place");
        while !from.is_empty() {
            let key = self.next(from.len());
            let (now, later) = from.split_at(key.len());
            let place = to.split_off_mut(..key.len()).expect("it is as long");
            for ((to, from), key) in place.iter_mut().zip(now).zip(key) {
                *to = from ^ key;
            }
            from = later;
        }
    }

    /// Encrypts or decrypts the next bytes where they are.
    pub(crate) fn apply_in_place(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let key = self.next(bytes.len());
            let place = bytes.split_off_mut(..key.len()).expect("no more than there are");
            place.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        }
    }

    /// Returns whether the next bytes are `plain` encrypted; looks at all of them.
    pub(crate) fn is_equal(&mut self, mut sealed: &[u8], mut plain: &[u8]) -> bool {
        let mut difference = 0;
        while !sealed.is_empty() && sealed.len() == plain.len() {
            let key = self.next(sealed.len());
            let ((now, later), (expected, more)) = (sealed.split_at(key.len()), plain.split_at(key.len()));
            let differs = |((sealed, plain), key): ((&u8, &u8), &u8)| sealed ^ plain ^ key;
            difference |= now.iter().zip(expected).zip(key).map(differs).fold(0, std::ops::BitOr::bitor);
            (sealed, plain) = (later, more);
        }
        difference == 0 && sealed.len() == plain.len()
    }

    /// The next bytes of the stream, at most `len` and at least one.
    fn next(&mut self, len: usize) -> &[u8] {
        if self.used == BLOCKS * BLOCK_LEN {
            // No more than are needed: most files are small.
            let count = len.div_ceil(BLOCK_LEN).clamp(1, BLOCKS);
            self.used = (BLOCKS - count) * BLOCK_LEN;
            self.made = self.made.max(count);
            let blocks = &mut self.blocks[BLOCKS - count..];
            for block in blocks.iter_mut() {
                *block = self.counter.to_be_bytes().into();
                self.counter = self.counter.wrapping_add(1);
            }
            self.aes.encrypt_blocks(blocks);
        }
        let bytes = &Array::slice_as_flattened(&self.blocks)[self.used..];
        let bytes = &bytes[..len.min(bytes.len())];
        self.used += bytes.len();
        bytes
    }
}

/// With what it encrypted, the stream gives away what that was.
impl Drop for Keystream<'_> {
    fn drop(&mut self) {
        for block in &mut self.blocks[BLOCKS - self.made..] {
            block.as_mut_slice().zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_crate_for_this_mode_makes(
            message in proptest::collection::vec(any::<u8>(), 0..40_000),
            cuts in proptest::collection::vec(0_usize..20_000, 0..6),
            counter in prop_oneof![any::<u128>(), Just(u128::MAX - 3), Just(u128::from(u64::MAX) - 5)],
            key: [u8; 32],
            bit: usize,
        ) {
            let aes = Aes256Enc::new(&key.into());
            let core = ctr::CtrCore::<&Aes256Enc, ctr::flavors::Ctr128BE>::inner_iv_init(&aes, &counter.to_be_bytes().into());
            let mut expected = message.clone();
            StreamCipherCoreWrapper::from_core(core).apply_keystream(&mut expected);

            let (mut there, mut here, mut looked) =
                (Keystream::new(&aes, counter), Keystream::new(&aes, counter), Keystream::new(&aes, counter));
            let (mut sealed, mut in_place) = (vec![0; message.len()], message.clone());
            let mut start = 0;
            for end in cuts.into_iter().chain([message.len()]) {
                let range = start..end.clamp(start, message.len());
                there.apply(&message[range.clone()], &mut sealed[range.clone()]);
                here.apply_in_place(&mut in_place[range.clone()]);
                prop_assert!(looked.is_equal(&sealed[range.clone()], &message[range.clone()]));
                start = range.end;
            }
            prop_assert_eq!(&sealed, &expected);
            prop_assert_eq!(&in_place, &expected);
            if !sealed.is_empty() {
                let bit = bit % (8 * sealed.len());
                sealed[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!Keystream::new(&aes, counter).is_equal(&sealed, &message));
                prop_assert!(!Keystream::new(&aes, counter).is_equal(&sealed[1..], &message));
            }
        }
    }
}
