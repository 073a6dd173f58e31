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
        if let Some(cipher) = &self.cipher {
            object[NONCE].copy_from_slice(&nonce.to_be_bytes());
            cipher.keystream(nonce).apply_keystream(&mut object[ENCRYPTED_OVERHEAD..]);
            let mac = cipher.mac.digest(&object[MAC.end..]);
            object[MAC].copy_from_slice(&mac);
        }
    }

    /// Takes the payload out of an object, after checking that this key sealed it. Copies only what it decrypts.
    pub fn open<'a>(&self, object: &'a [u8]) -> Result<Cow<'a, [u8]>, OpenError> {
        let sealed = self.authenticate(object)?;
        let Some(cipher) = &self.cipher else { return Ok(sealed.into()) };
        let mut payload = vec![0; sealed.len()];
        cipher.decrypt(object, &mut payload);
        Ok(payload.into())
    }

    /// As [`open`](Self::open), into a buffer that is used again and again; what it held is gone.
    pub fn open_into(&self, object: &[u8], payload: &mut Vec<u8>) -> Result<(), OpenError> {
        let sealed = self.authenticate(object)?;
        payload.clear();
        if let Some(cipher) = &self.cipher {
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
        self.cipher.as_ref()?;
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
        if let Some(cipher) = &self.cipher {
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
