//! The key blob: a key under a passphrase, as text.
//!
//! The text is base64 in lines of 70 characters. Inside is a map:
//!
//! | key          | value   | meaning                                                        |
//! |--------------|---------|----------------------------------------------------------------|
//! | `algorithm`  | sha256  | nothing else was ever used                                     |
//! | `data`       | bytes   | the inner map, AES-256-CTR under kek with a counter from zero  |
//! | `hash`       | 32      | HMAC-SHA-256(kek, inner map): a wrong passphrase does not match|
//! | `iterations` | int     | of PBKDF2; stock writes 100 000                                |
//! | `salt`       | 32      | of PBKDF2                                                      |
//! | `version`    | 1       |                                                                |
//!
//! kek = PBKDF2-HMAC-SHA-256(passphrase, salt, iterations).
//!
//! Source: borg 1.4 `crypto/key.py`, `KeyfileKeyBase._load`, `encrypt_key_file`.

use std::fmt;
use std::str::FromStr;

use aes::Aes256Enc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};
use zeroize::Zeroizing;

use crate::Random;
use crate::hash::Hash;
use crate::key::{Key, Secrets, SecretsError};
use crate::mode::EncryptionMode;

/// A key under a passphrase. Parsing reads the outer map, [`open`](Self::open) needs the passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyBlob {
    data: Vec<u8>,
    hash: [u8; 32],
    iterations: u32,
    salt: Vec<u8>,
}

/// Why a key blob gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyBlobError {
    /// The text is something else, or was cut in transit.
    #[error("the key is not base64 text")]
    NotBase64,
    /// Base64, but not of a key.
    #[error("the key is damaged")]
    Damaged(#[source] DecodeError),
    /// A field is not there.
    #[error("the key is damaged: {0} is missing")]
    Missing(&'static str),
    /// From a later borg, or tampered with.
    #[error("the key is protected by algorithm {0:?}, which borg 1.x does not know")]
    UnsupportedAlgorithm(String),
    /// From a later borg, or tampered with.
    #[error("the key has version {0}, borg 1.x knows version 1 only")]
    UnsupportedVersion(i128),
    /// More work than anybody asks for, or none: the blob was tampered with.
    #[error("the key asks for {0} iterations of PBKDF2, expected 1 to {MAX_ITERATIONS}")]
    Iterations(i128),
    /// The passphrase is not the one the key was stored under.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The passphrase is right, but the key is not for the mode that the repository's objects have.
    #[error("the key does not fit a repository of mode {0}")]
    WrongMode(EncryptionMode),
}

impl KeyBlob {
    /// Puts a key under a passphrase.
    ///
    /// # Panics
    ///
    /// If it is the key of mode `none`, which has no secrets.
    pub fn seal(key: &Key, passphrase: &str, random: Random<'_>) -> Self {
        let mut data = key.secrets.as_ref().expect("mode none keeps no key blob").encode();
        let mut salt = vec![0; 32];
        random(&mut salt);
        let kek = derive(passphrase, &salt, ITERATIONS);
        let hash = Hash::hmac_sha256(&kek[..]).digest(&data);
        apply_keystream(&kek, &mut data);
        Self { data: std::mem::take(&mut *data), hash, iterations: ITERATIONS, salt }
    }

    /// Takes the key out. `mode` is that of the repository's objects: the blob does not say it.
    ///
    /// Whether the key belongs to the repository at hand is for the caller to see: [`Key::repository_id`].
    pub fn open(&self, mode: EncryptionMode, passphrase: &str) -> Result<Key, KeyBlobError> {
        let kek = derive(passphrase, &self.salt, self.iterations);
        let mut inner = Zeroizing::new(self.data.clone());
        apply_keystream(&kek, &mut inner);
        let hash = Hash::hmac_sha256(&kek[..]).digest(&inner);
        if !bool::from(hash.ct_eq(&self.hash)) {
            return Err(KeyBlobError::WrongPassphrase);
        }
        let secrets = Secrets::decode(&inner)?;
        Key::from_secrets(mode, secrets).ok_or(KeyBlobError::WrongMode(mode))
    }

    fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(6);
        encoder.raw("algorithm").raw(ALGORITHM);
        encoder.raw("data").raw(&self.data);
        encoder.raw("hash").raw(self.hash);
        encoder.raw("iterations").uint(self.iterations.into());
        encoder.raw("salt").raw(&self.salt);
        encoder.raw("version").uint(1);
        encoder.finish()
    }

    fn decode(packed: &[u8]) -> Result<Self, KeyBlobError> {
        let mut decoder = Decoder::new(packed);
        let (mut algorithm, mut data, mut hash, mut iterations, mut salt, mut version) =
            (None, None, None, None, None, None);
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"algorithm" => algorithm = Some(decoder.raw()?),
                b"data" => data = Some(decoder.raw()?.to_vec()),
                b"hash" => hash = Some(decoder.raw_array()?),
                b"iterations" => iterations = Some(decoder.int()?),
                b"salt" => salt = Some(decoder.raw()?.to_vec()),
                b"version" => version = Some(decoder.int()?),
                _ => _ = decoder.skip()?,
            }
        }
        decoder.finish()?;
        match version.ok_or(KeyBlobError::Missing("version"))? {
            1 => {}
            other => return Err(KeyBlobError::UnsupportedVersion(other)),
        }
        let algorithm = algorithm.ok_or(KeyBlobError::Missing("algorithm"))?;
        if algorithm != ALGORITHM {
            let name = String::from_utf8_lossy(algorithm).chars().take(64).collect();
            return Err(KeyBlobError::UnsupportedAlgorithm(name));
        }
        let iterations = iterations.ok_or(KeyBlobError::Missing("iterations"))?;
        Ok(Self {
            data: data.ok_or(KeyBlobError::Missing("data"))?,
            hash: hash.ok_or(KeyBlobError::Missing("hash"))?,
            iterations: u32::try_from(iterations)
                .ok()
                .filter(|count| (1..=MAX_ITERATIONS).contains(count))
                .ok_or(KeyBlobError::Iterations(iterations))?,
            salt: salt.ok_or(KeyBlobError::Missing("salt"))?,
        })
    }
}

