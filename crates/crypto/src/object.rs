//! Sealing a payload into an object, and opening it again.
//!
//! What a repository stores is an object: the compressed payload behind a header. In the modes that encrypt:
//!
//! | bytes | field      | meaning                                                          |
//! |-------|------------|------------------------------------------------------------------|
//! | 0     | type       | [`EncryptionMode::type_byte`](crate::EncryptionMode::type_byte)  |
//! | 1..33 | mac        | over nonce ‖ ciphertext; the type byte is not covered            |
//! | 33..41| nonce      | u64 BE, counted in blocks of 16 bytes                            |
//! | 41..  | ciphertext | AES-256-CTR of the payload, initial counter block 8 zero bytes ‖ nonce |
//!
//! In the others the payload follows the type byte. The counter is a 128-bit integer: it carries past the nonce's 64 bits.
//!
//! Source: borg 1.4 `crypto/low_level.pyx`, `AES256_CTR_BASE`; `crypto/key.py`, `AESKeyBase`.

use std::borrow::Cow;

use aes::Aes256Enc;
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use subtle::ConstantTimeEq;
use worldkeeper_core::ChunkId;

use crate::hash::Hash;
use crate::key::Key;
use crate::mode::{EncryptionMode, PASSPHRASE_TYPE_BYTE};

/// Why an object is not one that this key sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not even a header fits.
    #[error("the object has {len} bytes, its header alone has {overhead}")]
    TooShort {
        /// Bytes there are.
        len: usize,
        /// Bytes the header of this mode takes.
        overhead: usize,
    },
    /// An object of another mode.
    #[error("the object has type byte {found:#04x}, those of mode {mode} have {:#04x}", mode.type_byte())]
    TypeByte {
        /// The mode of the key.
        mode: EncryptionMode,
        /// The object's first byte.
        found: u8,
    },
    /// Damaged, forged, or sealed with another key.
    #[error("the object's MAC does not match its content")]
    Mac,
}

/// The plaintext is not what its id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content of object {expected} has id {found}")]
pub struct IdMismatch {
    /// The id it was asked for by.
    pub expected: ChunkId,
    /// The id of what came.
    pub found: ChunkId,
}

impl Key {
    /// How many bytes an object has in front of its payload.
    pub fn overhead(&self) -> usize {
        if self.mode().encrypts() { ENCRYPTED_OVERHEAD } else { PLAIN_OVERHEAD }
    }

    /// How many counter values the sealing of a payload uses up; 0 in the modes that do not encrypt.
    pub fn blocks(&self, payload_len: usize) -> u64 {
        if self.mode().encrypts() { blocks(payload_len) } else { 0 }
    }

    /// Turns a payload into an object, in place: the first [`overhead`](Self::overhead) bytes of `object` are room for
    /// the header, the payload follows.
    ///
    /// The counter values `nonce..nonce + blocks(payload)` must be reserved and never used before, or the secrecy of
    /// both payloads is lost. The modes that do not encrypt pass over `nonce`.
    ///
    /// # Panics
    ///
    /// If there is no room for the header.
    pub fn seal(&self, nonce: u64, object: &mut [u8]) {
        assert!(object.len() >= self.overhead(), "room for the header is part of the buffer");
        object[0] = self.mode().type_byte();
        if let Some(cipher) = &self.states.cipher {
            object[NONCE].copy_from_slice(&nonce.to_be_bytes());
            cipher.keystream(nonce).apply_keystream(&mut object[ENCRYPTED_OVERHEAD..]);
            let mac = cipher.mac.digest(&object[MAC.end..]);
            object[MAC].copy_from_slice(&mac);
        }
    }

