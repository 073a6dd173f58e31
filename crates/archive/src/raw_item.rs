//! An item as `check` sees it: a map of which only the references are understood.
//!
//! A repair must give back what it did not come for, in whatever shape another client wrote it. So nothing but the chunk
//! lists is taken out of the map or put into it. Nearly all items have the shape in which we write them ourselves: those are
//! understood as a whole, without which a check of 46,000 files takes a tenth longer.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveChecker.rebuild_refcounts`, `robust_iterator`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use worldkeeper_core::is_equal;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Kind, canonical};

use crate::fields::{Field, keys};
use crate::item::{ChunkRef, Item};
use crate::item_codec::{self, ItemError};
use crate::item_salvage::SalvageError;

/// A packed item, kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawItem(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Packed as we pack it, byte for byte: to understand it loses nothing.
    Ours(Box<Item>),
    Any(Map),
}

/// A map of anything, with paths and references.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Map {
    /// The values as stock packs them.
    fields: BTreeMap<Vec<u8>, Vec<u8>>,
    path: Vec<u8>,
    chunks: Option<Vec<ChunkRef>>,
    chunks_healthy: Option<Vec<ChunkRef>>,
}

/// Why a value in an item stream is no item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawItemError {
    /// A number, a text, a list.
    #[error("it is no map")]
    NotAMap,
    /// Keys without which stock takes nothing for an item.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Keys that the manifest does not announce.
    #[error("it has keys that are not known: {0}")]
    UnknownKeys(String),
    /// A key with a value of another kind.
    #[error("its {0} cannot be read")]
    Malformed(&'static str),
}

impl RawItem {
    /// Takes a packed value of an item stream for an item, if stock would. `item_keys` are those that the manifest announces.
    ///
    /// # Errors
    ///
    /// [`SalvageError::NoItem`], or [`SalvageError::Garbled`] if it is not packed as borg does.
    pub fn new(packed: &[u8], item_keys: &BTreeSet<Vec<u8>>) -> Result<Self, SalvageError> {
        let mut decoder = Decoder::new(packed);
        decoder.clone().skip()?;
        if decoder.peek()? != Kind::Map {
            return Err(RawItemError::NotAMap.into());
        }
        let mut fields = BTreeMap::new();
        let mut unknown = Vec::new();
        for _ in 0..keys(&mut decoder)? {
            let kind = decoder.peek()?;
            let key = if kind == Kind::Raw { Some(decoder.raw()?) } else { decoder.skip().map(|_| None)? };
            match key {
                // Attic 0.13 gave one to every item, without a meaning; stock passes over it, too.
                Some(b"acl") => _ = decoder.skip()?,
                // The last of several counts, as in Python's maps.
                Some(key) => {
                    let value = decoder.skip()?;
                    let mut encoder = Encoder::append_to(Vec::with_capacity(value.len()));
                    canonical(&mut Decoder::new(value), &mut encoder)?;
                    fields.insert(key.to_vec(), encoder.finish());
                }
                None => {
                    decoder.skip()?;
                    unknown.push(kind.to_string());
                }
            }
        }
        for key in [PATH, MTIME] {
            if !fields.contains_key(key.as_bytes()) {
                return Err(RawItemError::Missing(key).into());
            }
        }
        let foreign = fields.keys().filter(|key| !item_keys.contains(*key));
        unknown.extend(foreign.map(|key| String::from_utf8_lossy(key).chars().take(64).collect()));
        if !unknown.is_empty() {
            return Err(RawItemError::UnknownKeys(unknown.join(", ")).into());
        }
        let path = field(&fields, PATH, |value| value.raw().map(<[u8]>::to_vec))?.unwrap_or_default();
        let list = |key| field(&fields, key, item_codec::chunks);
        let (chunks, chunks_healthy) = (list(CHUNKS)?, list(CHUNKS_HEALTHY)?);
        Ok(Self(Form::Any(Map { fields, path, chunks, chunks_healthy })))
    }

