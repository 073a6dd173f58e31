//! Writes metadata maps as stock does: keys sorted, those of later versions among them.

use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Value};
use worldkeeper_crypto::tam;

use crate::item::ChunkRef;

/// A value that one of the maps holds.
#[derive(Clone, Copy)]
pub(crate) enum Field<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Raw(&'a [u8]),
    /// Nil where there is none; the key is always written.
    RawOrNil(Option<&'a [u8]>),
    RawList(&'a [Vec<u8>]),
    /// Id, size, csize of each.
    Chunks(&'a [ChunkRef]),
    Ids(&'a [ChunkId]),
    /// Empty values are nil.
    Xattrs(&'a [(Vec<u8>, Vec<u8>)]),
    Value(&'a Value),
    /// What is packed already.
    Packed(&'a [u8]),
    /// A TAM to be signed, with this salt.
    Tam(&'a [u8; 64]),
}

/// A key and its value; without a value the key is not written.
pub(crate) type Entry<'a> = (&'static str, Option<Field<'a>>);

/// A key of another version, and its value as it is packed: a tree of it would take many times the memory, for nothing.
pub(crate) type Unknown = (Vec<u8>, Vec<u8>);

/// Writes a map of `known`, which is sorted, and `unknown`, which may not be. Returns the TAM if there is one to sign.
pub(crate) fn encode_map(encoder: &mut Encoder, known: &[Entry<'_>], unknown: &[Unknown]) -> Option<tam::Unsigned> {
    debug_assert!(known.is_sorted_by(|left, right| left.0 < right.0), "the keys are listed in order");
    let mut unknown: Vec<_> = unknown.iter().collect();
    unknown.sort_by_key(|(key, _)| key);
    let mut unknown = unknown.into_iter().peekable();
    let mut unsigned = None;

    encoder.map(known.iter().filter(|(_, field)| field.is_some()).count() + unknown.len());
    for (key, field) in known {
        let Some(field) = field else { continue };
        while let Some((key, value)) = unknown.next_if(|(unknown, _)| unknown.as_slice() < key.as_bytes()) {
            encoder.raw(key).packed(value);
        }
        encoder.raw(key);
        if let Field::Tam(salt) = field {
            unsigned = Some(tam::Unsigned::encode(**salt, encoder));
        } else {
            field.encode(encoder);
        }
    }
    for (key, value) in unknown {
        encoder.raw(key).packed(value);
    }
    unsigned
}

impl Field<'_> {
    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        match *self {
            Self::Bool(value) => _ = encoder.bool(value),
            Self::Int(value) => _ = encoder.int(value),
            Self::Uint(value) => _ = encoder.uint(value),
            Self::Raw(bytes) | Self::RawOrNil(Some(bytes)) => _ = encoder.raw(bytes),
            Self::RawOrNil(None) => _ = encoder.nil(),
            Self::RawList(list) => {
                encoder.array(list.len());
                for bytes in list {
                    encoder.raw(bytes);
                }
            }
            Self::Chunks(chunks) => {
                encoder.array(chunks.len());
                for chunk in chunks {
                    encoder.array(3).raw(chunk.id.0).uint(chunk.size.into()).uint(chunk.csize.into());
                }
            }
            Self::Ids(ids) => {
                encoder.array(ids.len());
                for id in ids {
                    encoder.raw(id.0);
                }
            }
            Self::Xattrs(xattrs) => {
                let mut sorted: Vec<_> = xattrs.iter().collect();
                sorted.sort_by_key(|(name, _)| name);
                encoder.map(sorted.len());
                for (name, value) in sorted {
                    encoder.raw(name);
                    if value.is_empty() {
                        encoder.nil()
                    } else {
                        encoder.raw(value)
                    };
                }
            }
            Self::Value(value) => value.encode(encoder),
            Self::Packed(packed) => _ = encoder.packed(packed),
            Self::Tam(_) => unreachable!("encode_map writes it itself"),
        }
    }
}

/// Reads a list of strings.
pub(crate) fn raw_list(decoder: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    // A string of no bytes takes one byte and its Vec 24: the list is not allocated for in one go.
    let mut list = Vec::new();
    for _ in 0..limited(decoder.array()?, MAX_WORDS)? {
        list.push(decoder.raw()?.to_vec());
    }
    Ok(list)
}

/// Takes the head of a map that [`encode_map`] writes.
pub(crate) fn keys(decoder: &mut Decoder<'_>) -> Result<usize, DecodeError> {
    limited(decoder.map()?, MAX_KEYS)
}

/// The length of a list, if it is not longer than any can be.
pub(crate) fn limited(len: usize, limit: usize) -> Result<usize, DecodeError> {
    if len > limit { Err(DecodeError::TooMany { limit }) } else { Ok(len) }
}

/// Borg knows some thirty, and writes no manifest that announces more than a hundred.
pub(crate) const MAX_KEYS: usize = 1000;

/// No system starts a command with more of them, which are not bytes alone but pointers too.
const MAX_WORDS: usize = 1 << 20;
