//! The key of a repository: its secrets, and the states prepared from them.

use std::fmt;
use std::ops::{Deref, DerefMut};

use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};
use worldkeeper_core::{ChunkId, RepositoryId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Random;
use crate::blake2b::Lanes;
use crate::digester::Digester;
use crate::hash::Hash;
use crate::locked::Locked;
use crate::mode::EncryptionMode;
use crate::object::{IdMismatch, ObjectCipher};

/// Everything that is done with a repository's secrets. Shared by all threads; the secrets lie in memory that is not
/// swapped out, and are overwritten on drop.
pub struct Key {
    mode: EncryptionMode,
    pub(crate) states: Locked<States>,
}

/// The secrets, and what is prepared from them.
pub(crate) struct States {
    /// `None` in mode `none`.
    pub(crate) secrets: Option<Secrets>,
    id_hash: Hash,
    /// In the modes that encrypt.
    pub(crate) cipher: Option<ObjectCipher>,
}

/// What a key blob holds.
///
/// | key               | bytes                  | use                                 |
/// |-------------------|------------------------|-------------------------------------|
/// | `enc_key`         | 32                     | AES-256-CTR                         |
/// | `enc_hmac_key`    | 32, or 128 for BLAKE2b | MAC of objects                      |
/// | `id_key`          | 32, or 128 for BLAKE2b | id hash                             |
/// | `chunk_seed`      | i32                    | the chunker's table                 |
/// | `repository_id`   | 32                     | which repository the key belongs to |
/// | `tam_required`    | bool, may be missing   | whether a manifest must have a TAM  |
///
/// The keys of 128 bytes are 64 random ones followed by 64 zeros.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secrets {
    #[zeroize(skip)]
    pub(crate) repository_id: RepositoryId,
    pub(crate) enc_key: [u8; 32],
    pub(crate) enc_hmac_key: HashKey,
    pub(crate) id_key: HashKey,
    pub(crate) chunk_seed: i32,
    pub(crate) tam_required: Option<bool>,
}

/// A key of 32 or 128 bytes; in place, since memory of its own would not be locked.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct HashKey {
    bytes: [u8; BLAKE2_KEY_LEN],
    len: usize,
}

impl HashKey {
    /// A key of zeros, of a length that some mode has.
    fn zeroed(len: usize) -> Self {
        Self { bytes: [0; BLAKE2_KEY_LEN], len }
    }

    /// One that is longer than any key becomes empty: no mode takes either.
    fn of(bytes: &[u8]) -> Self {
        let bytes = if bytes.len() <= BLAKE2_KEY_LEN { bytes } else { &[] };
        let mut key = Self::zeroed(bytes.len());
        key.copy_from_slice(bytes);
        key
    }
}

impl Deref for HashKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for HashKey {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl Key {
    /// The key of mode `none`: nothing is secret.
    pub fn plaintext() -> Self {
        let states = States { secrets: None, id_hash: Hash::sha256(), cipher: None };
        Self { mode: EncryptionMode::None, states: Locked::new(states) }
    }

    /// Draws the key for a new repository.
    pub fn generate(mode: EncryptionMode, repository_id: RepositoryId, random: Random<'_>) -> Self {
        if mode == EncryptionMode::None {
            return Self::plaintext();
        }
        let mut enc_key = [0; 32];
        let mut chunk_seed = [0; 4];
        random(&mut enc_key);
        random(&mut chunk_seed);
        let (random_len, len) = if mode.uses_blake2() { (64, BLAKE2_KEY_LEN) } else { (32, HMAC_KEY_LEN) };
        let mut hash_key = || {
            let mut key = HashKey::zeroed(len);
            random(&mut key[..random_len]);
            key
        };
        let secrets = Secrets {
            repository_id,
            enc_key,
            enc_hmac_key: hash_key(),
            id_key: hash_key(),
            chunk_seed: i32::from_be_bytes(chunk_seed),
            tam_required: Some(true),
        };
        enc_key.zeroize();
        chunk_seed.zeroize();
        Self::from_secrets(mode, secrets).expect("the lengths are those of the mode")
    }

    /// Prepares the states; `None` if the lengths of the keys are not those of the mode.
    pub(crate) fn from_secrets(mode: EncryptionMode, secrets: Secrets) -> Option<Self> {
        let len = if mode.uses_blake2() { BLAKE2_KEY_LEN } else { HMAC_KEY_LEN };
        if mode == EncryptionMode::None || secrets.id_key.len() != len || secrets.enc_hmac_key.len() != len {
            return None;
        }
        let hash = |key: &HashKey| if mode.uses_blake2() { Hash::blake2b(&key.bytes) } else { Hash::hmac_sha256(key) };
        let cipher = mode.encrypts().then(|| ObjectCipher::new(&secrets.enc_key, hash(&secrets.enc_hmac_key)));
        let states = States { id_hash: hash(&secrets.id_key), cipher, secrets: Some(secrets) };
        Some(Self { mode, states: Locked::new(states) })
    }