/// The text form: base64 in lines of 70 characters, without a newline at the end.
impl fmt::Display for KeyBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE64.encode(self.encode());
        let mut rest = text.as_str();
        while rest.len() > LINE {
            let (line, behind) = rest.split_at(LINE);
            writeln!(f, "{line}")?;
            rest = behind;
        }
        f.write_str(rest)
    }
}

/// Shows nothing: the content is secret when the passphrase is weak.
impl fmt::Debug for KeyBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBlob")
    }
}

impl FromStr for KeyBlob {
    type Err = KeyBlobError;

    /// Reads the text form; white space may stand anywhere, since `config` indents the lines.
    fn from_str(text: &str) -> Result<Self, KeyBlobError> {
        let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let packed = BASE64.decode(compact).map_err(|_| KeyBlobError::NotBase64)?;
        Self::decode(&packed)
    }
}

impl From<DecodeError> for KeyBlobError {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error)
    }
}

impl From<SecretsError> for KeyBlobError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Decode(error) => Self::Damaged(error),
            SecretsError::Missing(key) => Self::Missing(key),
            SecretsError::Version(version) => Self::UnsupportedVersion(version),
        }
    }
}

fn derive(passphrase: &str, salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut kek = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.as_bytes(), salt, iterations, &mut kek[..]);
    kek
}

/// Encrypts or decrypts the inner map. The counter may begin at zero, because no kek is ever used twice.
fn apply_keystream(kek: &[u8; 32], data: &mut [u8]) {
    Ctr128BE::<Aes256Enc>::new(kek.into(), &[0; 16].into()).apply_keystream(data);
}

const ALGORITHM: &[u8] = b"sha256";
/// What stock writes.
const ITERATIONS: u32 = 100_000;
/// Some seconds of work; more would let a blob that was tampered with stop the client for hours.
const MAX_ITERATIONS: u32 = 10_000_000;
const LINE: usize = 70;
