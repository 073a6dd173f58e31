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

use crate::features::Operation;
use crate::fields::{Field, MAX_KEYS, encode_map, keys, limited};
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
    /// Keys of other versions and their values, packed, kept as they are.
    pub unknown: Vec<(Vec<u8>, Vec<u8>)>,
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
    /// Somebody used features that we would have to know for what is to be done.
    #[error("the repository uses features that are not known here: {}", .0.join(", "))]
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
        let now = Timestamp::from_microsecond(now.as_microsecond()).expect("cutting digits off stays in range");
        let next = self.timestamp.map(|last| last.saturating_add(SignedDuration::from_micros(1)).unwrap_or(last));
        let timestamp = next.map_or(now, |next| next.max(now));
        self.timestamp = Some(timestamp);
        if key.tam_required() == Some(true) {
            self.require_tam();
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
        self.config.get(TAM_REQUIRED) == Some(&Value::Bool(true))
    }

    /// Says in it that a TAM is required from now on.
    pub fn require_tam(&mut self) {
        self.config.insert(TAM_REQUIRED.to_vec(), Value::Bool(true));
    }

    /// Takes back what it says of that: without a TAM of its own it says nothing.
    pub fn forget_tam_required(&mut self) {
        self.config.remove(TAM_REQUIRED);
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
        let mut unknown = BTreeMap::new();
        for _ in 0..keys(&mut decoder)? {
            match decoder.raw()? {
                b"archives" => archives = Some(decode_archives(&mut decoder)?),
                b"config" => config = Some(decode_config(&mut decoder)?),
                b"item_keys" => {
                    for _ in 0..limited(decoder.array()?, MAX_KEYS)? {
                        manifest.item_keys.insert(decoder.raw()?.to_vec());
                    }
                }
                b"tam" => _ = decoder.skip()?,
                b"timestamp" => manifest.timestamp = Some(moment(&mut decoder)?),
                b"version" => version = Some(decoder.int()?),
                key => _ = unknown.insert(key.to_vec(), decoder.skip()?.to_vec()),
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
            unknown: unknown.into_iter().collect(),
            ..manifest
        })
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self::new()
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
    // Of all its values together no more becomes trees than of one.
    if decoder.clone().skip()?.len() > Value::MAX_LEN {
        return Err(DecodeError::TooLong { at: decoder.position(), limit: Value::MAX_LEN }.into());
    }
    let mut config = BTreeMap::new();
    for _ in 0..keys(decoder)? {
        config.insert(decoder.raw()?.to_vec(), Value::decode(decoder)?);
    }
    Ok(config)
}

fn moment(decoder: &mut Decoder<'_>) -> Result<Timestamp, ManifestError> {
    time::parse(&String::from_utf8_lossy(decoder.raw()?)).map_err(ManifestError::Time)
}

