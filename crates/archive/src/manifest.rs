//! The manifest: which archives a repository has.
//!
//! It is the object whose id is all zeros, and the only one that is replaced. Its timestamp grows with every write:
//! clients remember it, and see by it when a repository was rolled back.
//!
//! Source: borg 1.4 `helpers/manifest.py`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Value};
use worldkeeper_core::time::{self, ParseTimeError};
use worldkeeper_crypto::Key;
use worldkeeper_crypto::tam::{self, Context, Tam, TamError};

use crate::fields::{Field, encode_map, keep_unknown};
use crate::item_codec::ITEM_KEYS;
use crate::name::{ArchiveName, MAX_NAME_LEN};

/// The list of archives, and what else holds for the whole repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The archives by name.
    pub archives: BTreeMap<ArchiveName, ArchiveEntry>,
    /// When it was last written, in microseconds; `None` if it never was.
    pub timestamp: Option<Timestamp>,
    /// Settings; `tam_required` and `feature_flags` are known.
    pub config: BTreeMap<Vec<u8>, Value>,
    /// The keys that items of this repository may have: those we know and those that others added.
    pub item_keys: BTreeSet<Vec<u8>>,
    /// Keys of other versions, kept as they are.
    pub unknown: Vec<(Vec<u8>, Value)>,
}

/// Where an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The id of the object that holds its metadata.
    pub id: ChunkId,
    /// When it was begun.
    pub time: Timestamp,
}

/// Whether a manifest without a TAM is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TamPolicy {
    /// It is not: the rule in every mode but `none`.
    Required,
    /// It is. A TAM that does not match is refused all the same.
    Optional,
}

/// What a client is about to do; feature flags can forbid each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List and extract.
    Read,
    /// Check and repair, and whatever must understand every detail.
    Check,
    /// Add archives.
    Write,
    /// Delete archives, for which every reference must be counted.
    Delete,
}

