//! Tertiary authentication: proof that metadata was written by somebody who had the key.
//!
//! An object's MAC says that the key sealed it, but not as what: an attacker could store a file's content as manifest.
//! The maps of the manifest and of archives therefore carry `tam` = {`hmac` 64 bytes, `salt` 64 bytes, `type`}, made
//! over the packed map with 64 zero bytes in the place of the HMAC.
//!
//! HMAC-SHA-512 is keyed with HKDF-SHA-512(id_key ‖ enc_key ‖ enc_hmac_key, salt, context), or in mode `none`, where it
//! proves nothing, with salt ‖ context.
//!
//! Source: borg 1.4 `crypto/key.py`, `pack_and_authenticate_metadata`, `unpack_and_verify_manifest`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Kind};
use zeroize::Zeroizing;

use crate::hash::ANY_LENGTH;
use crate::key::Key;

/// What the metadata is; a TAM made for one is not valid for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The manifest.
    Manifest,
    /// The metadata of an archive.
    Archive,
}

/// What [`verify`] found, where it found nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tam {
    /// The metadata was written by somebody who had the key.
    Valid {
        /// The salt it was made with; `check` keeps it, so that an archive it did not change keeps its id.
        salt: Vec<u8>,
    },
    /// There is none. Whether that is tolerated is the caller's matter.
    Missing,
}

/// Why a TAM proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TamError {
    /// Not made with our key for this context, or the metadata was changed since.
    #[error("the TAM does not match the metadata")]
    Invalid,
    /// Made in a way that borg 1.x does not know.
    #[error("TAM type {0:?} is not supported")]
    UnsupportedType(String),
    /// The metadata is no map.
    #[error("the metadata cannot be decoded")]
    Decode(#[from] DecodeError),
}

/// A TAM that was packed with zeros and waits for its HMAC.
#[must_use = "the metadata has no valid TAM before it is signed"]
#[derive(Debug)]
pub struct Unsigned {
    hmac_at: usize,
    salt: [u8; 64],
}

impl Unsigned {
    /// Writes the value of the key `tam`, with zeros for the HMAC. `encoder` must have begun with the map.
    pub fn encode(salt: [u8; 64], encoder: &mut Encoder) -> Self {
        encoder.map(3).raw("hmac").raw([0; HMAC_LEN]);
        let hmac_at = encoder.len() - HMAC_LEN;
        encoder.raw("salt").raw(salt).raw("type").raw(TYPE);
        Self { hmac_at, salt }
    }

    /// Puts the HMAC into the packed map.
    ///
    /// # Panics
    ///
    /// If `packed` is not what the encoder given to [`encode`](Self::encode) made.
    pub fn sign(self, key: &Key, context: Context, packed: &mut [u8]) {
        let hmac = keyed(key, context, &self.salt).chain_update(&*packed).finalize().into_bytes();
        let place = &mut packed[self.hmac_at..][..HMAC_LEN];
        assert!(place.iter().all(|byte| *byte == 0), "the HMAC's place was packed with zeros");
        place.copy_from_slice(&hmac);
    }
}

/// Checks the TAM in a packed map.
pub fn verify(key: &Key, context: Context, packed: &[u8]) -> Result<Tam, TamError> {
    let Some(tam) = find(packed)? else { return Ok(Tam::Missing) };
    let Some(Fields { hmac, salt, type_name }) = Fields::decode(tam)? else { return Err(TamError::Invalid) };
    if type_name != TYPE {
        return Err(TamError::UnsupportedType(String::from_utf8_lossy(type_name).chars().take(64).collect()));
    }
    let (Some(hmac), Some(salt)) = (hmac, salt) else { return Err(TamError::Invalid) };
    let hmac: &[u8; HMAC_LEN] = hmac.try_into().map_err(|_| TamError::Invalid)?;
    // Stock replaces the first occurrence, wherever that is; with another choice the two would disagree on forgeries.
    let at = packed.windows(HMAC_LEN).position(|window| window == hmac).expect("the HMAC was read from there");
    let calculated = keyed(key, context, salt)
        .chain_update(&packed[..at])
        .chain_update([0; HMAC_LEN])
        .chain_update(&packed[at + HMAC_LEN..])
        .finalize()
        .into_bytes();
    if bool::from(calculated.as_slice().ct_eq(hmac)) {
        Ok(Tam::Valid { salt: salt.to_vec() })
    } else {
        Err(TamError::Invalid)
    }
}