    /// How the repository is keyed.
    pub fn mode(&self) -> EncryptionMode {
        self.mode
    }

    /// Returns whether the system keeps the secrets out of its swap device; false where it locks no more memory for us.
    pub fn is_locked(&self) -> bool {
        self.states.is_locked()
    }

    /// The repository the key was made for; whoever opened a key blob compares it with the one at hand.
    /// `None` in mode `none`.
    pub fn repository_id(&self) -> Option<RepositoryId> {
        self.states.secrets.as_ref().map(|secrets| secrets.repository_id)
    }

    /// The seed of the chunker's table; 0 in mode `none`.
    pub fn chunk_seed(&self) -> i32 {
        self.states.secrets.as_ref().map_or(0, |secrets| secrets.chunk_seed)
    }

    /// Whether the manifest must have a TAM, as far as the key says: false in mode `none`, `None` in keys from before
    /// borg 1.0.9, where stock asks its security directory.
    pub fn tam_required(&self) -> Option<bool> {
        self.states.secrets.as_ref().map_or(Some(false), |secrets| secrets.tam_required)
    }

    /// The id of the object that holds `plaintext`, which is not compressed yet.
    pub fn id_hash(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId(self.states.id_hash.digest(plaintext))
    }

    /// Begins an [`id_hash`](Self::id_hash) of what comes in pieces.
    pub fn id_digester(&self) -> Digester {
        Digester(self.states.id_hash.clone())
    }

    /// Begins the MAC of an object, which covers [`mac_input`](Self::mac_input); `None` in the modes that do not encrypt.
    pub fn mac_digester(&self) -> Option<Digester> {
        self.states.cipher.as_ref().map(|cipher| Digester(cipher.mac.clone()))
    }

    /// How many messages are worth gathering, so that they are [digested side by side](Digester::digest_all): 1 where
    /// they go one after the other anyway, which is so in the modes with SHA-256, and on machines without wide vectors.
    pub fn lanes(&self) -> usize {
        if self.mode.uses_blake2() { Lanes::best().count() } else { 1 }
    }

    /// Requires that `plaintext` is what `id` names. The manifest's id is not derived from its content: there is
    /// nothing to verify, and its TAM does the work.
    pub fn verify_id(&self, id: &ChunkId, plaintext: &[u8]) -> Result<(), IdMismatch> {
        require_id(*id, self.id_hash(plaintext))
    }

    /// As [`verify_id`](Self::verify_id), where the [digest](Self::id_digester) is at hand.
    pub fn verify_id_digest(id: &ChunkId, digest: [u8; 32]) -> Result<(), IdMismatch> {
        require_id(*id, ChunkId(digest))
    }
}

fn require_id(expected: ChunkId, found: ChunkId) -> Result<(), IdMismatch> {
    if subtle::ConstantTimeEq::ct_eq(&found.0[..], &expected.0[..]).into() {
        Ok(())
    } else {
        Err(IdMismatch { expected, found })
    }
}

/// Shows the mode and nothing else.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.mode)
    }
}

impl Secrets {
    /// Packs the inner map of a key blob.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Enough room from the start, so that growing leaves no copy of the secrets behind.
        let mut encoder = Encoder::append_to(Vec::with_capacity(1024));
        encoder.map(6 + usize::from(self.tam_required.is_some()));
        encoder.raw("chunk_seed").int(self.chunk_seed.into());
        encoder.raw("enc_hmac_key").raw(&self.enc_hmac_key[..]);
        encoder.raw("enc_key").raw(self.enc_key);
        encoder.raw("id_key").raw(&self.id_key[..]);
        encoder.raw("repository_id").raw(self.repository_id.0);
        if let Some(tam_required) = self.tam_required {
            encoder.raw("tam_required").bool(tam_required);
        }
        encoder.raw("version").uint(1);
        Zeroizing::new(encoder.finish())
    }

    /// Reads the inner map of a key blob; keys that are not known are passed over.
    pub(crate) fn decode(packed: &[u8]) -> Result<Self, SecretsError> {
        let mut decoder = Decoder::new(packed);
        let (mut repository_id, mut enc_key, mut enc_hmac_key, mut id_key) = (None, None, None, None);
        let (mut chunk_seed, mut tam_required, mut version) = (None, None, None);
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"repository_id" => repository_id = Some(RepositoryId(decoder.raw_array()?)),
                b"enc_key" => enc_key = Some(Zeroizing::new(decoder.raw_array()?)),
                b"enc_hmac_key" => enc_hmac_key = Some(HashKey::of(decoder.raw()?)),
                b"id_key" => id_key = Some(HashKey::of(decoder.raw()?)),
                b"chunk_seed" => chunk_seed = Some(decoder.int_as()?),
                b"tam_required" => tam_required = Some(decoder.bool()?),
                b"version" => version = Some(decoder.int()?),
                _ => _ = decoder.skip()?,
            }
        }
        decoder.finish()?;
        match version.ok_or(SecretsError::Missing("version"))? {
            1 => {}
            other => return Err(SecretsError::Version(other)),
        }
        Ok(Self {
            repository_id: repository_id.ok_or(SecretsError::Missing("repository_id"))?,
            enc_key: *enc_key.ok_or(SecretsError::Missing("enc_key"))?,
            enc_hmac_key: enc_hmac_key.ok_or(SecretsError::Missing("enc_hmac_key"))?,
            id_key: id_key.ok_or(SecretsError::Missing("id_key"))?,
            chunk_seed: chunk_seed.ok_or(SecretsError::Missing("chunk_seed"))?,
            tam_required,
        })
    }
}