/// Why bytes are no manifest, or none to be believed or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not packed as a manifest is.
    #[error("the manifest cannot be decoded")]
    Decode(#[from] DecodeError),
    /// It announces itself as something borg 1.x cannot read.
    #[error("the manifest is in a format of a later borg")]
    FutureFormat,
    /// A key that every manifest has.
    #[error("the manifest has no {0}")]
    Missing(&'static str),
    /// Borg 1.x reads versions 1 and 2.
    #[error("the manifest has version {0}, borg 1.x knows 1 and 2")]
    UnsupportedVersion(i128),
    /// A time in another form.
    #[error("a time in the manifest cannot be read")]
    Time(#[source] ParseTimeError),
    /// Two archives of one name.
    #[error("the manifest lists archive {0} twice")]
    Duplicate(ArchiveName),
    /// Anybody can have written it, who can write to the repository.
    #[error("the manifest is not authenticated, but must be")]
    TamRequired,
    /// It was not written by somebody who had the key, or was changed since.
    #[error("the manifest cannot be authenticated")]
    Tam(#[source] TamError),
    /// Someone used a feature that we do not know and must know for this.
    #[error("the repository uses features that this needs and that are not known here: {}", .0.join(", "))]
    UnsupportedFeatures(Vec<String>),
    /// Stock could not read what would be written.
    #[error("the manifest would have {count} {what}, borg reads at most {limit}")]
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many stock reads.
        limit: usize,
    },
}

impl Manifest {
    /// The manifest of a repository that is being created.
    pub fn new() -> Self {
        Self {
            archives: BTreeMap::new(),
            timestamp: None,
            config: BTreeMap::new(),
            item_keys: ITEM_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect(),
            unknown: Vec::new(),
        }
    }

    /// Packs the manifest for being stored at the time `now`, with a TAM made by `key`; the salt is new and random.
    ///
    /// The timestamp moves on to `now`, or where the clock went back, a microsecond past the last one: stock would take
    /// a smaller one for an attack.
    pub fn write(&mut self, key: &Key, salt: &[u8; 64], now: Timestamp) -> Result<Vec<u8>, ManifestError> {
        self.check_limits()?;
        let next = self.timestamp.map(|last| last.saturating_add(SignedDuration::from_micros(1)).unwrap_or(last));
        let timestamp = next.map_or(now, |next| next.max(now));
        self.timestamp = Some(timestamp);
        if key.tam_required() == Some(true) {
            self.config.insert(b"tam_required".to_vec(), Value::Bool(true));
        }
        Ok(self.encode(key, salt, timestamp))
    }

    /// Reads a packed manifest and checks its TAM.
    pub fn decode(key: &Key, packed: &[u8], policy: TamPolicy) -> Result<(Self, Tam), ManifestError> {
        if packed.starts_with(FUTURE_FORMAT) {
            return Err(ManifestError::FutureFormat);
        }
        let tam = match tam::verify(key, Context::Manifest, packed) {
            Ok(tam) => tam,
            Err(TamError::Decode(error)) => return Err(error.into()),
            // As stock: who may do without one may as well have one that is not understood.
            Err(TamError::UnsupportedType(_)) if policy == TamPolicy::Optional => Tam::Missing,
            Err(error) => return Err(ManifestError::Tam(error)),
        };
        if tam == Tam::Missing && policy == TamPolicy::Required {
            return Err(ManifestError::TamRequired);
        }
        Ok((Self::decode_unverified(packed)?, tam))
    }

    /// Whether the manifest itself says that a TAM is required from now on.
    pub fn tam_required(&self) -> bool {
        self.config.get(b"tam_required".as_slice()) == Some(&Value::Bool(true))
    }

    /// Requires that no feature stands in the way of `operation`. None are known here, and none was ever used by
    /// borg 1.x.
    pub fn check_features(&self, operation: Operation) -> Result<(), ManifestError> {
        let Some(flags) = self.config.get(b"feature_flags".as_slice()) else { return Ok(()) };
        let Some(mandatory) = flags.get(operation.key()).and_then(|flags| flags.get("mandatory")) else {
            return Ok(());
        };
        let features: Vec<_> = match mandatory {
            Value::Array(features) => features.iter().map(feature_name).collect(),
            other => vec![feature_name(other)],
        };
        if features.is_empty() { Ok(()) } else { Err(ManifestError::UnsupportedFeatures(features)) }
    }

    fn check_limits(&self) -> Result<(), ManifestError> {
        let longest = self.archives.keys().map(|name| name.as_bytes().len()).max().unwrap_or(0);
        for (what, count, limit) in [
            ("archives", self.archives.len(), MAX_ARCHIVES),
            ("bytes in an archive name", longest, MAX_NAME_LEN),
            ("item keys", self.item_keys.len(), MAX_ITEM_KEYS),
        ] {
            if count > limit {
                return Err(ManifestError::TooMany { what, count, limit });
            }
        }
        Ok(())
    }

    fn encode(&self, key: &Key, salt: &[u8; 64], timestamp: Timestamp) -> Vec<u8> {
        let mut archives = Encoder::new();
        archives.map(self.archives.len());
        for (name, entry) in &self.archives {
            archives.raw(name.as_bytes()).map(2);
            archives.raw("id").raw(entry.id.0);
            archives.raw("time").raw(time::to_text(entry.time));
        }
        let mut config = Encoder::new();
        config.map(self.config.len());
        for (key, value) in &self.config {
            config.raw(key);
            value.encode(&mut config);
        }
        let mut item_keys = Encoder::new();
        item_keys.array(self.item_keys.len());
        for key in &self.item_keys {
            item_keys.raw(key);
        }

        let (archives, config, item_keys) = (archives.finish(), config.finish(), item_keys.finish());
        let timestamp = time::to_text(timestamp);
        let fields = [
            ("archives", Some(Field::Packed(&archives))),
            ("config", Some(Field::Packed(&config))),
            ("item_keys", Some(Field::Packed(&item_keys))),
            ("tam", Some(Field::Tam(salt))),
            ("timestamp", Some(Field::Raw(timestamp.as_bytes()))),
            ("version", Some(Field::Uint(1))),
        ];
        let mut encoder = Encoder::new();
        let tam = encode_map(&mut encoder, &fields, &self.unknown).expect("tam is one of the fields");
        let mut packed = encoder.finish();
        tam.sign(key, Context::Manifest, &mut packed);
        packed
    }

    fn decode_unverified(packed: &[u8]) -> Result<Self, ManifestError> {
        let mut decoder = Decoder::new(packed);
        let mut manifest = Self::new();
        let (mut version, mut archives, mut config) = (None, None, None);
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"archives" => archives = Some(decode_archives(&mut decoder)?),
                b"config" => config = Some(decode_config(&mut decoder)?),
                b"item_keys" => {
                    for _ in 0..decoder.array()? {
                        manifest.item_keys.insert(decoder.raw()?.to_vec());
                    }
                }
                b"tam" => _ = decoder.skip()?,
                b"timestamp" => manifest.timestamp = Some(moment(&mut decoder)?),
                b"version" => version = Some(decoder.int()?),
                unknown => keep_unknown(&mut manifest.unknown, unknown, Value::decode(&mut decoder)?),
            }
        }
        decoder.finish()?;
        match version.ok_or(ManifestError::Missing("version"))? {
            1 | 2 => {}
            other => return Err(ManifestError::UnsupportedVersion(other)),
        }
        Ok(Self {
            archives: archives.ok_or(ManifestError::Missing("archives"))?,
            config: config.ok_or(ManifestError::Missing("config"))?,
            ..manifest
        })
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self::new()
    }
}

