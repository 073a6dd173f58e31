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
use aes::cipher::KeyInit;
use subtle::ConstantTimeEq;
use worldkeeper_core::{ChunkId, is_equal};

use crate::hash::Hash;
use crate::key::Key;
use crate::keystream::Keystream;
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
        self.encrypt(nonce, object);
        if let Some(cipher) = &self.states.cipher {
            let mac = cipher.mac.digest(Self::mac_input(object));
            self.put_mac(object, &mac);
        }
    }

    /// [`seal`](Self::seal) without the MAC, for who makes many of them [side by side](crate::Digester::digest_all).
    /// In the modes that encrypt, nobody opens the object before it has [its MAC](Self::put_mac).
    ///
    /// # Panics
    ///
    /// If there is no room for the header.
    pub fn encrypt(&self, nonce: u64, object: &mut [u8]) {
        let payload = self.begin_object(nonce, object);
        if let Some(cipher) = &self.states.cipher {
            cipher.keystream(nonce).apply_in_place(payload);
        }
    }

    /// As [`encrypt`](Self::encrypt), with a payload that lies elsewhere, in pieces, and an object of just that length.
    ///
    /// # Panics
    ///
    /// If the object is of another length.
    pub fn encrypt_from(&self, nonce: u64, payload: &[&[u8]], object: &mut [u8]) {
        let len = self.overhead() + payload.iter().map(|piece| piece.len()).sum::<usize>();
        assert_eq!(object.len(), len, "the object is filled");
        let mut room = self.begin_object(nonce, object);
        let mut keystream = self.states.cipher.as_ref().map(|cipher| cipher.keystream(nonce));
        for piece in payload {
            let place;
            (place, room) = room.split_at_mut(piece.len());
            match &mut keystream {
                Some(keystream) => keystream.apply(piece, place),
                None => place.copy_from_slice(piece),
            }
        }
    }

    /// What the MAC of an object covers; nothing in one that is too short to have a MAC.
    pub fn mac_input(object: &[u8]) -> &[u8] {
        object.get(MAC.end..).unwrap_or_default()
    }

    /// The MAC that an object carries; `None` of one that is too short to have any. It means something in the modes that encrypt.
    pub fn mac(object: &[u8]) -> Option<[u8; 32]> {
        object.get(MAC)?.try_into().ok()
    }

    /// Completes an [encrypted](Self::encrypt) object with the digest of its [`mac_input`](Self::mac_input). The modes
    /// that do not encrypt pass over it.
    ///
    /// # Panics
    ///
    /// If there is no room for the header.
    pub fn put_mac(&self, object: &mut [u8], mac: &[u8; 32]) {
        if self.mode().encrypts() {
            object[MAC].copy_from_slice(mac);
        }
    }

    /// Writes the header but for the MAC; returns what follows it.
    fn begin_object<'a>(&self, nonce: u64, object: &'a mut [u8]) -> &'a mut [u8] {
        assert!(object.len() >= self.overhead(), "room for the header is part of the buffer");
        object[0] = self.mode().type_byte();
        if self.mode().encrypts() {
            object[NONCE].copy_from_slice(&nonce.to_be_bytes());
        }
        &mut object[self.overhead()..]
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
        payload.resize(self.authenticate(object)?.len(), 0);
        self.decrypt_to(object, payload)
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

    /// Requires that this key sealed the object, whose [`mac_input`](Self::mac_input) has the digest `mac`. The modes
    /// that do not encrypt pass over it.
    pub fn verify_mac(&self, object: &[u8], mac: &[u8; 32]) -> Result<(), OpenError> {
        self.sealed(object)?;
        if !self.mode().encrypts() || bool::from(mac.ct_eq(&object[MAC])) { Ok(()) } else { Err(OpenError::Mac) }
    }

    /// Returns whether an object holds exactly this payload, which may lie in pieces. It is decrypted a little at a time,
    /// so that it costs no memory. Proves nothing of an object that was not [verified](Self::verify_mac).
    pub fn decrypts_to(&self, object: &[u8], payload: &[&[u8]]) -> bool {
        let Ok(mut sealed) = self.sealed(object) else { return false };
        if sealed.len() != payload.iter().map(|piece| piece.len()).sum::<usize>() {
            return false;
        }
        let Some(cipher) = &self.states.cipher else {
            return payload
                .iter()
                .all(|piece| sealed.split_off(..piece.len()).is_some_and(|found| is_equal(found, piece)));
        };
        let mut keystream = cipher.keystream(nonce(object));
        payload
            .iter()
            .all(|piece| sealed.split_off(..piece.len()).is_some_and(|found| keystream.is_equal(found, piece)))
    }

    /// Decrypts an object, or copies it in the modes that do not encrypt, into a place that is as long as the payload. Proves
    /// nothing of one that was not [verified](Self::verify_mac).
    ///
    /// # Panics
    ///
    /// If the place is of another length.
    pub fn decrypt_to(&self, object: &[u8], payload: &mut [u8]) -> Result<(), OpenError> {
        let sealed = self.sealed(object)?;
        match &self.states.cipher {
            Some(cipher) => cipher.decrypt(object, payload),
            None => payload.copy_from_slice(sealed),
        }
        Ok(())
    }

    /// Decrypts an object where it lies: its payload is what follows the first [`overhead`](Self::overhead) bytes then.
    /// Nothing happens in the modes that do not encrypt. Proves nothing of one that was not
    /// [verified](Self::verify_mac).
    pub fn decrypt_in_place(&self, object: &mut [u8]) -> Result<(), OpenError> {
        self.sealed(object)?;
        if let Some(cipher) = &self.states.cipher {
            cipher.keystream(nonce(object)).apply_in_place(&mut object[ENCRYPTED_OVERHEAD..]);
        }
        Ok(())
    }

    /// Checks everything but decrypts nothing; returns what follows the header.
    fn authenticate<'a>(&self, object: &'a [u8]) -> Result<&'a [u8], OpenError> {
        let sealed = self.sealed(object)?;
        if let Some(cipher) = &self.states.cipher {
            self.verify_mac(object, &cipher.mac.digest(Self::mac_input(object)))?;
        }
        Ok(sealed)
    }

    /// Checks the type and that a header fits; returns what follows it.
    fn sealed<'a>(&self, object: &'a [u8]) -> Result<&'a [u8], OpenError> {
        let overhead = self.overhead();
        let found = *object.first().ok_or(OpenError::TooShort { len: 0, overhead })?;
        let passphrase_mode = found == PASSPHRASE_TYPE_BYTE && self.mode() == EncryptionMode::Repokey;
        if found != self.mode().type_byte() && !passphrase_mode {
            return Err(OpenError::TypeByte { mode: self.mode(), found });
        }
        object.get(overhead..).ok_or(OpenError::TooShort { len: object.len(), overhead })
    }
}

