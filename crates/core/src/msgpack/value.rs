//! A packed value as a tree, for what is kept without being understood.

use super::decode::{DecodeError, Decoder, Kind, MAX_DEPTH};
use super::encode::Encoder;
use crate::copied;

/// Any value that borg writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nil.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer between `i64::MIN` and `u64::MAX`.
    Int(i128),
    /// Text or bytes.
    Raw(Vec<u8>),
    /// Members in order.
    Array(Vec<Value>),
    /// Pairs in the order they were packed.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// Takes the next value, whatever it is.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::decode_nested(decoder, MAX_DEPTH)
    }

    /// Writes the value in borg's form.
    pub fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Nil => _ = encoder.nil(),
            Self::Bool(value) => _ = encoder.bool(*value),
            Self::Int(value) => match u64::try_from(*value) {
                Ok(value) => _ = encoder.uint(value),
                Err(_) => _ = encoder.int(i64::try_from(*value).expect("what is no u64 was read as an i64")),
            },
            Self::Raw(bytes) => _ = encoder.raw(bytes),
            Self::Array(members) => {
                encoder.array(members.len());
                for member in members {
                    member.encode(encoder);
                }
            }
            Self::Map(pairs) => {
                encoder.map(pairs.len());
                for (key, value) in pairs {
                    key.encode(encoder);
                    value.encode(encoder);
                }
            }
        }
    }

    /// The value under a text key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| matches!(name, Self::Raw(name) if name == key.as_bytes())).map(|(_, value)| value)
    }

    /// The bytes, if this is a string.
    pub fn as_raw(&self) -> Option<&[u8]> {
        match self {
            Self::Raw(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn decode_nested(decoder: &mut Decoder<'_>, depth: u32) -> Result<Self, DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep { at: decoder.position() })?;
        Ok(match decoder.peek()? {
            Kind::Nil => {
                decoder.nil()?;
                Self::Nil
            }
            Kind::Bool => Self::Bool(decoder.bool()?),
            Kind::Int => Self::Int(decoder.int()?),
            Kind::Raw => Self::Raw(copied(decoder.raw()?)),
            Kind::Array => {
                let len = decoder.array()?;
                // Members are pushed one by one: a packed byte becomes a Value many times its size, so a declared
                // length must not be allocated for in one go.
                let mut members = Vec::new();
                for _ in 0..len {
                    members.push(Self::decode_nested(decoder, depth)?);
                }
                Self::Array(members)
            }
            Kind::Map => {
                let len = decoder.map()?;
                let mut pairs = Vec::new();
                for _ in 0..len {
                    pairs.push((Self::decode_nested(decoder, depth)?, Self::decode_nested(decoder, depth)?));
                }
                Self::Map(pairs)
            }
            Kind::Float | Kind::Other => {
                decoder.skip()?;
                unreachable!("skip refuses what borg does not write")
            }
        })
    }
}