/// The packed value of the key `tam`; the last one, where there are several, as Python's maps have it.
fn find(packed: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    let mut decoder = Decoder::new(packed);
    let mut tam = None;
    for _ in 0..decoder.map()? {
        let is_tam = decoder.peek()? == Kind::Raw && decoder.clone().raw()? == b"tam";
        decoder.skip()?;
        let value = decoder.skip()?;
        if is_tam {
            tam = Some(value);
        }
    }
    decoder.finish()?;
    Ok(tam)
}

struct Fields<'a> {
    hmac: Option<&'a [u8]>,
    salt: Option<&'a [u8]>,
    type_name: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads the map; `None` if it is none, or something in it is of another kind.
    fn decode(packed: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut decoder = Decoder::new(packed);
        if decoder.peek()? != Kind::Map {
            return Ok(None);
        }
        let mut fields = Self { hmac: None, salt: None, type_name: b"<none>" };
        for _ in 0..decoder.map()? {
            let (Ok(key), Ok(Kind::Raw)) = (decoder.raw(), decoder.peek()) else { return Ok(None) };
            let value = decoder.raw()?;
            match key {
                b"hmac" => fields.hmac = Some(value),
                b"salt" => fields.salt = Some(value),
                b"type" => fields.type_name = value,
                _ => {}
            }
        }
        Ok(Some(fields))
    }
}

/// HMAC-SHA-512 with the key for this context and salt.
fn keyed(key: &Key, context: Context, salt: &[u8]) -> Hmac<Sha512> {
    let name: &[u8] = match context {
        Context::Manifest => b"manifest",
        Context::Archive => b"archive",
    };
    match &key.states.secrets {
        None => hmac(&[salt, name].concat()),
        Some(secrets) => {
            let input = Zeroizing::new([&secrets.id_key[..], &secrets.enc_key, &secrets.enc_hmac_key].concat());
            hmac(&hkdf_sha512(&input, salt, &[b"borg-metadata-authentication-", name].concat())[..])
        }
    }
}

/// HKDF-SHA-512 for the one output length that is used, which is a single block (RFC 5869).
fn hkdf_sha512(input: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; HMAC_LEN]> {
    let extracted = Zeroizing::new(<[u8; HMAC_LEN]>::from(hmac(salt).chain_update(input).finalize().into_bytes()));
    Zeroizing::new(hmac(&extracted[..]).chain_update(info).chain_update([1]).finalize().into_bytes().into())
}

fn hmac(key: &[u8]) -> Hmac<Sha512> {
    Hmac::new_from_slice(key).expect(ANY_LENGTH)
}

const HMAC_LEN: usize = 64;
const TYPE: &[u8] = b"HKDF_HMAC_SHA512";