/// What is wrong with the inner map.
pub(crate) enum SecretsError {
    Decode(DecodeError),
    Missing(&'static str),
    Version(i128),
}

impl From<DecodeError> for SecretsError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Length of the id and MAC keys in the HMAC modes, in bytes.
const HMAC_KEY_LEN: usize = 32;
/// Length of the id and MAC keys in the BLAKE2b modes, in bytes; the second half is zero.
const BLAKE2_KEY_LEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shared_by_threads_and_shows_no_secret() {
        fn shared<T: Send + Sync>(value: &T) -> &T {
            value
        }
        for mode in EncryptionMode::ALL {
            let key = Key::generate(mode, RepositoryId([7; 32]), &mut |bytes| bytes.fill(0xab));
            assert_eq!(format!("{:?}", shared(&key)), format!("Key({mode})"));
        }
    }

    #[test]
    fn an_id_is_the_same_in_pieces() {
        let message: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for mode in EncryptionMode::ALL {
            let key = Key::generate(mode, RepositoryId([7; 32]), &mut |bytes| bytes.fill(0xab));
            for len in [1, 63, 64, 128, 129, 1000] {
                let mut digester = key.id_digester();
                message.chunks(len).for_each(|piece| digester.update(piece));
                assert_eq!(ChunkId(digester.finish()), key.id_hash(&message), "{mode}, pieces of {len} bytes");
            }
        }
    }

    #[test]
    fn the_secrets_of_two_keys_have_nothing_in_common() {
        let mut drawn = 0u32;
        let mut random = |buffer: &mut [u8]| {
            for byte in buffer {
                drawn += 1;
                *byte = (drawn.wrapping_mul(2_654_435_761) >> 24) as u8;
            }
        };
        for mode in EncryptionMode::ALL.into_iter().filter(|mode| *mode != EncryptionMode::None) {
            let mut secrets =
                || Key::generate(mode, RepositoryId([7; 32]), &mut random).states.secrets.clone().unwrap();
            let (first, second) = (secrets(), secrets());
            assert_ne!(first.enc_key, second.enc_key);
            assert_ne!(first.enc_hmac_key[..], second.enc_hmac_key[..]);
            assert_ne!(first.id_key[..], second.id_key[..]);
            assert_ne!(first.id_key[..], first.enc_hmac_key[..]);
            assert_ne!(first.chunk_seed, second.chunk_seed);
            let zeros = first.id_key.iter().rev().take_while(|byte| **byte == 0).count();
            assert_eq!(zeros >= 64, mode.uses_blake2(), "{mode}");
        }
    }

    #[test]
    fn secrets_are_packed_in_a_buffer_that_did_not_grow() {
        let key = Key::generate(EncryptionMode::RepokeyBlake2, RepositoryId([7; 32]), &mut |bytes| bytes.fill(1));
        assert_eq!(key.states.secrets.as_ref().unwrap().encode().capacity(), 1024);
    }

    #[test]
    fn keys_of_old_borgs_do_not_say_whether_a_tam_is_required() {
        let key = Key::generate(EncryptionMode::Repokey, RepositoryId([7; 32]), &mut |bytes| bytes.fill(1));
        let mut secrets = key.states.secrets.clone().unwrap();
        secrets.tam_required = None;
        let Ok(decoded) = Secrets::decode(&secrets.encode()) else { panic!("it is whole") };
        assert!(decoded == secrets);
    }
}
