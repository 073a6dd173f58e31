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
    match &key.secrets {
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
