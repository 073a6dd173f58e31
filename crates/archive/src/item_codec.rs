//! An item's packed form.
//!
//! Source: borg 1.4 `item.pyx`, `Item`; `constants.py`, `ITEM_KEYS`; `archive.py`, `MetadataCollector`.

use std::collections::BTreeMap;

use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Kind};

use crate::fields::{Entry, Field, encode_map, keys, limited};
use crate::item::{ChunkRef, Item};
use crate::item_reader::ItemReader;
use crate::item_scanner::TooLarge;

/// Why bytes are no item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Not packed as an item is.
    #[error("an item cannot be decoded")]
    Decode(#[from] DecodeError),
    /// A key without which stock cannot list or extract.
    #[error("an item has no {0}")]
    Missing(&'static str),
    /// The item stream ends in the middle of an item.
    #[error("the item stream ends inside an item, {0} bytes behind its beginning")]
    Incomplete(usize),
    /// It would take all memory.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The keys an item can have, in order: what a manifest lists as `item_keys`.
pub const ITEM_KEYS: [&str; 23] = [
    "acl_access",
    "acl_default",
    "acl_extended",
    "acl_nfs4",
    "atime",
    "birthtime",
    "bsdflags",
    "chunks",
    "chunks_healthy",
    "ctime",
    "gid",
    "group",
    "hardlink_master",
    "mode",
    "mtime",
    "part",
    "path",
    "rdev",
    "size",
    "source",
    "uid",
    "user",
    "xattrs",
];

impl Item {
    /// How many chunks a file may have: with more, its item could become longer than [readers](crate::ItemReader) take, once
    /// a repair adds what they were before.
    pub const MAX_CHUNKS: usize = 5_500_000;

    /// How many extended attributes an item may have. Linux lists 64 KiB of names, which are fewer.
    pub const MAX_XATTRS: usize = 65_536;

    /// Writes the item as stock would: the keys sorted, `user` and `group` always there.
    pub fn encode(&self, encoder: &mut Encoder) {
        encode_map(encoder, &self.fields(), &self.unknown);
    }

    fn fields(&self) -> [Entry<'_>; ITEM_KEYS.len()] {
        [
            ("acl_access", self.acl_access.as_deref().map(Field::Raw)),
            ("acl_default", self.acl_default.as_deref().map(Field::Raw)),
            ("acl_extended", self.acl_extended.as_deref().map(Field::Raw)),
            ("acl_nfs4", self.acl_nfs4.as_deref().map(Field::Raw)),
            ("atime", self.atime_ns.map(Field::Int)),
            ("birthtime", self.birthtime_ns.map(Field::Int)),
            ("bsdflags", self.bsdflags.map(u64::from).map(Field::Uint)),
            ("chunks", self.chunks.as_deref().map(Field::Chunks)),
            ("chunks_healthy", self.chunks_healthy.as_deref().map(Field::Chunks)),
            ("ctime", self.ctime_ns.map(Field::Int)),
            ("gid", Some(Field::Int(self.gid))),
            ("group", Some(Field::RawOrNil(self.group.as_deref()))),
            ("hardlink_master", self.hardlink_master.map(Field::Bool)),
            ("mode", Some(Field::Uint(self.mode.into()))),
            ("mtime", Some(Field::Int(self.mtime_ns))),
            ("part", self.part.map(Field::Uint)),
            ("path", Some(Field::Raw(&self.path))),
            ("rdev", self.rdev.map(Field::Uint)),
            ("size", self.size.map(Field::Uint)),
            ("source", self.source.as_deref().map(Field::Raw)),
            ("uid", Some(Field::Int(self.uid))),
            ("user", Some(Field::RawOrNil(self.user.as_deref()))),
            ("xattrs", self.xattrs.as_deref().map(Field::Xattrs)),
        ]
    }

    /// Reads a packed item that ends where `packed` ends.
    pub fn decode(packed: &[u8]) -> Result<Self, ItemError> {
        let mut decoder = Decoder::new(packed);
        let mut item = Self::default();
        let (mut path, mut mode, mut uid, mut gid, mut mtime) = (None, None, None, None, None);
        let (mut user, mut group) = (None, None);
        let mut unknown = BTreeMap::new();
        for _ in 0..keys(&mut decoder)? {
            match decoder.raw()? {
                b"acl_access" => item.acl_access = Some(decoder.raw()?.to_vec()),
                b"acl_default" => item.acl_default = Some(decoder.raw()?.to_vec()),
                b"acl_extended" => item.acl_extended = Some(decoder.raw()?.to_vec()),
                b"acl_nfs4" => item.acl_nfs4 = Some(decoder.raw()?.to_vec()),
                b"atime" => item.atime_ns = Some(time_ns(&mut decoder)?),
                b"birthtime" => item.birthtime_ns = Some(time_ns(&mut decoder)?),
                b"bsdflags" => item.bsdflags = Some(decoder.int_as()?),
                b"chunks" => item.chunks = Some(chunks(&mut decoder)?),
                b"chunks_healthy" => item.chunks_healthy = Some(chunks(&mut decoder)?),
                b"ctime" => item.ctime_ns = Some(time_ns(&mut decoder)?),
                b"gid" => gid = Some(decoder.int_as()?),
                b"group" => group = Some(raw_or_nil(&mut decoder)?),
                b"hardlink_master" => item.hardlink_master = Some(decoder.bool()?),
                b"mode" => mode = Some(decoder.int_as()?),
                b"mtime" => mtime = Some(time_ns(&mut decoder)?),
                b"part" => item.part = Some(decoder.int_as()?),
                b"path" => path = Some(decoder.raw()?.to_vec()),
                b"rdev" => item.rdev = Some(decoder.int_as()?),
                b"size" => item.size = Some(decoder.int_as()?),
                b"source" => item.source = Some(decoder.raw()?.to_vec()),
                b"uid" => uid = Some(decoder.int_as()?),
                b"user" => user = Some(raw_or_nil(&mut decoder)?),
                b"xattrs" => item.xattrs = Some(xattrs(&mut decoder)?),
                key => _ = unknown.insert(key.to_vec(), decoder.skip()?.to_vec()),
            }
        }
        decoder.finish()?;
        Ok(Self {
            path: path.ok_or(ItemError::Missing("path"))?,
            mode: mode.ok_or(ItemError::Missing("mode"))?,
            uid: uid.ok_or(ItemError::Missing("uid"))?,
            gid: gid.ok_or(ItemError::Missing("gid"))?,
            user: user.ok_or(ItemError::Missing("user"))?,
            group: group.ok_or(ItemError::Missing("group"))?,
            mtime_ns: mtime.ok_or(ItemError::Missing("mtime"))?,
            unknown: unknown.into_iter().collect(),
            ..item
        })
    }
}

/// Names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn raw_or_nil(decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    if decoder.nil()? { Ok(None) } else { decoder.raw().map(|bytes| Some(bytes.to_vec())) }
}

pub(crate) fn chunks(decoder: &mut Decoder<'_>) -> Result<Vec<ChunkRef>, DecodeError> {
    let len = decoder.array()?;
    // Each member is backed by a byte, but a reference takes 40 in memory: a long list is not allocated for at once.
    let mut chunks = Vec::with_capacity(len.min(1024));
    for _ in 0..len {
        let at = decoder.position();
        if decoder.array()? != 3 {
            return Err(DecodeError::OutOfRange { at });
        }
        chunks.push(ChunkRef { id: ChunkId(decoder.raw_array()?), size: decoder.int_as()?, csize: decoder.int_as()? });
    }
    Ok(chunks)
}

fn xattrs(decoder: &mut Decoder<'_>) -> Result<Xattrs, DecodeError> {
    let mut xattrs = Vec::new();
    for _ in 0..limited(decoder.map()?, Item::MAX_XATTRS)? {
        xattrs.push((decoder.raw()?.to_vec(), raw_or_nil(decoder)?.unwrap_or_default()));
    }
    Ok(xattrs)
}

/// Nanoseconds since 1970. Borg packs what 63 bits cannot hold as a little-endian byte string; no such time lies
/// between the years 1678 and 2262, and the nearest that an `i64` can hold is taken for it.
fn time_ns(decoder: &mut Decoder<'_>) -> Result<i64, DecodeError> {
    if decoder.peek()? != Kind::Raw {
        let time = decoder.int()?;
        return Ok(i64::try_from(time).unwrap_or(i64::MAX));
    }
    let bytes = decoder.raw()?;
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let sign = if negative { 0xff } else { 0x00 };
    let mut low = [sign; 8];
    let (fits, rest) = bytes.split_at(bytes.len().min(8));
    low[..fits.len()].copy_from_slice(fits);
    let time = i64::from_le_bytes(low);
    Ok(match (rest.iter().all(|byte| *byte == sign) && (time < 0) == negative, negative) {
        (true, _) => time,
        (false, true) => i64::MIN,
        (false, false) => i64::MAX,
    })
}

/// Body of a fuzz target: any bytes give an item or an error, and what is read is written and read again alike.
pub fn fuzz_item(bytes: &[u8]) {
    if let Ok(item) = Item::decode(bytes) {
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        let mut again = Item::decode(&encoder.finish()).expect("what was written can be read");
        let mut item = item;
        for item in [&mut item, &mut again] {
            if let Some(xattrs) = &mut item.xattrs {
                xattrs.sort();
            }
        }
        assert_eq!(again, item);
    }
}

const _: () = assert!(2 * Item::MAX_CHUNKS * CHUNK_REF_LEN + ItemReader::MAX_BESIDE_LEN <= ItemReader::MAX_ITEM_LEN);

/// Bytes of a packed chunk reference, at most.
const CHUNK_REF_LEN: usize = 46;

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// `{"path": "a", …}` with the keys that stock cannot do without, but for `left_out`, and then what `more` writes.
    fn packed(left_out: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
        let required: [(&str, &[u8]); 7] = [
            ("gid", b"\x00"),
            ("group", b"\xc0"),
            ("mode", b"\xcd\x81\xa4"),
            ("mtime", b"\x05"),
            ("path", b"\xa1a"),
            ("uid", b"\x00"),
            ("user", b"\xa4root"),
        ];
        let keys: Vec<_> = required.iter().filter(|(key, _)| *key != left_out).chain(more).collect();
        let mut encoder = Encoder::new();
        encoder.map(keys.len());
        for (key, value) in keys {
            encoder.raw(key).packed(value);
        }
        encoder.finish()
    }

    /// An item, packed, with one byte that may be another one.
    pub(crate) fn changed(item: &Item, at: proptest::sample::Index, byte: u8) -> Vec<u8> {
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        let mut packed = encoder.finish();
        let at = at.index(packed.len());
        packed[at] = byte;
        packed
    }

    fn with(more: &[(&str, &[u8])]) -> Result<Item, ItemError> {
        Item::decode(&packed("", more))
    }

    #[test]
    fn what_stock_needs_is_missed_by_name() {
        assert!(with(&[]).is_ok());
        for key in ["gid", "group", "mode", "mtime", "path", "uid", "user"] {
            assert_eq!(Item::decode(&packed(key, &[])), Err(ItemError::Missing(key)));
        }
    }

    #[test]
    fn user_and_group_may_be_nil_chunks_may_not() {
        let item = with(&[("chunks", b"\x90")]).unwrap();
        assert_eq!((item.user.as_deref(), item.group), (Some(&b"root"[..]), None));
        assert_eq!(item.chunks, Some(vec![]));
        let error = with(&[("chunks", b"\xc0")]).unwrap_err();
        assert!(matches!(error, ItemError::Decode(DecodeError::Unexpected { .. })), "{error:?}");
    }

    #[test]
    fn chunk_references_have_three_members() {
        let id = [&b"\xda\x00\x20"[..], &[7; 32]].concat();
        let reference =
            |head: &[u8], id: &[u8], sizes: &[u8]| with(&[("chunks", &[b"\x91", head, id, sizes].concat())]);
        let item = reference(b"\x93", &id, b"\x05\x06").unwrap();
        assert_eq!(item.chunks, Some(vec![ChunkRef { id: ChunkId([7; 32]), size: 5, csize: 6 }]));
        assert!(reference(b"\x92", &id, b"\x05").is_err());
        assert!(reference(b"\x94", &id, b"\x05\x06\x07").is_err());
        assert!(reference(b"\x93", &id[..34], b"\x05\x06").is_err());
        assert!(reference(b"\x93", b"\xa3abc", b"\x05\x06").is_err());
        assert!(reference(b"\x93", &id, b"\xff\x06").is_err(), "a negative size");
        assert!(reference(b"\x93", &id, b"\xcf\0\0\0\x01\0\0\0\0\x06").is_err(), "a size of 33 bits");
    }

    #[test]
    fn empty_xattr_values_are_nil() {
        let item = with(&[("xattrs", b"\x82\xa1a\xc0\xa1b\xa1x")]).unwrap();
        let xattrs = vec![(b"a".to_vec(), vec![]), (b"b".to_vec(), b"x".to_vec())];
        assert_eq!(item.xattrs, Some(xattrs.clone()));
        let mut encoder = Encoder::new();
        Item { xattrs: Some(xattrs.into_iter().rev().collect()), ..item }.encode(&mut encoder);
        assert!(encoder.finish().ends_with(b"\xa6xattrs\x82\xa1a\xc0\xa1b\xa1x"));
    }

    #[test]
    fn times_of_borg_1_0_may_be_byte_strings() {
        let mtime = |bytes: &[u8]| {
            let mut encoder = Encoder::new();
            encoder.raw(bytes);
            Item::decode(&packed("mtime", &[("mtime", &encoder.finish())])).unwrap().mtime_ns
        };
        assert_eq!(mtime(b""), 0);
        assert_eq!(mtime(b"\x02\x01"), 0x0102);
        assert_eq!(mtime(b"\xfe"), -2);
        assert_eq!(mtime(&i64::MAX.to_le_bytes()), i64::MAX);
        assert_eq!(mtime(&i64::MIN.to_le_bytes()), i64::MIN);
        assert_eq!(mtime(b"\x05\0\0\0\0\0\0\0\0\0"), 5);
        assert_eq!(mtime(b"\xfb\xff\xff\xff\xff\xff\xff\xff\xff"), -5);
        // Beyond what 64 bits hold: the nearest.
        assert_eq!(mtime(b"\0\0\0\0\0\0\0\x80\0"), i64::MAX);
        assert_eq!(mtime(b"\0\0\0\0\0\0\0\0\x01"), i64::MAX);
        assert_eq!(mtime(b"\xff\xff\xff\xff\xff\xff\xff\x7f\xff"), i64::MIN);
        assert_eq!(mtime(b"\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), i64::MIN);
        let above = Item::decode(&packed("mtime", &[("mtime", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff")])).unwrap();
        assert_eq!(above.mtime_ns, i64::MAX);
    }

    #[test]
    fn keys_of_later_versions_are_kept_in_their_order() {
        let item = with(&[("zebra", b"\x91\xc3"), ("btime", b"\x07")]).unwrap();
        assert_eq!(item.unknown, [(b"btime".to_vec(), b"\x07".to_vec()), (b"zebra".to_vec(), b"\x91\xc3".to_vec())]);
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        let expected = b"\x89\xa5btime\x07\xa3gid\x00\xa5group\xc0\xa4mode\xcd\x81\xa4\xa5mtime\x05\xa4path\xa1a\xa3uid\x00\xa4user\xa4root\xa5zebra\x91\xc3";
        assert_eq!(encoder.finish(), expected);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let packed = packed("", &[("xattrs", b"\x81\xa1a\xc0"), ("new", b"\x92\x01\xa1x")]);
        for len in 0..packed.len() {
            assert!(matches!(Item::decode(&packed[..len]), Err(ItemError::Decode(DecodeError::Truncated { .. }))));
        }
        assert!(matches!(
            Item::decode(&[&packed[..], b"\x80"].concat()),
            Err(ItemError::Decode(DecodeError::Trailing { .. }))
        ));
    }

    #[test]
    fn a_length_without_bytes_behind_it_allocates_nothing() {
        for value in [&b"\xdd\xff\xff\xff\xff"[..], b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"] {
            for key in ["chunks", "xattrs", "path", "new"] {
                assert!(with(&[(key, value)]).is_err(), "{key}");
            }
        }
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        let too_many = |result: Result<Item, ItemError>| {
            assert!(matches!(result, Err(ItemError::Decode(DecodeError::TooMany { .. }))), "{:?}", result.is_ok());
        };
        let xattrs = |count: usize| {
            let mut encoder = Encoder::new();
            encoder.map(count);
            for number in 0..count {
                encoder.raw(format!("{number}")).nil();
            }
            with(&[("xattrs", &encoder.finish())])
        };
        assert_eq!(xattrs(Item::MAX_XATTRS).unwrap().xattrs.map(|xattrs| xattrs.len()), Some(Item::MAX_XATTRS));
        too_many(xattrs(Item::MAX_XATTRS + 1));
        let names: Vec<_> = (0..2000).map(|number| format!("zz{number}")).collect();
        too_many(with(&names.iter().map(|name| (name.as_str(), &b"\xc0"[..])).collect::<Vec<_>>()));
        // What is not understood stays packed.
        let nils = [&b"\xdd\x00\xa0\x00\x00"[..], &vec![0xc0; 10 << 20]].concat();
        assert_eq!(with(&[("zz", &nils)]).unwrap().unknown, [(b"zz".to_vec(), nils)]);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..40)
    }

    fn packed_bytes(bytes: Vec<u8>) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.raw(bytes);
        encoder.finish()
    }

    fn chunk_refs() -> impl Strategy<Value = Vec<ChunkRef>> {
        vec(any::<([u8; 32], u32, u32)>().prop_map(|(id, size, csize)| ChunkRef { id: ChunkId(id), size, csize }), 0..5)
    }

    /// Items as they can be, which is more than stock would make.
    pub(crate) fn any_item() -> impl Strategy<Value = Item> {
        let required = (bytes(), any::<(u32, i64, i64, i64)>(), option::of(bytes()), option::of(bytes()));
        let times = any::<(Option<i64>, Option<i64>, Option<i64>)>();
        let content = (option::of(chunk_refs()), option::of(chunk_refs()), option::of(bytes()));
        let numbers = any::<(Option<u64>, Option<bool>, Option<u64>, Option<u32>, Option<u64>)>();
        let acls = (option::of(bytes()), option::of(bytes()), option::of(bytes()), option::of(bytes()));
        let xattrs = option::of(proptest::collection::btree_map(bytes(), bytes(), 0..4));
        let unknown = proptest::collection::btree_map("zz[a-z]{1,40}", bytes().prop_map(packed_bytes), 0..3);
        (required, times, content, numbers, acls, xattrs, unknown).prop_map(
            |(required, times, content, numbers, acls, xattrs, unknown)| {
                let (path, (mode, uid, gid, mtime_ns), user, group) = required;
                Item {
                    path,
                    mode,
                    uid,
                    gid,
                    user,
                    group,
                    mtime_ns,
                    ctime_ns: times.0,
                    atime_ns: times.1,
                    birthtime_ns: times.2,
                    chunks: content.0,
                    chunks_healthy: content.1,
                    source: content.2,
                    size: numbers.0,
                    hardlink_master: numbers.1,
                    rdev: numbers.2,
                    bsdflags: numbers.3,
                    part: numbers.4,
                    xattrs: xattrs.map(|xattrs| xattrs.into_iter().collect()),
                    acl_access: acls.0,
                    acl_default: acls.1,
                    acl_nfs4: acls.2,
                    acl_extended: acls.3,
                    unknown: unknown.into_iter().map(|(key, value)| (key.into(), value)).collect(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(item in any_item()) {
            let mut encoder = Encoder::new();
            item.encode(&mut encoder);
            let packed = encoder.finish();
            prop_assert_eq!(Item::decode(&packed), Ok(item));

            // Stock's order is that of the keys.
            let mut decoder = Decoder::new(&packed);
            let mut last: &[u8] = b"";
            for _ in 0..decoder.map().unwrap() {
                let key = decoder.raw().unwrap();
                prop_assert!(last < key);
                last = key;
                decoder.skip().unwrap();
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
            fuzz_item(&bytes);
        }

        #[test]
        fn any_change_is_survived(item in any_item(), at: proptest::sample::Index, byte: u8) {
            fuzz_item(&changed(&item, at, byte));
        }
    }

    #[test]
    fn a_chunk_reference_is_no_longer_than_is_reckoned_with() {
        let packed_len = |count| {
            let chunk = ChunkRef { id: ChunkId([255; 32]), size: u32::MAX, csize: u32::MAX };
            let mut encoder = Encoder::new();
            Item { chunks: Some(vec![chunk; count]), ..Item::default() }.encode(&mut encoder);
            encoder.finish().len()
        };
        assert_eq!(packed_len(101_000) - packed_len(100_000), 1000 * CHUNK_REF_LEN);
    }
}