impl Operation {
    fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

fn decode_archives(decoder: &mut Decoder<'_>) -> Result<BTreeMap<ArchiveName, ArchiveEntry>, ManifestError> {
    let mut archives = BTreeMap::new();
    for _ in 0..decoder.map()? {
        let name = ArchiveName::from_bytes(decoder.raw()?);
        let (mut id, mut time) = (None, None);
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"id" => id = Some(ChunkId(decoder.raw_array()?)),
                b"time" => time = Some(moment(decoder)?),
                _ => _ = decoder.skip()?,
            }
        }
        let entry = ArchiveEntry {
            id: id.ok_or(ManifestError::Missing("id of an archive"))?,
            time: time.ok_or(ManifestError::Missing("time of an archive"))?,
        };
        if archives.insert(name.clone(), entry).is_some() {
            return Err(ManifestError::Duplicate(name));
        }
    }
    Ok(archives)
}

fn decode_config(decoder: &mut Decoder<'_>) -> Result<BTreeMap<Vec<u8>, Value>, ManifestError> {
    let mut config = BTreeMap::new();
    for _ in 0..decoder.map()? {
        config.insert(decoder.raw()?.to_vec(), Value::decode(decoder)?);
    }
    Ok(config)
}

fn moment(decoder: &mut Decoder<'_>) -> Result<Timestamp, ManifestError> {
    time::parse(&String::from_utf8_lossy(decoder.raw()?)).map_err(ManifestError::Time)
}

fn feature_name(value: &Value) -> String {
    String::from_utf8_lossy(value.as_raw().unwrap_or(b"?")).chars().take(64).collect()
}

/// How a manifest begins that borg 1.x shall not try to read.
const FUTURE_FORMAT: &[u8] = &[0xc1; 4];
/// What stock reads and refuses to exceed.
const MAX_ARCHIVES: usize = 400_000;
/// As `MAX_ARCHIVES`.
const MAX_ITEM_KEYS: usize = 100;

/// Body of a fuzz target: any bytes give a manifest or an error, and what is read is written and read again alike.
pub fn fuzz_manifest(bytes: &[u8]) {
    let key = Key::plaintext();
    _ = Manifest::decode(&key, bytes, TamPolicy::Optional);
    if let Ok(mut manifest) = Manifest::decode_unverified(bytes) {
        for operation in [Operation::Read, Operation::Check, Operation::Write, Operation::Delete] {
            _ = manifest.check_features(operation);
        }
        let salt = [7; 64];
        let Ok(packed) = manifest.write(&key, &salt, Timestamp::UNIX_EPOCH) else { return };
        let (again, tam) = Manifest::decode(&key, &packed, TamPolicy::Required).expect("what was written can be read");
        manifest.unknown.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!((again, tam), (manifest, Tam::Valid { salt: salt.to_vec() }));
    }
}