    /// Takes the payload out of an object, after checking that this key sealed it. Copies only what it decrypts.
    pub fn open<'a>(&self, object: &'a [u8]) -> Result<Cow<'a, [u8]>, OpenError> {
        let sealed = self.authenticate(object)?;
        let Some(cipher) = &self.states.cipher else { return Ok(sealed.into()) };
        let mut payload = vec![0; sealed.len()];
        cipher.decrypt(object, &mut payload);
        Ok(payload.into())
    }

    /// As [`open`](Self::open), into a buffer that is used again and again; what it held is gone.
    pub fn open_into(&self, object: &[u8], payload: &mut Vec<u8>) -> Result<(), OpenError> {
        let sealed = self.authenticate(object)?;
        payload.clear();
        if let Some(cipher) = &self.states.cipher {
            payload.resize(sealed.len(), 0);
            cipher.decrypt(object, payload);
        } else {
            payload.extend_from_slice(sealed);
        }
        Ok(())
    }

    /// The first counter value behind those that sealed `object`, as stock counts it: by the whole object's length,
    /// which is a little more than was used. `None` in the modes that do not encrypt.
    ///
    /// An object that was not opened first may name any value.
    pub fn nonce_after(&self, object: &[u8]) -> Option<u64> {
        self.states.cipher.as_ref()?;
        let nonce = u64::from_be_bytes(object.get(NONCE)?.try_into().expect("the range has 8 bytes"));
        Some(nonce.saturating_add(blocks(object.len())))
    }

    /// Checks everything but decrypts nothing; returns what follows the header.
    fn authenticate<'a>(&self, object: &'a [u8]) -> Result<&'a [u8], OpenError> {
        let overhead = self.overhead();
        let found = *object.first().ok_or(OpenError::TooShort { len: 0, overhead })?;
        let passphrase_mode = found == PASSPHRASE_TYPE_BYTE && self.mode() == EncryptionMode::Repokey;
        if found != self.mode().type_byte() && !passphrase_mode {
            return Err(OpenError::TypeByte { mode: self.mode(), found });
        }
        let sealed = object.get(overhead..).ok_or(OpenError::TooShort { len: object.len(), overhead })?;
        if let Some(cipher) = &self.states.cipher {
            let mac = cipher.mac.digest(&object[MAC.end..]);
            if !bool::from(mac.ct_eq(&object[MAC])) {
                return Err(OpenError::Mac);
            }
        }
        Ok(sealed)
    }
}

/// The AES key schedule and the keyed MAC of the modes that encrypt.
pub(crate) struct ObjectCipher {
    aes: Aes256Enc,
    mac: Hash,
}

impl ObjectCipher {
    pub(crate) fn new(enc_key: &[u8; 32], mac: Hash) -> Self {
        Self { aes: Aes256Enc::new(enc_key.into()), mac }
    }

    fn keystream(&self, nonce: u64) -> Ctr128BE<&Aes256Enc> {
        let counter = u128::from(nonce).to_be_bytes();
        StreamCipherCoreWrapper::from_core(InnerIvInit::inner_iv_init(&self.aes, &counter.into()))
    }

    /// Decrypts an object that was authenticated.
    fn decrypt(&self, object: &[u8], payload: &mut [u8]) {
        let nonce = u64::from_be_bytes(object[NONCE].try_into().expect("the range has 8 bytes"));
        self.keystream(nonce).apply_keystream_b2b(&object[ENCRYPTED_OVERHEAD..], payload);
    }
}

/// Blocks of 16 bytes that `len` bytes fill, the last one perhaps in part.
fn blocks(len: usize) -> u64 {
    (len as u64).div_ceil(AES_BLOCK)
}

const AES_BLOCK: u64 = 16;
const MAC: std::ops::Range<usize> = 1..33;
const NONCE: std::ops::Range<usize> = 33..41;
const ENCRYPTED_OVERHEAD: usize = 41;
const PLAIN_OVERHEAD: usize = 1;
const _: () = assert!(ENCRYPTED_OVERHEAD == 1 + 32 + 8 && NONCE.start == MAC.end && NONCE.end == ENCRYPTED_OVERHEAD);

/// Body of a fuzz target: whatever the bytes are, no key opens them, but the keyless one does where they fit.
pub fn fuzz_open(bytes: &[u8]) {
    let mut drawn = 0;
    let mut random = |buffer: &mut [u8]| {
        buffer.fill_with(|| {
            drawn += 1;
            drawn as u8
        });
    };
    for mode in EncryptionMode::ALL {
        let key = Key::generate(mode, worldkeeper_core::RepositoryId([0; 32]), &mut random);
        _ = key.nonce_after(bytes);
        let opened = key.open(bytes);
        if mode.encrypts() {
            assert!(opened.is_err(), "nobody guesses a MAC");
        } else {
            assert_eq!(opened.is_ok(), bytes.first() == Some(&mode.type_byte()));
        }
    }
}