    /// Takes a packed value for an item if it is packed as we do it. Not less than [`ITEM_KEYS`](crate::ITEM_KEYS) are what the
    /// manifest announces. `scratch` holds anything before and after.
    pub(crate) fn ours(packed: &[u8], scratch: &mut Vec<u8>) -> Option<Self> {
        let item = Item::decode(packed).ok().filter(|item| item.unknown.is_empty())?;
        // Of a name that comes twice only the last one stays, if anything is written anew.
        if !item.xattrs.as_deref().unwrap_or_default().is_sorted_by(|(name, _), (next, _)| name < next) {
            return None;
        }
        scratch.clear();
        scratch.reserve_exact(packed.len());
        let mut encoder = Encoder::append_to(std::mem::take(scratch));
        item.encode(&mut encoder);
        *scratch = encoder.finish();
        let is_ours = is_equal(scratch, packed);
        if scratch.capacity() > LARGE {
            *scratch = Vec::new();
        }
        is_ours.then(|| Self(Form::Ours(Box::new(item))))
    }

    /// Where it is, relative to the archive's root.
    pub fn path(&self) -> &[u8] {
        match &self.0 {
            Form::Ours(item) => &item.path,
            Form::Any(map) => &map.path,
        }
    }

    /// The content of a file, in order.
    pub fn chunks(&self) -> Option<&[ChunkRef]> {
        match &self.0 {
            Form::Ours(item) => item.chunks.as_deref(),
            Form::Any(map) => map.chunks.as_deref(),
        }
    }

    /// The content before a repair put zeros in the place of what was lost.
    pub fn chunks_healthy(&self) -> Option<&[ChunkRef]> {
        match &self.0 {
            Form::Ours(item) => item.chunks_healthy.as_deref(),
            Form::Any(map) => map.chunks_healthy.as_deref(),
        }
    }

    /// The size that the item says it has, in bytes.
    pub fn size(&self) -> Option<u64> {
        match &self.0 {
            Form::Ours(item) => item.size,
            Form::Any(map) => map.fields.get(b"size".as_slice()).and_then(|size| Decoder::new(size).int_as().ok()),
        }
    }

    /// Gives the item another content, and says what it was before a repair; `None` says that it is whole.
    pub fn set_chunks(&mut self, chunks: Vec<ChunkRef>, healthy: Option<Vec<ChunkRef>>) {
        match &mut self.0 {
            Form::Ours(item) => (item.chunks, item.chunks_healthy) = (Some(chunks), healthy),
            Form::Any(map) => map.set_chunks(chunks, healthy),
        }
    }

    /// Writes the item as stock would: keys sorted, each value in its smallest form.
    pub fn encode(&self, encoder: &mut Encoder) {
        match &self.0 {
            Form::Ours(item) => item.encode(encoder),
            Form::Any(map) => map.encode(encoder),
        }
    }

    /// What it says, if it can be listed and restored: more is needed for that than to be an item.
    pub fn read(&self) -> Result<Cow<'_, Item>, ItemError> {
        match &self.0 {
            Form::Ours(item) => Ok(Cow::Borrowed(item)),
            Form::Any(map) => map.read().map(Cow::Owned),
        }
    }
}

impl Map {
    fn set_chunks(&mut self, chunks: Vec<ChunkRef>, healthy: Option<Vec<ChunkRef>>) {
        self.fields.insert(CHUNKS.into(), packed(&chunks));
        match &healthy {
            Some(healthy) => self.fields.insert(CHUNKS_HEALTHY.into(), packed(healthy)),
            None => self.fields.remove(CHUNKS_HEALTHY.as_bytes()),
        };
        (self.chunks, self.chunks_healthy) = (Some(chunks), healthy);
    }

    fn encode(&self, encoder: &mut Encoder) {
        encoder.map(self.fields.len());
        for (key, value) in &self.fields {
            encoder.raw(key).packed(value);
        }
    }

