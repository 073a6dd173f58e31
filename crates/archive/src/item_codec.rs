//! An item's packed form.
//!
//! Source: borg 1.4 `item.pyx`, `Item`; `constants.py`, `ITEM_KEYS`; `archive.py`, `MetadataCollector`.

use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Kind, Value};

use crate::fields::{Entry, Field, encode_map, keep_unknown};
use crate::item::{ChunkRef, Item};

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
    /// An item that would take all memory.
    #[error("an item has more than {0} bytes")]
    TooLarge(usize),
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
        for _ in 0..decoder.map()? {
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
                unknown => keep_unknown(&mut item.unknown, unknown, Value::decode(&mut decoder)?),
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
            ..item
        })
    }
}

/// Names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn raw_or_nil(decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    if decoder.nil()? { Ok(None) } else { decoder.raw().map(|bytes| Some(bytes.to_vec())) }
}

fn chunks(decoder: &mut Decoder<'_>) -> Result<Vec<ChunkRef>, DecodeError> {
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
    for _ in 0..decoder.map()? {
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
            item.unknown.sort_by(|left, right| left.0.cmp(&right.0));
            if let Some(xattrs) = &mut item.xattrs {
                xattrs.sort();
            }
        }
        assert_eq!(again, item);
    }
}
