//! The metadata of an archive.
//!
//! Source: borg 1.4 `item.pyx`, `ArchiveItem`; `archive.py`, `Archive.save`; `constants.py`, `ARCHIVE_KEYS`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Value};
use worldkeeper_core::time::{self, ParseTimeError};
use worldkeeper_crypto::Key;
use worldkeeper_crypto::tam::{self, Context, Tam, TamError};

use crate::fields::{Field, encode_map, keys, raw_list};
use crate::name::ArchiveName;

/// What an archive's own object says; its id is in the manifest. Texts are bytes, for they need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveMetadata {
    /// The name; the manifest has it too.
    pub name: ArchiveName,
    /// The chunks of the item stream, in order.
    pub items: Vec<ChunkId>,
    /// The command that made it.
    pub cmdline: Vec<Vec<u8>>,
    /// When it was begun.
    pub time: Timestamp,
    /// When it was done.
    pub time_end: Option<Timestamp>,
    /// The machine it was made on.
    pub hostname: Option<Vec<u8>>,
    /// The user who made it.
    pub username: Option<Vec<u8>>,
    /// Free text; empty rather than missing in what stock writes.
    pub comment: Option<Vec<u8>>,
    /// How files were cut, as in [`buzhash`, 19, 23, 21, 4095] or [`fixed`, 4194304, 0]; four integers in old archives.
    pub chunker_params: Option<Value>,
    /// Bytes of content: the sum over all chunk references of regular files.
    pub size: Option<u64>,
    /// Bytes of the objects of that content.
    pub csize: Option<u64>,
    /// How many regular files have content of their own: hard link slaves do not count.
    pub nfiles: Option<u64>,
    /// As `size`, for the part files of a checkpoint.
    pub size_parts: Option<u64>,
    /// As `csize`, for part files.
    pub csize_parts: Option<u64>,
    /// As `nfiles`, for part files.
    pub nfiles_parts: Option<u64>,
    /// The working directory it was made in; since borg 1.4.
    pub cwd: Option<Vec<u8>>,
    /// The command that changed it, by `recreate`.
    pub recreate_cmdline: Option<Vec<Vec<u8>>>,
    /// Keys of other versions and their values, packed, kept as they are.
    pub unknown: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why bytes are no archive metadata, or none to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Not packed as archive metadata is.
    #[error("the archive's metadata cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A key without which stock cannot open the archive.
    #[error("the archive's metadata has no {0}")]
    Missing(&'static str),
    /// Borg 1.x knows version 1 only.
    #[error("the archive has version {0}, borg 1.x knows version 1 only")]
    UnsupportedVersion(i128),
    /// A time in another form.
    #[error("the archive's {0} cannot be read")]
    Time(&'static str, #[source] ParseTimeError),
    /// The metadata was not written by somebody who had the key, or was changed since. Borg 1.2.4 and older left such
    /// archives behind when they renamed, recreated or repaired them.
    #[error("the archive cannot be authenticated")]
    Tam(#[source] TamError),
}

impl ArchiveMetadata {
    /// Metadata with what every archive must have; the rest is added by whoever knows it.
    pub fn new(name: ArchiveName, items: Vec<ChunkId>, cmdline: Vec<Vec<u8>>, time: Timestamp) -> Self {
        Self {
            name,
            items,
            cmdline,
            time,
            time_end: None,
            hostname: None,
            username: None,
            comment: None,
            chunker_params: None,
            size: None,
            csize: None,
            nfiles: None,
            size_parts: None,
            csize_parts: None,
            nfiles_parts: None,
            cwd: None,
            recreate_cmdline: None,
            unknown: Vec::new(),
        }
    }

    /// Packs the metadata with a TAM made by `key`. The salt is random, and a new one each time, but where an archive is
    /// written again without a change.
    pub fn encode(&self, key: &Key, salt: &[u8; 64]) -> Vec<u8> {
        let time = time::to_text(self.time);
        let time_end = self.time_end.map(time::to_text);
        let fields = [
            ("chunker_params", self.chunker_params.as_ref().map(Field::Value)),
            ("cmdline", Some(Field::RawList(&self.cmdline))),
            ("comment", self.comment.as_deref().map(Field::Raw)),
            ("csize", self.csize.map(Field::Uint)),
            ("csize_parts", self.csize_parts.map(Field::Uint)),
            ("cwd", self.cwd.as_deref().map(Field::Raw)),
            ("hostname", self.hostname.as_deref().map(Field::Raw)),
            ("items", Some(Field::Ids(&self.items))),
            ("name", Some(Field::Raw(self.name.as_bytes()))),
            ("nfiles", self.nfiles.map(Field::Uint)),
            ("nfiles_parts", self.nfiles_parts.map(Field::Uint)),
            ("recreate_cmdline", self.recreate_cmdline.as_deref().map(Field::RawList)),
            ("size", self.size.map(Field::Uint)),
            ("size_parts", self.size_parts.map(Field::Uint)),
            ("tam", Some(Field::Tam(salt))),
            ("time", Some(Field::Raw(time.as_bytes()))),
            ("time_end", time_end.as_ref().map(|text| Field::Raw(text.as_bytes()))),
            ("username", self.username.as_deref().map(Field::Raw)),
            ("version", Some(Field::Uint(1))),
        ];
        let mut encoder = Encoder::new();
        let tam = encode_map(&mut encoder, &fields, &self.unknown).expect("tam is one of the fields");
        let mut packed = encoder.finish();
        tam.sign(key, Context::Archive, &mut packed);
        packed
    }

    /// Packs metadata again, with another list of items and a TAM that is made anew with `salt`. All the rest stays as it
    /// was packed, whoever did it.
    pub fn encode_with_items(
        key: &Key,
        packed: &[u8],
        items: &[ChunkId],
        salt: &[u8; 64],
    ) -> Result<Vec<u8>, DecodeError> {
        let mut decoder = Decoder::new(packed);
        let mut rest = BTreeMap::new();
        for _ in 0..keys(&mut decoder)? {
            let (key, value) = (decoder.raw()?, decoder.skip()?);
            if !matches!(key, b"items" | b"tam") {
                rest.insert(key.to_vec(), value.to_vec());
            }
        }
        decoder.finish()?;
        let rest: Vec<_> = rest.into_iter().collect();
        let mut encoder = Encoder::new();
        let fields = [("items", Some(Field::Ids(items))), ("tam", Some(Field::Tam(salt)))];
        let tam = encode_map(&mut encoder, &fields, &rest).expect("tam is one of the fields");
        let mut packed = encoder.finish();
        tam.sign(key, Context::Archive, &mut packed);
        Ok(packed)
    }

    /// Reads packed metadata and checks its TAM. A missing TAM is for the caller to judge: archives of borg 1.0 have
    /// none, stock lists them and its `check` reports them.
    pub fn decode(key: &Key, packed: &[u8]) -> Result<(Self, Tam), ArchiveError> {
        let tam = tam::verify(key, Context::Archive, packed).map_err(ArchiveError::Tam)?;
        Ok((Self::decode_unverified(packed)?, tam))
    }

    /// Reads packed metadata and passes over its TAM: for showing what an archive that cannot be authenticated says it is.
    pub fn decode_unverified(packed: &[u8]) -> Result<Self, ArchiveError> {
        let mut decoder = Decoder::new(packed);
        let (mut version, mut name, mut items, mut cmdline, mut started) = (None, None, None, None, None);
        let mut unknown = BTreeMap::new();
        // Stands in for the required fields until all keys are read.
        let nothing = ArchiveName::from_bytes(Vec::new());
        let mut metadata = Self::new(nothing, Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
        for _ in 0..keys(&mut decoder)? {
            match decoder.raw()? {
                b"chunker_params" => metadata.chunker_params = Some(Value::decode(&mut decoder)?),
                b"cmdline" => cmdline = Some(raw_list(&mut decoder)?),
                b"comment" => metadata.comment = Some(decoder.raw()?.to_vec()),
                b"csize" => metadata.csize = Some(decoder.int_as()?),
                b"csize_parts" => metadata.csize_parts = Some(decoder.int_as()?),
                b"cwd" => metadata.cwd = Some(decoder.raw()?.to_vec()),
                b"hostname" => metadata.hostname = Some(decoder.raw()?.to_vec()),
                b"items" => items = Some(ids(&mut decoder)?),
                b"name" => name = Some(ArchiveName::from_bytes(decoder.raw()?)),
                b"nfiles" => metadata.nfiles = Some(decoder.int_as()?),
                b"nfiles_parts" => metadata.nfiles_parts = Some(decoder.int_as()?),
                b"recreate_cmdline" => metadata.recreate_cmdline = Some(raw_list(&mut decoder)?),
                b"size" => metadata.size = Some(decoder.int_as()?),
                b"size_parts" => metadata.size_parts = Some(decoder.int_as()?),
                b"tam" => _ = decoder.skip()?,
                b"time" => started = Some(moment(&mut decoder, "time")?),
                b"time_end" => metadata.time_end = Some(moment(&mut decoder, "time_end")?),
                b"username" => metadata.username = Some(decoder.raw()?.to_vec()),
                b"version" => version = Some(decoder.int()?),
                key => _ = unknown.insert(key.to_vec(), decoder.skip()?.to_vec()),
            }
        }
        decoder.finish()?;
        match version.ok_or(ArchiveError::Missing("version"))? {
            1 => {}
            other => return Err(ArchiveError::UnsupportedVersion(other)),
        }
        Ok(Self {
            name: name.ok_or(ArchiveError::Missing("name"))?,
            items: items.ok_or(ArchiveError::Missing("items"))?,
            cmdline: cmdline.ok_or(ArchiveError::Missing("cmdline"))?,
            time: started.ok_or(ArchiveError::Missing("time"))?,
            unknown: unknown.into_iter().collect(),
            ..metadata
        })
    }
}

fn ids(decoder: &mut Decoder<'_>) -> Result<Vec<ChunkId>, DecodeError> {
    let mut ids = Vec::new();
    for _ in 0..decoder.array()? {
        ids.push(ChunkId(decoder.raw_array()?));
    }
    Ok(ids)
}

fn moment(decoder: &mut Decoder<'_>, key: &'static str) -> Result<Timestamp, ArchiveError> {
    time::parse(&String::from_utf8_lossy(decoder.raw()?)).map_err(|error| ArchiveError::Time(key, error))
}

/// Body of a fuzz target: any bytes give metadata or an error, and what is read is written and read again alike.
pub fn fuzz_archive(bytes: &[u8]) {
    let key = Key::plaintext();
    _ = ArchiveMetadata::decode(&key, bytes);
    if let Ok(metadata) = ArchiveMetadata::decode_unverified(bytes) {
        let salt = [7; 64];
        let packed = metadata.encode(&key, &salt);
        let again = ArchiveMetadata::decode(&key, &packed).expect("what was written can be read");
        assert_eq!(again, (metadata, Tam::Valid { salt: salt.to_vec() }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use worldkeeper_core::RepositoryId;
    use worldkeeper_crypto::EncryptionMode;

    use super::*;

    fn key() -> Key {
        Key::generate(EncryptionMode::RepokeyBlake2, RepositoryId([1; 32]), &mut |bytes| bytes.fill(8))
    }

    fn metadata() -> ArchiveMetadata {
        let time = time::parse("2026-11-06T12:00:00.000123").unwrap();
        let name = "world".parse().unwrap();
        ArchiveMetadata::new(name, vec![ChunkId([3; 32])], vec![b"borg".to_vec()], time)
    }

    /// A map of these keys and packed values, without a TAM.
    fn packed(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(pairs.len());
        for (key, value) in pairs {
            encoder.raw(key).packed(value);
        }
        encoder.finish()
    }

    const REQUIRED: [(&str, &[u8]); 5] = [
        ("cmdline", b"\x91\xa4borg"),
        ("items", b"\x90"),
        ("name", b"\xa1a"),
        ("time", b"\xb32026-11-06T12:00:00"),
        ("version", b"\x01"),
    ];

    #[test]
    fn metadata_is_authenticated_as_an_archives() {
        let key = key();
        let packed = metadata().encode(&key, &[4; 64]);
        assert_eq!(ArchiveMetadata::decode(&key, &packed), Ok((metadata(), Tam::Valid { salt: vec![4; 64] })));

        let other = Key::generate(EncryptionMode::RepokeyBlake2, RepositoryId([1; 32]), &mut |bytes| bytes.fill(9));
        assert_eq!(ArchiveMetadata::decode(&other, &packed), Err(ArchiveError::Tam(TamError::Invalid)));
        assert_eq!(ArchiveMetadata::decode_unverified(&packed), Ok(metadata()));
    }

    #[test]
    fn a_name_that_changed_without_a_new_tam_is_refused() {
        // What `borg rename` of 1.2.4 and older leaves behind.
        let key = key();
        let mut packed = metadata().encode(&key, &[4; 64]);
        let at = packed.windows(5).position(|window| window == b"world").unwrap();
        packed[at] = b'W';
        assert_eq!(ArchiveMetadata::decode(&key, &packed), Err(ArchiveError::Tam(TamError::Invalid)));
        assert_eq!(ArchiveMetadata::decode_unverified(&packed).unwrap().name.as_str(), Some("World"));
    }

    #[test]
    fn only_the_items_change_and_the_same_ones_change_nothing() {
        let metadata = ArchiveMetadata { unknown: vec![(b"zz".to_vec(), b"\xc0".to_vec())], ..metadata() };
        let packed = metadata.encode(&key(), &[4; 64]);
        assert_eq!(ArchiveMetadata::encode_with_items(&key(), &packed, &metadata.items, &[4; 64]), Ok(packed.clone()));
        let items = vec![ChunkId([1; 32]), ChunkId([2; 32])];
        let other = ArchiveMetadata::encode_with_items(&key(), &packed, &items, &[5; 64]).unwrap();
        let expected = (ArchiveMetadata { items, ..metadata }, Tam::Valid { salt: vec![5; 64] });
        assert_eq!(ArchiveMetadata::decode(&key(), &other), Ok(expected));
    }

    #[test]
    fn a_missing_tam_is_the_callers_matter() {
        let (metadata, tam) = ArchiveMetadata::decode(&key(), &packed(&REQUIRED)).unwrap();
        assert_eq!(tam, Tam::Missing);
        assert_eq!(time::to_text(metadata.time), "2026-11-06T12:00:00.000000");
    }

    #[test]
    fn what_stock_needs_is_missed_by_name() {
        for left_out in REQUIRED {
            let rest: Vec<_> = REQUIRED.into_iter().filter(|pair| *pair != left_out).collect();
            assert_eq!(ArchiveMetadata::decode_unverified(&packed(&rest)), Err(ArchiveError::Missing(left_out.0)));
        }
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let with = |key: &'static str, value: &'static [u8]| {
            let pairs: Vec<_> = REQUIRED.into_iter().filter(|pair| pair.0 != key).chain([(key, value)]).collect();
            ArchiveMetadata::decode_unverified(&packed(&pairs)).unwrap_err()
        };
        assert_eq!(with("version", b"\x02"), ArchiveError::UnsupportedVersion(2));
        assert!(matches!(with("time", b"\xa5today"), ArchiveError::Time("time", _)));
        assert!(matches!(with("time_end", b"\xa0"), ArchiveError::Time("time_end", _)));
        assert!(matches!(with("items", b"\x91\xa3abc"), ArchiveError::Decode(_)));
        assert!(matches!(with("items", b"\xdd\xff\xff\xff\xff"), ArchiveError::Decode(_)));
        assert!(matches!(with("nfiles", b"\xff"), ArchiveError::Decode(DecodeError::OutOfRange { .. })));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let key = key();
        let packed = metadata().encode(&key, &[4; 64]);
        for len in 0..packed.len() {
            assert!(ArchiveMetadata::decode(&key, &packed[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn keys_of_other_versions_survive_a_new_tam() {
        let mut metadata = metadata();
        metadata.unknown = vec![
            (b"recreate_partial_chunks".to_vec(), b"\xc0".to_vec()),
            (b"cockpit".to_vec(), b"\x81\xa1x\xc2".to_vec()),
        ];
        let packed = metadata.encode(&key(), &[1; 64]);
        let (again, _) = ArchiveMetadata::decode(&key(), &packed).unwrap();
        metadata.unknown.reverse();
        assert_eq!(again, metadata);
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        let with = |key: &'static str, value: &[u8]| {
            let pairs: Vec<_> = REQUIRED.into_iter().filter(|pair| pair.0 != key).chain([(key, value)]).collect();
            ArchiveMetadata::decode_unverified(&packed(&pairs))
        };
        let nils = |len: usize| [b"\xdd", &(len as u32).to_be_bytes()[..], &vec![0xc0; len]].concat();
        assert_eq!(with("zz", &nils(10 << 20)).unwrap().unknown, [(b"zz".to_vec(), nils(10 << 20))], "it stays packed");
        assert!(matches!(
            with("chunker_params", &nils(10 << 20)),
            Err(ArchiveError::Decode(DecodeError::TooLong { .. }))
        ));
        let words = [&b"\xdd\x00\x20\x00\x00"[..], &vec![0xa0; 2 << 20]].concat();
        assert!(matches!(with("cmdline", &words), Err(ArchiveError::Decode(DecodeError::TooMany { .. }))));
        let mut encoder = Encoder::new();
        encoder.map(10_000);
        for number in 0..10_000 {
            encoder.raw(format!("{number}")).nil();
        }
        let keys = ArchiveMetadata::decode_unverified(&encoder.finish());
        assert!(matches!(keys, Err(ArchiveError::Decode(DecodeError::TooMany { .. }))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in vec(option::of(vec(any::<u8>(), 0..70)), 4),
            numbers in vec(any::<Option<u64>>(), 6),
            ids in vec(any::<[u8; 32]>(), 0..20),
            recreated in option::of(vec(vec(any::<u8>(), 0..40), 0..3)),
            seconds in -60_000_000_000i64..250_000_000_000,
            salt in proptest::array::uniform32(any::<u8>()),
        ) {
            let mut texts = texts.into_iter();
            let mut numbers = numbers.into_iter();
            let metadata = ArchiveMetadata {
                items: ids.into_iter().map(ChunkId).collect(),
                time_end: Some(Timestamp::from_second(seconds).unwrap()),
                hostname: texts.next().unwrap(),
                username: texts.next().unwrap(),
                comment: texts.next().unwrap(),
                cwd: texts.next().unwrap(),
                size: numbers.next().unwrap(),
                csize: numbers.next().unwrap(),
                nfiles: numbers.next().unwrap(),
                size_parts: numbers.next().unwrap(),
                csize_parts: numbers.next().unwrap(),
                nfiles_parts: numbers.next().unwrap(),
                recreate_cmdline: recreated,
                ..metadata()
            };
            let salt: [u8; 64] = [salt, salt].concat().try_into().unwrap();
            let packed = metadata.encode(&key(), &salt);
            let valid = Tam::Valid { salt: salt.to_vec() };
            prop_assert_eq!(ArchiveMetadata::decode(&key(), &packed), Ok((metadata, valid)));
        }

        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
            fuzz_archive(&bytes);
        }

        #[test]
        fn any_change_is_survived(at: proptest::sample::Index, byte: u8) {
            let mut packed = metadata().encode(&Key::plaintext(), &[2; 64]);
            let at = at.index(packed.len());
            packed[at] = byte;
            fuzz_archive(&packed);
        }
    }
}