    fn read(&self) -> Result<Item, ItemError> {
        let references = [&self.chunks, &self.chunks_healthy].into_iter().flatten().map(Vec::len).sum::<usize>();
        // As much as nearly all take, so that it need not grow again and again.
        let capacity = 512 + self.path.len() + references * PACKED_REFERENCE_LEN;
        let mut encoder = Encoder::append_to(Vec::with_capacity(capacity));
        self.encode(&mut encoder);
        Item::decode(&encoder.finish())
    }
}

/// Reads what stands under a key, if it is there.
fn field<T>(
    fields: &BTreeMap<Vec<u8>, Vec<u8>>,
    key: &'static str,
    read: impl Fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, RawItemError> {
    let value = fields.get(key.as_bytes());
    value.map(|value| read(&mut Decoder::new(value)).map_err(|_| RawItemError::Malformed(key))).transpose()
}

fn packed(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut encoder = Encoder::append_to(Vec::with_capacity(5 + chunks.len() * PACKED_REFERENCE_LEN));
    Field::Chunks(chunks).encode(&mut encoder);
    encoder.finish()
}

/// The most that a chunk reference takes: the heads of a list and of an id, the id, two sizes.
const PACKED_REFERENCE_LEN: usize = 1 + 3 + 32 + 2 * 5;

/// No item needs more but that of a file of many chunks, in bytes: so much is not kept for the next one.
const LARGE: usize = 1 << 20;

const PATH: &str = "path";
const MTIME: &str = "mtime";
const CHUNKS: &str = "chunks";
const CHUNKS_HEALTHY: &str = "chunks_healthy";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item_codec::ITEM_KEYS;
    use crate::item_codec::tests::{any_item, changed};

    fn item_keys() -> BTreeSet<Vec<u8>> {
        ITEM_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect()
    }

    fn raw(packed: &[u8]) -> Result<RawItem, SalvageError> {
        RawItem::new(packed, &item_keys())
    }

    fn ours(packed: &[u8]) -> Option<RawItem> {
        RawItem::ours(packed, &mut vec![7; 3])
    }

    /// Requires that both forms of an item are the same to whoever asks.
    fn says_the_same(ours: &RawItem, any: &RawItem) -> Result<(), TestCaseError> {
        prop_assert_eq!((ours.path(), ours.size()), (any.path(), any.size()));
        prop_assert_eq!((ours.chunks(), ours.chunks_healthy()), (any.chunks(), any.chunks_healthy()));
        prop_assert_eq!(ours.read(), any.read());
        prop_assert_eq!(encoded(ours), encoded(any));
        Ok(())
    }

    fn encoded(item: &RawItem) -> Vec<u8> {
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn what_stock_takes_for_no_item_is_none() {
        assert_eq!(raw(b"\x01"), Err(RawItemError::NotAMap.into()));
        assert_eq!(raw(b"\x81\xa4path\xa1a"), Err(RawItemError::Missing("mtime").into()));
        assert_eq!(raw(b"\x81\xa5mtime\x05"), Err(RawItemError::Missing("path").into()));
        let foreign = b"\x84\xa4path\xa1a\xa5mtime\x05\xa3new\x01\x07\x01";
        assert_eq!(raw(foreign), Err(RawItemError::UnknownKeys("an integer, new".into()).into()));
        assert_eq!(raw(b"\x83\xa4path\xa1a\xa5mtime\x05\xa6chunks\xc0"), Err(RawItemError::Malformed("chunks").into()));
        let item = raw(b"\x83\xa4path\xa1a\xa5mtime\x05\xa3acl\xc0").unwrap();
        assert_eq!(encoded(&item), b"\x82\xa5mtime\x05\xa4path\xa1a", "sorted, and without what attic left");
        assert_eq!(item.read(), Err(ItemError::Missing("mode")));
    }

    #[test]
    fn what_is_packed_otherwise_is_not_ours() {
        let packed = |mtime: &[u8], more: &[u8]| {
            let mut packed = vec![0x87 + u8::from(!more.is_empty())];
            packed.extend(b"\xa3gid\x00\xa5group\xc0\xa4mode\xcd\x81\xa4\xa5mtime");
            [&packed, mtime, b"\xa4path\xa1a\xa3uid\x00\xa4user\xc0", more].concat()
        };
        assert!(ours(&packed(b"\x05", b"")).is_some());
        assert!(ours(&packed(b"\x05", b"\xa6xattrs\x80")).is_some());
        // Longer than need be, of an old version, known to later ones, a key out of order, a key twice.
        assert_eq!(ours(&packed(b"\xcc\x05", b"")), None);
        assert_eq!(ours(&packed(b"\xa1\x05", b"")), None);
        assert_eq!(ours(&packed(b"\x05", b"\xa3zzz\x01")), None);
        assert_eq!(ours(&packed(b"\x05", b"\xa6xattrs\x82\xa1a\xc0\xa1a\xc0")), None);
        assert_eq!(ours(&packed(b"\x05", b"\xa4size\x01")), None);
        assert_eq!(ours(&packed(b"\x05", b"\xa4user\xc0")), None);
        assert_eq!(ours(&packed(b"\x05", b"")[1..]), None);
    }

    #[test]
    fn maps_in_an_item_are_sorted_and_the_last_of_a_key_counts() {
        let item = raw(b"\x83\xa5mtime\x05\xa4path\xa1a\xa6xattrs\x83\xa1b\x01\xa1a\x02\xa1b\x03").unwrap();
        assert_eq!(encoded(&item), b"\x83\xa5mtime\x05\xa4path\xa1a\xa6xattrs\x82\xa1a\x02\xa1b\x03");
    }

    proptest! {
        /// What stock or we wrote comes out byte for byte.
        #[test]
        fn a_canonical_item_stays_as_it_is(item in any_item()) {
            let mut encoder = Encoder::new();
            let item = Item { unknown: Vec::new(), ..item };
            item.encode(&mut encoder);
            let packed = encoder.finish();
            let raw = raw(&packed).unwrap();
            prop_assert_eq!(raw.path(), &item.path);
            prop_assert_eq!(raw.chunks(), item.chunks.as_deref());
            prop_assert_eq!(raw.size(), item.size);
            prop_assert_eq!(encoded(&raw), &packed[..]);

            says_the_same(&ours(&packed).unwrap(), &raw)?;
        }

        /// What is taken for one of ours says what it says as any item, and is written alike.
        #[test]
        fn what_is_nearly_ours_is_the_same_or_not_ours(item in any_item(), at: proptest::sample::Index, byte: u8) {
            let packed = changed(&Item { unknown: Vec::new(), ..item }, at, byte);
            if let Some(ours) = ours(&packed) {
                prop_assert_eq!(&encoded(&ours), &packed);
                says_the_same(&ours, &raw(&packed).unwrap())?;
            }
        }

        #[test]
        fn a_new_content_is_read_back(item in any_item(), other in any_item()) {
            let mut encoder = Encoder::new();
            let item = Item { unknown: Vec::new(), ..item };
            item.encode(&mut encoder);
            let packed = encoder.finish();
            let chunks = other.chunks.unwrap_or_default();
            let [mut raw, mut ours] = [raw(&packed).unwrap(), ours(&packed).unwrap()];
            for raw in [&mut raw, &mut ours] {
                raw.set_chunks(chunks.clone(), other.chunks_healthy.clone());
            }
            prop_assert_eq!(encoded(&raw), encoded(&ours));
            let expected = Item { chunks: Some(chunks), chunks_healthy: other.chunks_healthy, ..item };
            let mut again = raw.read().unwrap().into_owned();
            let mut expected = expected;
            for item in [&mut again, &mut expected] {
                if let Some(xattrs) = &mut item.xattrs {
                    xattrs.sort();
                }
            }
            prop_assert_eq!(again, expected);
        }
    }
}
