//! What an exception was made with.

use std::fmt;

use worldkeeper_core::escape::escape_bytes;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder, Kind};

/// An argument of an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Nil: also what cannot be sent.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Text or bytes.
    Raw(Vec<u8>),
    /// Something that borg's own exceptions do not have.
    Other,
}

impl Arg {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match decoder.peek()? {
            Kind::Nil => {
                decoder.nil()?;
                Self::Nil
            }
            Kind::Bool => Self::Bool(decoder.bool()?),
            Kind::Int => Self::Int(decoder.int()?),
            Kind::Raw => Self::Raw(decoder.raw()?.to_vec()),
            Kind::Float | Kind::Array | Kind::Map | Kind::Other => {
                decoder.skip()?;
                Self::Other
            }
        })
    }

    pub(super) fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Bool(value) => _ = encoder.bool(*value),
            Self::Raw(bytes) => _ = encoder.raw(bytes),
            Self::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => _ = encoder.uint(value),
                (_, Ok(value)) => _ = encoder.int(value),
                _ => _ = encoder.nil(),
            },
            Self::Nil | Self::Other => _ = encoder.nil(),
        }
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Raw(text.into_bytes())
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }
}

/// As text that is fit for a terminal.
impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => value.fmt(f),
            Self::Raw(bytes) => f.write_str(&escape_bytes(bytes)),
            Self::Other => f.write_str("…"),
        }
    }
}