/// The AES key schedule and the keyed MAC of the modes that encrypt.
pub(crate) struct ObjectCipher {
    aes: Aes256Enc,
    pub(crate) mac: Hash,
}

impl ObjectCipher {
    pub(crate) fn new(enc_key: &[u8; 32], mac: Hash) -> Self {
        Self { aes: Aes256Enc::new(enc_key.into()), mac }
    }

    fn keystream(&self, nonce: u64) -> Keystream<'_> {
        Keystream::new(&self.aes, nonce.into())
    }

    /// Decrypts an object that was authenticated.
    fn decrypt(&self, object: &[u8], payload: &mut [u8]) {
        self.keystream(nonce(object)).apply(&object[ENCRYPTED_OVERHEAD..], payload);
    }
}

/// The nonce in the header of an object that encrypts.
fn nonce(object: &[u8]) -> u64 {
    u64::from_be_bytes(object[NONCE].try_into().expect("the range has 8 bytes"))
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
    use aes::cipher::BlockCipherEncrypt;
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
    fn a_payload_is_told_from_every_other_one() {
        // So many bytes of the keystream are made at once.
        const AT_ONCE: usize = 4096;
        for mode in EncryptionMode::ALL {
            let key = key(mode, 1);
            let payload: Vec<u8> = (0..=255).cycle().take(2 * AT_ONCE + 100).collect();
            let object = sealed(&key, 77, &payload);
            for at in [0, 1, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE + 99] {
                let mut other = payload.clone();
                other[at] ^= 0x80;
                for cut in [0, 2, AT_ONCE + 2] {
                    let pieces = |payload: &[u8]| key.decrypts_to(&object, &[&payload[..cut], &payload[cut..]]);
                    assert!(pieces(&payload), "{mode}");
                    assert!(!pieces(&other), "{mode}, byte {at} differs");
                    assert!(!pieces(&payload[..at.max(cut)]), "{mode}, only {at} bytes");
                }
            }
            assert!(!key.decrypts_to(&[], &[]));
            assert!(!key.decrypts_to(&object[..key.overhead() - 1], &[]));
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
        fn encryption_and_mac_apart_make_the_same_object(
            payload in proptest::collection::vec(any::<u8>(), 0..10_000), nonce: u64, which in 0usize..7, cut: u16,
        ) {
            let key = key(EncryptionMode::ALL[which], 4);
            let expected = sealed(&key, nonce, &payload);
            let (head, tail) = payload.split_at(usize::from(cut) % (payload.len() + 1));
            let mut object = vec![7; expected.len()];
            key.encrypt_from(nonce, &[head, tail], &mut object);
            if let Some(mut mac) = key.mac_digester() {
                mac.update(Key::mac_input(&object));
                let mac = mac.finish();
                key.put_mac(&mut object, &mac);
                prop_assert_eq!(key.verify_mac(&object, &mac), Ok(()));
                prop_assert_eq!(key.verify_mac(&object, &[0; 32]), Err(OpenError::Mac));
            }
            prop_assert_eq!(&object, &expected);
            prop_assert!(key.decrypts_to(&object, &[head, tail]));
            prop_assert!(!key.decrypts_to(&object, &[tail, head, b"x"]));
            prop_assert!(!key.decrypts_to(&object[..object.len() - 1], &[head, tail]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            fuzz_open(&bytes);
        }
    }
}