/// Where the settings say that a TAM is required.
const TAM_REQUIRED: &[u8] = b"tam_required";
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
        assert_eq!((again, tam), (manifest, Tam::Valid { salt: salt.to_vec() }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worldkeeper_core::RepositoryId;
    use worldkeeper_crypto::EncryptionMode;

    use super::*;

    fn key() -> Key {
        Key::generate(EncryptionMode::Repokey, RepositoryId([1; 32]), &mut |bytes| bytes.fill(8))
    }

    fn at(text: &str) -> Timestamp {
        time::parse(text).unwrap()
    }

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new();
        for (name, fill) in [("b", 1), ("a", 2), ("späce", 3)] {
            let entry = ArchiveEntry { id: ChunkId([fill; 32]), time: at("2026-11-06T12:00:00.000001") };
            manifest.archives.insert(name.parse().unwrap(), entry);
        }
        manifest
    }

    fn written(manifest: &Manifest, key: &Key) -> Vec<u8> {
        manifest.clone().write(key, &[4; 64], at("2026-11-06T12:00:00")).unwrap()
    }

    /// A manifest without a TAM: a map of these keys and packed values.
    fn packed(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(pairs.len());
        for (key, value) in pairs {
            encoder.raw(key).packed(value);
        }
        encoder.finish()
    }

    fn decode(packed: &[u8]) -> Result<Manifest, ManifestError> {
        Manifest::decode(&Key::plaintext(), packed, TamPolicy::Optional).map(|(manifest, _)| manifest)
    }

    const REQUIRED: [(&str, &[u8]); 3] = [("archives", b"\x80"), ("config", b"\x80"), ("version", b"\x01")];

    #[test]
    fn what_is_written_is_read() {
        let (key, mut manifest) = (key(), manifest());
        let packed = manifest.write(&key, &[4; 64], at("2026-11-06T12:00:00")).unwrap();
        assert!(manifest.tam_required());
        let (again, tam) = Manifest::decode(&key, &packed, TamPolicy::Required).unwrap();
        assert_eq!((again, tam), (manifest, Tam::Valid { salt: vec![4; 64] }));
    }

    #[test]
    fn the_timestamp_always_moves_on() {
        let (key, mut manifest) = (key(), Manifest::new());
        let mut write = |now: &str| {
            manifest.write(&key, &[4; 64], at(now)).unwrap();
            time::to_text(manifest.timestamp.unwrap())
        };
        assert_eq!(write("2026-11-06T12:00:00.000000"), "2026-11-06T12:00:00.000000");
        assert_eq!(write("2026-11-06T12:00:00.000000"), "2026-11-06T12:00:00.000001");
        assert_eq!(write("2026-11-05T12:00:00.000000"), "2026-11-06T12:00:00.000002", "the clock went back");
        assert_eq!(write("2026-11-06T12:00:00.000002"), "2026-11-06T12:00:00.000003");
        assert_eq!(write("2026-11-06T12:00:00.000100"), "2026-11-06T12:00:00.000100");
    }

    #[test]
    fn a_clock_finer_than_microseconds_does_not_repeat_a_timestamp() {
        let (key, mut manifest) = (key(), Manifest::new());
        let now = Timestamp::from_nanosecond(1_700_000_000_000_000_900).unwrap();
        let mut texts = Vec::new();
        for now in [now, now, now + SignedDuration::from_nanos(50)] {
            let packed = manifest.write(&key, &[4; 64], now).unwrap();
            assert_eq!(Manifest::decode(&key, &packed, TamPolicy::Required).unwrap().0, manifest);
            texts.push(time::to_text(manifest.timestamp.unwrap()));
        }
        assert!(texts.is_sorted_by(|left, right| left < right), "{texts:?}");
    }

    #[test]
    fn without_a_tam_it_is_refused_where_one_is_required() {
        let packed = packed(&REQUIRED);
        assert_eq!(Manifest::decode(&key(), &packed, TamPolicy::Required), Err(ManifestError::TamRequired));
        assert_eq!(Manifest::decode(&key(), &packed, TamPolicy::Optional).unwrap().1, Tam::Missing);
    }

    #[test]
    fn a_wrong_tam_is_always_refused() {
        let other = Key::generate(EncryptionMode::Repokey, RepositoryId([1; 32]), &mut |bytes| bytes.fill(9));
        let archive = crate::ArchiveMetadata::new("a".parse().unwrap(), vec![], vec![], Timestamp::UNIX_EPOCH);
        for policy in [TamPolicy::Required, TamPolicy::Optional] {
            for packed in [written(&manifest(), &other), archive.encode(&key(), &[4; 64])] {
                let error = Manifest::decode(&key(), &packed, policy).unwrap_err();
                assert_eq!(error, ManifestError::Tam(TamError::Invalid));
            }
        }
    }

    #[test]
    fn a_tam_of_another_type_is_no_tam() {
        let tam = b"\x81\xa4type\xa6HMAC42";
        let packed = packed(&[REQUIRED.as_slice(), &[("tam", tam)]].concat());
        let error = Manifest::decode(&key(), &packed, TamPolicy::Required).unwrap_err();
        assert_eq!(error, ManifestError::Tam(TamError::UnsupportedType("HMAC42".into())));
        assert_eq!(Manifest::decode(&key(), &packed, TamPolicy::Optional).unwrap().1, Tam::Missing);
    }

    #[test]
    fn formats_of_later_borgs_are_refused_by_name() {
        assert_eq!(decode(b"\xc1\xc1\xc1\xc1\x01"), Err(ManifestError::FutureFormat));
        assert_eq!(decode(b"\xc1\xc1\xc1\xc1"), Err(ManifestError::FutureFormat));
        let version = |version: &'static [u8]| decode(&packed(&[REQUIRED[0], REQUIRED[1], ("version", version)]));
        assert!(version(b"\x01").is_ok());
        assert!(version(b"\x02").is_ok());
        assert_eq!(version(b"\x03"), Err(ManifestError::UnsupportedVersion(3)));
        assert_eq!(version(b"\x00"), Err(ManifestError::UnsupportedVersion(0)));
    }

    #[test]
    fn what_every_manifest_has_is_missed_by_name() {
        for left_out in REQUIRED {
            let rest: Vec<_> = REQUIRED.into_iter().filter(|pair| *pair != left_out).collect();
            assert_eq!(decode(&packed(&rest)), Err(ManifestError::Missing(left_out.0)));
        }
        let archives = |archives: &'static [u8]| decode(&packed(&[("archives", archives), REQUIRED[1], REQUIRED[2]]));
        assert_eq!(archives(b"\x81\xa1a\x80"), Err(ManifestError::Missing("id of an archive")));
        assert!(matches!(archives(b"\x81\xa1a\x81\xa4time\xa1x"), Err(ManifestError::Time(_))));
    }

    #[test]
    fn two_archives_of_one_name_are_refused() {
        let mut entry = b"\x82\xa2id\xda\x00\x20".to_vec();
        entry.extend([7; 32]);
        entry.extend(b"\xa4time\xb32026-11-06T12:00:00");
        let twice = [&b"\x82\xa1a"[..], &entry, b"\xa1a", &entry].concat();
        let error = decode(&packed(&[("archives", &twice), REQUIRED[1], REQUIRED[2]])).unwrap_err();
        assert_eq!(error, ManifestError::Duplicate("a".parse().unwrap()));
    }

    #[test]
    fn settings_and_item_keys_of_others_are_kept() {
        let pairs: [(&str, &[u8]); 5] = [
            REQUIRED[0],
            ("config", b"\x82\xa3new\x91\x01\xactam_required\xc2"),
            ("item_keys", b"\x92\xa4path\xa4glow"),
            ("novelty", b"\xa1x"),
            REQUIRED[2],
        ];
        let mut manifest = decode(&packed(&pairs)).unwrap();
        assert!(!manifest.tam_required());
        assert_eq!(manifest.item_keys.len(), ITEM_KEYS.len() + 1);

        let key = key();
        let packed = manifest.write(&key, &[4; 64], at("2026-11-06T12:00:00")).unwrap();
        let (again, _) = Manifest::decode(&key, &packed, TamPolicy::Required).unwrap();
        assert_eq!(again.config[b"new".as_slice()], Value::Array(vec![Value::Int(1)]));
        assert!(again.tam_required(), "the key says so");
        assert!(again.item_keys.contains(b"glow".as_slice()));
        assert_eq!(again.unknown, [(b"novelty".to_vec(), b"\xa1x".to_vec())]);
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        let with = |key: &'static str, value: &[u8]| {
            let pairs: Vec<_> = REQUIRED.into_iter().filter(|pair| pair.0 != key).chain([(key, value)]).collect();
            decode(&packed(&pairs))
        };
        let nils = |len: usize| [b"\xdd", &(len as u32).to_be_bytes()[..], &vec![0xc0; len]].concat();
        assert_eq!(with("novelty", &nils(10 << 20)).unwrap().unknown, [(b"novelty".to_vec(), nils(10 << 20))]);
        let config = [&b"\x82\xa1a"[..], &nils(600_000), b"\xa1b", &nils(600_000)].concat();
        assert!(matches!(with("config", &config), Err(ManifestError::Decode(DecodeError::TooLong { .. }))));
        let item_keys = [&b"\xdc\x27\x10"[..], &[0xa0; 10_000]].concat();
        assert!(matches!(with("item_keys", &item_keys), Err(ManifestError::Decode(DecodeError::TooMany { .. }))));
    }

    #[test]
    fn in_mode_none_a_tam_is_written_but_not_required() {
        let (key, mut manifest) = (Key::plaintext(), manifest());
        let packed = manifest.write(&key, &[4; 64], at("2026-11-06T12:00:00")).unwrap();
        assert!(!manifest.tam_required());
        assert!(matches!(Manifest::decode(&key, &packed, TamPolicy::Optional), Ok((_, Tam::Valid { .. }))));
    }

    #[test]
    fn what_stock_could_not_read_is_not_written() {
        let mut long_name = manifest();
        let entry = long_name.archives[b"a".as_slice()];
        long_name.archives.insert(ArchiveName::from_bytes(vec![b'x'; 256]), entry);
        let mut many_keys = manifest();
        many_keys.item_keys.extend((0..100).map(|number| format!("key{number}").into_bytes()));
        for mut manifest in [long_name, many_keys] {
            let error = manifest.write(&key(), &[4; 64], Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(matches!(error, ManifestError::TooMany { .. }), "{error}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let key = key();
        let packed = written(&manifest(), &key);
        for len in 0..packed.len() {
            assert!(Manifest::decode(&key, &packed[..len], TamPolicy::Optional).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz_manifest(&bytes);
        }

        #[test]
        fn any_change_is_survived(at: proptest::sample::Index, byte: u8) {
            let mut packed = written(&manifest(), &Key::plaintext());
            let at = at.index(packed.len());
            packed[at] = byte;
            fuzz_manifest(&packed);
        }
    }
}
