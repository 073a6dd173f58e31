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
use aes::cipher::KeyInit;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};
use zeroize::Zeroizing;

use crate::Random;
use crate::hash::Hash;
use crate::key::{Key, Secrets, SecretsError};
use crate::keystream::Keystream;
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
        let mut data = key.states.secrets.as_ref().expect("mode none keeps no key blob").encode();
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

    pub(crate) fn encode(&self) -> Vec<u8> {
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

    pub(crate) fn decode(packed: &[u8]) -> Result<Self, KeyBlobError> {
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
    Keystream::new(&Aes256Enc::new(kek.into()), 0).apply_in_place(data);
}

const ALGORITHM: &[u8] = b"sha256";
/// What stock writes.
const ITERATIONS: u32 = 100_000;
/// Some seconds of work; more would let a blob that was tampered with stop the client for hours.
const MAX_ITERATIONS: u32 = 10_000_000;
const LINE: usize = 70;

/// Body of a fuzz target: any text gives a blob or an error, and what is read is written and read again alike.
pub fn fuzz_key_blob(text: &str) {
    if let Ok(blob) = text.parse::<KeyBlob>() {
        assert_eq!(blob.to_string().parse(), Ok(blob));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worldkeeper_core::RepositoryId;

    use super::*;

    /// A blob around any inner map, cheap to open.
    fn around(inner: &[u8], passphrase: &str) -> KeyBlob {
        let salt = vec![2; 32];
        let kek = derive(passphrase, &salt, 1);
        let mut data = inner.to_vec();
        apply_keystream(&kek, &mut data);
        KeyBlob { data, hash: Hash::hmac_sha256(&kek[..]).digest(inner), iterations: 1, salt }
    }

    fn secrets(mode: EncryptionMode) -> Zeroizing<Vec<u8>> {
        let key = Key::generate(mode, RepositoryId([9; 32]), &mut |bytes| bytes.fill(0x42));
        key.states.secrets.as_ref().unwrap().encode()
    }

    #[test]
    fn a_sealed_key_is_opened_with_its_passphrase_alone() {
        let mode = EncryptionMode::RepokeyBlake2;
        let key = Key::generate(mode, RepositoryId([9; 32]), &mut |bytes| bytes.fill(0x42));
        let blob = KeyBlob::seal(&key, "grüße ☃", &mut |salt| salt.fill(5));
        let opened = blob.to_string().parse::<KeyBlob>().unwrap().open(mode, "grüße ☃").unwrap();
        assert!(opened.states.secrets == key.states.secrets);
        for wrong in ["", "grüße", "grüße ☃ ", "GRÜSSE ☃"] {
            assert_eq!(blob.open(mode, wrong).unwrap_err(), KeyBlobError::WrongPassphrase, "{wrong:?}");
        }
    }

    #[test]
    fn the_empty_passphrase_is_one_like_others() {
        let mode = EncryptionMode::Repokey;
        let blob = around(&secrets(mode), "");
        assert!(blob.open(mode, "").is_ok());
        assert_eq!(blob.open(mode, "x").unwrap_err(), KeyBlobError::WrongPassphrase);
    }

    #[test]
    fn a_key_of_the_other_family_does_not_fit() {
        let blob = around(&secrets(EncryptionMode::Repokey), "p");
        for mode in EncryptionMode::ALL {
            let fits = mode != EncryptionMode::None && !mode.uses_blake2();
            match blob.open(mode, "p") {
                Ok(key) => assert!(fits && key.mode() == mode),
                Err(error) => assert!(!fits && error == KeyBlobError::WrongMode(mode)),
            }
        }
    }

    #[test]
    fn damage_is_noticed_everywhere() {
        let mode = EncryptionMode::Repokey;
        let blob = around(&secrets(mode), "p");
        let packed = blob.encode();
        for len in 0..packed.len() {
            assert!(matches!(KeyBlob::decode(&packed[..len]), Err(KeyBlobError::Damaged(_))), "{len} bytes");
        }
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = KeyBlob::decode(&flipped).and_then(|blob| {
                // Some flips ask for many iterations; that they are waited for is another test's matter.
                if blob.iterations > 1000 {
                    Err(KeyBlobError::Iterations(blob.iterations.into()))
                } else {
                    blob.open(mode, "p")
                }
            });
            assert!(opened.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let parse = |text: &str| text.parse::<KeyBlob>().unwrap_err();
        assert_eq!(parse("no key at all!"), KeyBlobError::NotBase64);
        assert!(matches!(parse(""), KeyBlobError::Damaged(_)));
        assert!(matches!(parse("aGVsbG8="), KeyBlobError::Damaged(_)));

        let outer = |algorithm: &str, iterations: u64, version: u64| {
            let mut encoder = Encoder::new();
            encoder.map(6).raw("algorithm").raw(algorithm).raw("data").raw("").raw("hash").raw([0; 32]);
            encoder.raw("iterations").uint(iterations).raw("salt").raw([0; 32]).raw("version").uint(version);
            KeyBlob::decode(&encoder.finish())
        };
        assert!(outer("sha256", 1, 1).is_ok());
        assert!(outer("sha256", 10_000_000, 1).is_ok());
        assert_eq!(outer("sha256", 10_000_001, 1), Err(KeyBlobError::Iterations(10_000_001)));
        assert_eq!(outer("sha256", u64::MAX, 1), Err(KeyBlobError::Iterations(u64::MAX.into())));
        assert_eq!(outer("sha256", 0, 1), Err(KeyBlobError::Iterations(0)));
        assert_eq!(
            outer("argon2 chacha20-poly1305", 1, 1),
            Err(KeyBlobError::UnsupportedAlgorithm("argon2 chacha20-poly1305".into()))
        );
        assert_eq!(outer("sha256", 1, 2), Err(KeyBlobError::UnsupportedVersion(2)));

        let open = |inner: &[u8]| around(inner, "p").open(EncryptionMode::Repokey, "p").unwrap_err();
        assert_eq!(open(b"\x81\xa7version\x02"), KeyBlobError::UnsupportedVersion(2));
        assert_eq!(open(b"\x81\xa7version\x01"), KeyBlobError::Missing("repository_id"));
        assert!(matches!(open(b"garbage"), KeyBlobError::Damaged(_)));
    }

    #[test]
    fn lines_have_seventy_characters() {
        let text = around(&secrets(EncryptionMode::RepokeyBlake2), "p").to_string();
        let lines: Vec<_> = text.split('\n').collect();
        let (last, full) = lines.split_last().unwrap();
        assert!(full.iter().all(|line| line.len() == 70) && (1..=70).contains(&last.len()));
        // As `config` has it.
        assert_eq!(lines.join("\n\t").parse::<KeyBlob>().unwrap().to_string(), text);
        assert_eq!(lines.concat().parse::<KeyBlob>().unwrap().to_string(), text);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), text: String) {
            fuzz_key_blob(&text);
            fuzz_key_blob(&BASE64.encode(bytes));
        }
    }
}
