//! The hash behind ids and MACs, with its key already absorbed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::blake2b::{BLOCK_LEN, Blake2b};

/// A hash of 32 bytes, ready to be cloned for each message.
///
/// Cloning a state that has taken the key in is cheaper than hashing the key again, which for a chunk of a few hundred
/// bytes would be half of the work.
#[derive(Clone)]
pub(crate) enum Hash {
    /// SHA-256 without a key.
    Sha256(Sha256),
    /// HMAC-SHA-256.
    HmacSha256(Hmac<Sha256>),
    /// BLAKE2b of key ‖ message. Borg does *not* use BLAKE2's own keyed mode.
    Blake2b(Blake2b),
}

impl Hash {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(crate) fn hmac_sha256(key: &[u8]) -> Self {
        Self::HmacSha256(Hmac::new_from_slice(key).expect(ANY_LENGTH))
    }

    pub(crate) fn blake2b(key: &[u8; BLOCK_LEN]) -> Self {
        Self::Blake2b(Blake2b::keyed(key))
    }

    pub(crate) fn digest(&self, message: &[u8]) -> [u8; 32] {
        let mut hash = self.clone();
        hash.update(message);
        hash.finish()
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::HmacSha256(hash) => Mac::update(hash, bytes),
            Self::Blake2b(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        match self {
            Self::Sha256(hash) => hash.finalize().into(),
            Self::HmacSha256(hash) => hash.finalize().into_bytes().into(),
            Self::Blake2b(hash) => hash.finish(),
        }
    }
}

/// Why making an HMAC does not fail.
pub(crate) const ANY_LENGTH: &str = "HMAC takes keys of any length";