/// Body of a fuzz target: whatever the bytes are, they are not taken for what somebody signed with a key.
pub fn fuzz_verify(bytes: &[u8]) {
    let repository_id = worldkeeper_core::RepositoryId([0; 32]);
    let key = Key::generate(crate::EncryptionMode::Repokey, repository_id, &mut |bytes| bytes.fill(0x5a));
    assert!(!matches!(verify(&key, Context::Manifest, bytes), Ok(Tam::Valid { .. })));
    _ = verify(&Key::plaintext(), Context::Archive, bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use worldkeeper_core::RepositoryId;
    use worldkeeper_testkit::fixtures;

    use super::*;
    use crate::EncryptionMode;

    fn key() -> Key {
        Key::generate(EncryptionMode::RepokeyBlake2, RepositoryId([1; 32]), &mut |bytes| bytes.fill(6))
    }

    fn signed(key: &Key, context: Context) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(2).raw("tam");
        let unsigned = Unsigned::encode([3; 64], &mut encoder);
        encoder.raw("version").uint(1);
        let mut packed = encoder.finish();
        unsigned.sign(key, context, &mut packed);
        packed
    }

    /// A map with a `tam` that `write` makes up.
    fn forged(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(1).raw("tam");
        write(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn hkdf_is_as_recorded() {
        #[derive(Deserialize)]
        struct Vectors {
            hkdf_hmac_sha512: Vec<Hkdf>,
        }
        #[derive(Deserialize)]
        struct Hkdf {
            ikm: String,
            salt: String,
            info: String,
            length: usize,
            okm: String,
        }
        let vectors: Vectors = fixtures::json("vectors/crypto.json");
        assert!(!vectors.hkdf_hmac_sha512.is_empty());
        for Hkdf { ikm, salt, info, length, okm } in vectors.hkdf_hmac_sha512 {
            assert_eq!(length, HMAC_LEN);
            let key = hkdf_sha512(&hex::decode(ikm).unwrap(), &hex::decode(salt).unwrap(), info.as_bytes());
            assert_eq!(hex::encode(&key[..]), okm);
        }
    }

    #[test]
    fn signing_holds_for_one_key_and_one_context() {
        let key = key();
        let packed = signed(&key, Context::Manifest);
        assert_eq!(verify(&key, Context::Manifest, &packed), Ok(Tam::Valid { salt: vec![3; 64] }));
        assert_eq!(verify(&key, Context::Archive, &packed), Err(TamError::Invalid));
        assert_eq!(verify(&Key::plaintext(), Context::Manifest, &packed), Err(TamError::Invalid));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = key();
        let packed = signed(&key, Context::Archive);
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(verify(&key, Context::Archive, &flipped), Ok(Tam::Valid { .. })), "bit {bit}");
        }
    }

    #[test]
    fn a_missing_tam_is_told_from_a_wrong_one() {
        let key = key();
        assert_eq!(verify(&key, Context::Manifest, b"\x81\xa7version\x01"), Ok(Tam::Missing));
        let check = |packed: Vec<u8>| verify(&key, Context::Manifest, &packed);
        assert_eq!(check(forged(|tam| _ = tam.nil())), Err(TamError::Invalid));
        assert_eq!(check(forged(|tam| _ = tam.map(1).raw("type").raw(TYPE))), Err(TamError::Invalid));
        assert_eq!(
            check(forged(|tam| {
                // An empty HMAC is found everywhere, one of 63 bytes nowhere in particular.
                tam.map(3).raw("hmac").raw("").raw("salt").raw([0; 64]).raw("type").raw(TYPE);
            })),
            Err(TamError::Invalid)
        );
        assert_eq!(
            check(forged(|tam| _ = tam.map(1).raw("type").raw("HKDF_HMAC_SHA3"))),
            Err(TamError::UnsupportedType("HKDF_HMAC_SHA3".into()))
        );
        assert_eq!(check(forged(|tam| _ = tam.map(0))), Err(TamError::UnsupportedType("<none>".into())));
        assert!(matches!(check(vec![0x01]), Err(TamError::Decode(_))));
        assert!(matches!(check(vec![]), Err(TamError::Decode(_))));
    }

    #[test]
    fn bytes_behind_the_map_are_refused() {
        let key = key();
        let packed = [signed(&key, Context::Manifest), vec![0xc0]].concat();
        assert!(matches!(verify(&key, Context::Manifest, &packed), Err(TamError::Decode(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            fuzz_verify(&bytes);
        }

        #[test]
        fn any_tam_is_survived(hmac in proptest::collection::vec(any::<u8>(), 0..66), salt: Vec<u8>) {
            fuzz_verify(&forged(|tam| _ = tam.map(3).raw("hmac").raw(hmac).raw("salt").raw(salt).raw("type").raw(TYPE)));
        }
    }
}
