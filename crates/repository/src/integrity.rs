//! Digests of the index and the hints, and the file that keeps them, `integrity.<T>`.
//!
//! Stock verifies both files with it. A missing integrity file means that nothing is verified; a torn one stops
//! stock with a traceback, so it is never left behind.
//!
//! Source: borg 1.4 `crypto/file_integrity.py`.

use std::collections::BTreeMap;
use std::hash::Hasher;

use serde::Deserialize;
use twox_hash::XxHash64;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};

/// The only algorithm stock writes: XXH64, seed 0, written as 16 hex digits.
const ALGORITHM: &str = "XXH64";

/// Name of the digest that covers the whole file.
const FINAL_PART: &str = "final";

/// Version of the integrity file; other versions are not understood, by stock either.
const VERSION: u64 = 2;

/// Digests of the parts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests(BTreeMap<String, String>);

/// Digests a file while it is read or written.
///
/// The state runs on from part to part. Besides the bytes it takes the length and the text of the file's name, of
/// each part's name, and the position at which the part ends.
pub(crate) struct Digester {
    hasher: XxHash64,
    position: u64,
    digests: Digests,
}

impl Digester {
    /// Starts a file that will be called `name`, without directory.
    pub(crate) fn new(name: &str) -> Self {
        let mut digester = Self { hasher: XxHash64::with_seed(0), position: 0, digests: Digests::default() };
        digester.update_text(name);
        digester
    }

    /// Takes the next bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.position += bytes.len() as u64;
    }

    /// Ends a part.
    pub(crate) fn finish_part(&mut self, name: &str) {
        self.update_text(name);
        self.hasher.write(self.position.to_string().as_bytes());
        self.digests.0.insert(name.to_owned(), format!("{:016x}", self.hasher.finish()));
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Digests {
        self.finish_part(FINAL_PART);
        self.digests
    }

    fn update_text(&mut self, text: &str) {
        self.hasher.write(format!("{:10}", text.len()).as_bytes());
        self.hasher.write(text.as_bytes());
    }
}

impl Digests {
    /// Names a part that differs from what the file was found to be, in words for a message.
    pub(crate) fn mismatch(&self, found: &Self) -> Option<&'static str> {
        let differs = |part: &str| found.0.contains_key(part) && self.0.get(part) != found.0.get(part);
        match (differs("HashHeader"), differs(FINAL_PART)) {
            (true, _) => Some("header"),
            (false, true) => Some("content"),
            (false, false) => None,
        }
    }

    /// As Python's `json.dumps` writes it: stock reads any JSON, but a file of ours should be one of its.
    fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let digests = self.0.iter().map(|(part, digest)| format!("{}: {}", quoted(part), quoted(digest)));
        let digests: Vec<_> = digests.collect();
        format!(r#"{{"algorithm": "{ALGORITHM}", "digests": {{{}}}}}"#, digests.join(", "))
    }

    /// `None` if the digests are by an algorithm that is not ours to verify.
    fn from_json(text: &[u8]) -> Result<Option<Self>, IntegrityError> {
        #[derive(Deserialize)]
        struct Json {
            algorithm: String,
            digests: BTreeMap<String, String>,
        }
        let json: Json = serde_json::from_slice(text)?;
        if json.algorithm != ALGORITHM {
            return Ok(None);
        }
        if !json.digests.contains_key(FINAL_PART) {
            return Err(IntegrityError::NoFinalDigest);
        }
        Ok(Some(Self(json.digests)))
    }
}

/// What an integrity file says. A `None` is not verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Integrity {
    /// Digest of the hints.
    pub(crate) hints: Option<Digests>,
    /// Digests of the index.
    pub(crate) index: Option<Digests>,
}

/// Why bytes are no integrity file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntegrityError {
    #[error(transparent)]
    Packed(#[from] DecodeError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("there is no final digest")]
    NoFinalDigest,
}

impl Integrity {
    /// Encodes the file for a pair of index and hints.
    pub(crate) fn encode(hints: &Digests, index: &Digests) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(3);
        encoder.raw("version").uint(VERSION);
        encoder.raw("hints").raw(hints.to_json());
        encoder.raw("index").raw(index.to_json());
        encoder.finish()
    }

    /// Decodes the file. One of another version says nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, IntegrityError> {
        let mut decoder = Decoder::new(bytes);
        let (mut version, mut integrity) = (None, Self::default());
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"version" => version = Some(decoder.int()?),
                b"hints" => integrity.hints = Digests::from_json(decoder.raw()?)?,
                b"index" => integrity.index = Digests::from_json(decoder.raw()?)?,
                _ => _ = decoder.skip()?,
            }
        }
        decoder.finish()?;
        Ok(if version == Some(VERSION.into()) { integrity } else { Self::default() })
    }
}

#[cfg(test)]
impl From<BTreeMap<String, String>> for Digests {
    fn from(digests: BTreeMap<String, String>) -> Self {
        Self(digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_and_a_torn_one_is_an_error() {
        let mut digester = Digester::new("index.5");
        digester.update(b"header");
        digester.finish_part("HashHeader");
        digester.update(b"rest");
        let index = digester.finish();
        let hints = Digester::new("hints.5").finish();
        let bytes = Integrity::encode(&hints, &index);
        let read = Integrity::decode(&bytes).unwrap();
        assert_eq!(read, Integrity { hints: Some(hints.clone()), index: Some(index.clone()) });
        for len in 0..bytes.len() {
            assert!(Integrity::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(index.mismatch(&index), None);
        assert_eq!(Digester::new("hints.6").finish().mismatch(&hints), Some("content"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text: String) {
            let _ = Integrity::decode(&bytes);
            let _ = Digests::from_json(text.as_bytes());
        }

        #[test]
        fn digests_of_any_text_read_back(part: String, digest: String) {
            let digests = Digests([(FINAL_PART.to_owned(), digest.clone()), (part, digest)].into());
            assert_eq!(Digests::from_json(digests.to_json().as_bytes()).unwrap(), Some(digests));
        }
    }

    #[test]
    fn what_is_not_understood_is_not_verified() {
        let other_version = b"\x81\xa7version\x03";
        assert_eq!(Integrity::decode(other_version).unwrap(), Integrity::default());
        assert_eq!(Digests::from_json(br#"{"algorithm": "SHA512", "digests": {"final": ""}}"#).unwrap(), None);
        assert!(Digests::from_json(br#"{"algorithm": "XXH64", "digests": {}}"#).is_err());
    }
}
