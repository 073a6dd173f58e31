//! AES-256 in counter mode.
//!
//! The counter is a 128-bit integer that goes up by one for each block of 16 bytes. As many blocks as the processor encrypts
//! side by side are made at a time, and used while they are at hand, within the cipher's own loop: so counting and
//! combining are made of the same instructions as the encryption. To make more of them first, and use them then, took more
//! than twice as long; so did the crate for this mode, which copies each block twice.

#![expect(clippy::inline_always, reason = "what is not part of the cipher's loop is not made of its instructions")]

use aes::Aes256Enc;
use aes::cipher::array::Array;
use aes::cipher::common::ParBlocks;
use aes::cipher::{Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};
use zeroize::Zeroize;

/// What is XORed with a message to encrypt it, or to decrypt it again.
pub(crate) struct Keystream<'a> {
    aes: &'a Aes256Enc,
    /// The next block's.
    counter: u128,
    /// What is left of a block that was used in part: its last bytes.
    begun: Block<Aes256Enc>,
    left: usize,
}

const BLOCK_LEN: usize = 16;

impl<'a> Keystream<'a> {
    /// Begins with a block's number.
    pub(crate) fn new(aes: &'a Aes256Enc, counter: u128) -> Self {
        Self { aes, counter, begun: Block::<Aes256Enc>::default(), left: 0 }
    }

    /// Encrypts or decrypts the next bytes, from one place into another as long.
    pub(crate) fn apply(&mut self, from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "every byte has its place");
        self.meet(Across { from, to });
    }

    /// Encrypts or decrypts the next bytes where they are.
    pub(crate) fn apply_in_place(&mut self, bytes: &mut [u8]) {
        self.meet(InPlace(bytes));
    }

    /// Returns whether the next bytes are `plain` encrypted; looks at all of them.
    pub(crate) fn is_equal(&mut self, sealed: &[u8], plain: &[u8]) -> bool {
        sealed.len() == plain.len() && self.meet(Compared { sealed, plain, difference: 0 }).difference == 0
    }

    /// Brings a message and the stream together; returns what became of the message.
    fn meet<M: Message>(&mut self, mut message: M) -> M {
        let from_before = self.left.min(message.left());
        message.meet(&self.begun[BLOCK_LEN - self.left..][..from_before]);
        self.left -= from_before;
        let blocks = message.left() / BLOCK_LEN;
        if message.left() > 0 {
            self.aes.encrypt_with_backend(WholeBlocks { counter: self.counter, message: &mut message });
            self.counter = self.counter.wrapping_add(blocks as u128);
        }
        let rest = message.left();
        if rest > 0 {
            self.begun = self.counter.to_be_bytes().into();
            self.aes.encrypt_block(&mut self.begun);
            self.counter = self.counter.wrapping_add(1);
            message.meet(&self.begun[..rest]);
            self.left = BLOCK_LEN - rest;
        }
        message
    }
}

/// What meets the stream, from front to back. All of it is part of the cipher's loop.
trait Message {
    /// How many bytes have not met it.
    fn left(&self) -> usize;

    /// The next bytes meet theirs.
    fn meet(&mut self, key: &[u8]);
}

/// Goes from one place into another as long.
struct Across<'a> {
    from: &'a [u8],
    to: &'a mut [u8],
}

impl Message for Across<'_> {
    #[inline(always)]
    fn left(&self) -> usize {
        self.from.len()
    }

    #[inline(always)]
    fn meet(&mut self, key: &[u8]) {
        let (from, later) = self.from.split_at(key.len());
        let to = self.to.split_off_mut(..key.len()).expect("it is as long");
        for ((to, from), key) in to.iter_mut().zip(from).zip(key) {
            *to = from ^ key;
        }
        self.from = later;
    }
}

/// Stays where it is.
struct InPlace<'a>(&'a mut [u8]);

impl Message for InPlace<'_> {
    #[inline(always)]
    fn left(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn meet(&mut self, key: &[u8]) {
        let bytes = self.0.split_off_mut(..key.len()).expect("no more than there are");
        bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Is only looked at, beside what it should be.
struct Compared<'a> {
    sealed: &'a [u8],
    plain: &'a [u8],
    /// All bits that differ.
    difference: u8,
}

impl Message for Compared<'_> {
    #[inline(always)]
    fn left(&self) -> usize {
        self.sealed.len()
    }

    #[inline(always)]
    fn meet(&mut self, key: &[u8]) {
        let ((sealed, later), (plain, more)) = (self.sealed.split_at(key.len()), self.plain.split_at(key.len()));
        for ((sealed, plain), key) in sealed.iter().zip(plain).zip(key) {
            self.difference |= sealed ^ plain ^ key;
        }
        (self.sealed, self.plain) = (later, more);
    }
}

/// The part of the work that the cipher does with all its blocks side by side: whole blocks.
struct WholeBlocks<'m, M> {
    counter: u128,
    message: &'m mut M,
}

impl<M> BlockSizeUser for WholeBlocks<'_, M> {
    type BlockSize = <Aes256Enc as BlockSizeUser>::BlockSize;
}

impl<M: Message> BlockCipherEncClosure for WholeBlocks<'_, M> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = Self::BlockSize>>(self, cipher: &B) {
        let Self { mut counter, message } = self;
        let (mut counted, mut key) = (ParBlocks::<B>::default(), ParBlocks::<B>::default());
        let together = counted.len();
        count(&mut counted[..together.min(message.left() / BLOCK_LEN)], counter);
        while message.left() >= together * BLOCK_LEN {
            cipher.encrypt_par_blocks((&counted, &mut key).into());
            // Long before they are loaded, which must not wait until they are stored.
            counter = counter.wrapping_add(together as u128);
            count(&mut counted, counter);
            message.meet(Array::slice_as_flattened(&key));
        }
        let rest = message.left() / BLOCK_LEN;
        key[..rest].copy_from_slice(&counted[..rest]);
        cipher.encrypt_tail_blocks_inplace(&mut key[..rest]);
        message.meet(Array::slice_as_flattened(&key[..rest]));
        key.iter_mut().for_each(|block| block.as_mut_slice().zeroize());
    }
}

/// Fills blocks with the counter.
#[inline(always)]
fn count(blocks: &mut [Block<Aes256Enc>], counter: u128) {
    let (high, low) = ((counter >> 64) as u64, counter as u64);
    if low.checked_add(blocks.len() as u64).is_some() {
        // No carry between the halves, so that several are counted at once.
        for (number, block) in (0..).zip(blocks) {
            let (front, back) = block.split_at_mut(BLOCK_LEN / 2);
            front.copy_from_slice(&high.to_be_bytes());
            back.copy_from_slice(&(low + number).to_be_bytes());
        }
    } else {
        for (number, block) in (0..).zip(blocks) {
            *block = counter.wrapping_add(number).to_be_bytes().into();
        }
    }
}

/// With what it encrypted, the stream gives away what that was.
impl Drop for Keystream<'_> {
    fn drop(&mut self) {
        self.begun.as_mut_slice().zeroize();
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