#[cfg(test)]
mod tests {
    use ctr::cipher::BlockCipherEncrypt;
    use proptest::prelude::*;
    use worldkeeper_core::RepositoryId;

    use super::*;

    fn key(mode: EncryptionMode, fill: u8) -> Key {
        Key::generate(mode, RepositoryId([1; 32]), &mut |bytes| bytes.fill(fill))
    }

    fn sealed(key: &Key, nonce: u64, payload: &[u8]) -> Vec<u8> {
        let mut object = vec![0; key.overhead()];
        object.extend_from_slice(payload);
        key.seal(nonce, &mut object);
        object
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_noticed() {
        for mode in EncryptionMode::ALL.into_iter().filter(|mode| mode.encrypts()) {
            let key = key(mode, 1);
            let object = sealed(&key, 77, b"twenty bytes of text");
            for bit in 0..object.len() * 8 {
                let mut flipped = object.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // Of the type byte's bits, one makes the passphrase mode of it, which counts as repokey.
                let passphrase_mode = mode == EncryptionMode::Repokey && flipped[0] == PASSPHRASE_TYPE_BYTE;
                assert_eq!(key.open(&flipped).is_ok(), passphrase_mode, "{mode}, bit {bit}");
            }
            for len in 0..object.len() {
                let expected = match len {
                    0..41 => OpenError::TooShort { len, overhead: 41 },
                    _ => OpenError::Mac,
                };
                assert_eq!(key.open(&object[..len]), Err(expected), "{mode}");
            }
            assert_eq!(key.open(&[&object[..], b"x"].concat()), Err(OpenError::Mac));
        }
    }

    #[test]
    fn objects_of_another_key_or_mode_are_refused() {
        for mode in EncryptionMode::ALL {
            let object = sealed(&key(mode, 1), 5, b"payload");
            for other in EncryptionMode::ALL.into_iter().filter(|other| *other != mode) {
                let error = key(other, 1).open(&object).unwrap_err();
                assert_eq!(error, OpenError::TypeByte { mode: other, found: mode.type_byte() });
            }
            if mode.encrypts() {
                assert_eq!(key(mode, 2).open(&object), Err(OpenError::Mac));
            }
        }
    }

    #[test]
    fn objects_of_the_passphrase_mode_open_as_repokey() {
        let key = key(EncryptionMode::Repokey, 3);
        let mut object = sealed(&key, 1, b"old");
        object[0] = 0x01;
        assert_eq!(key.open(&object).unwrap(), &b"old"[..]);
    }

    #[test]
    fn the_counter_carries_past_64_bits() {
        let key = key(EncryptionMode::RepokeyBlake2, 9);
        let keystream = sealed(&key, u64::MAX, &[0; 32])[ENCRYPTED_OVERHEAD..].to_vec();
        let mut second = (u128::from(u64::MAX) + 1).to_be_bytes().into();
        Aes256Enc::new(&[9; 32].into()).encrypt_block(&mut second);
        assert_eq!(keystream[16..], second[..]);
    }

    #[test]
    fn blocks_are_counted_as_borg_counts_them() {
        let key = key(EncryptionMode::Repokey, 1);
        for (len, blocks) in [(0, 0), (1, 1), (16, 1), (17, 2), (2 << 20, 1 << 17)] {
            assert_eq!(key.blocks(len), blocks);
            assert_eq!(Key::plaintext().blocks(len), 0);
        }
        let object = sealed(&key, 1000, &[0; 23]);
        assert_eq!(key.nonce_after(&object), Some(1000 + 4), "64 bytes with the header");
        assert_eq!(key.nonce_after(&object[..40]), None);
        assert_eq!(key.nonce_after(&sealed(&key, u64::MAX, &[0; 23])), Some(u64::MAX));
        assert_eq!(Key::plaintext().nonce_after(&object), None);
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            payload in proptest::collection::vec(any::<u8>(), 0..300), nonce: u64, which in 0usize..7,
        ) {
            let key = key(EncryptionMode::ALL[which], 4);
            let object = sealed(&key, nonce, &payload);
            prop_assert_eq!(key.open(&object).unwrap(), payload);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            fuzz_open(&bytes);
        }
    }
}
