//! A packed value as a tree, for what is looked at here and there.

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
    /// The longest packed value that is made a tree of, in bytes: one takes up to thirty-two times as much.
    pub const MAX_LEN: usize = 1 << 20;

    /// Takes the next value, whatever it is.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        if decoder.clone().skip()?.len() > Self::MAX_LEN {
            return Err(DecodeError::TooLong { at: decoder.position(), limit: Self::MAX_LEN });
        }
        Self::decode_nested(decoder, MAX_DEPTH)
    }

    /// Writes the value in borg's form.
    pub fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Nil => _ = encoder.nil(),
            Self::Bool(value) => _ = encoder.bool(*value),
            Self::Int(value) => _ = encoder.any_int(*value),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_all_memory_as_a_tree_is_refused() {
        let long = |len: usize| [b"\x92\x01\xdd", &(len as u32).to_be_bytes()[..], &vec![0; len]].concat();
        let packed = long(Value::MAX_LEN - 7);
        assert!(Value::decode(&mut Decoder::new(&packed)).is_ok());
        let packed = long(Value::MAX_LEN - 6);
        let mut decoder = Decoder::new(&packed);
        assert_eq!(Value::decode(&mut decoder), Err(DecodeError::TooLong { at: 0, limit: Value::MAX_LEN }));
        assert_eq!(decoder.skip(), Ok(&packed[..]), "it can still be passed over");
    }
}
