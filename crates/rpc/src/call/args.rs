//! The arguments of one request, found by name.

use bytes::Bytes;
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder};

use crate::{Method, Payload, RemoteError};

/// More than any client has ever sent; a 1.1 server allows as many.
const MAX_ARGS: usize = 100;

/// Arguments, still packed. Of two with the same name the last counts, as in Python.
pub(crate) struct Args<'a> {
    method: Method,
    message: &'a Bytes,
    packed: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Args<'a> {
    /// Takes a map of names and values.
    pub(crate) fn named(method: Method, packed: &'a [u8], message: &'a Bytes) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::with_floats(packed);
        let len = decoder.map()?;
        if len > MAX_ARGS {
            return Err(DecodeError::OutOfRange { at: 0 });
        }
        let packed = (0..len).map(|_| Ok((decoder.raw()?, decoder.skip()?))).collect::<Result<_, DecodeError>>()?;
        Ok(Self { method, message, packed })
    }

    /// Takes a list of values; those that have no name are left out.
    pub(crate) fn positional(method: Method, packed: &'a [u8], message: &'a Bytes) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::with_floats(packed);
        let len = decoder.array()?;
        if len > MAX_ARGS {
            return Err(DecodeError::OutOfRange { at: 0 });
        }
        let names = method.positional().iter().take(len);
        let packed = names.map(|name| Ok((name.as_bytes(), decoder.skip()?))).collect::<Result<_, DecodeError>>()?;
        Ok(Self { method, message, packed })
    }

    /// Reads an argument that must be there.
    pub(crate) fn required<T>(&self, name: &str, read: Read<T>) -> Result<T, RemoteError> {
        self.given(name, read)?.ok_or_else(|| self.missing(name))
    }

    /// Reads an argument, or takes the server's default.
    pub(super) fn or<T>(&self, name: &str, default: T, read: Read<T>) -> Result<T, RemoteError> {
        Ok(self.given(name, read)?.unwrap_or(default))
    }

    /// Reads an argument that is kept as a part of the message it came in.
    pub(super) fn payload(&self, name: &str) -> Result<Payload, RemoteError> {
        let packed = self.find(name).ok_or_else(|| self.missing(name))?;
        let bytes = Decoder::new(packed).raw().map_err(|error| self.wrong(name, &error))?;
        Ok(Payload(self.message.slice_ref(bytes)))
    }

    fn given<T>(&self, name: &str, read: Read<T>) -> Result<Option<T>, RemoteError> {
        let Some(packed) = self.find(name) else { return Ok(None) };
        read(&mut Decoder::new(packed)).map(Some).map_err(|error| self.wrong(name, &error))
    }

    fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.packed.iter().rev().find(|(key, _)| *key == name.as_bytes()).map(|(_, packed)| *packed)
    }

    /// In Python's words, since that is what stock's server says.
    fn missing(&self, name: &str) -> RemoteError {
        let class = if self.method == Method::Open { "RepositoryServer" } else { "Repository" };
        let method = self.method;
        let text = format!("{class}.{method}() missing 1 required positional argument: '{name}'");
        RemoteError::python("TypeError", text)
    }

    fn wrong(&self, name: &str, error: &DecodeError) -> RemoteError {
        RemoteError::python("TypeError", format!("argument '{name}' of {}: {error}", self.method))
    }
}

/// Reads one value.
pub(crate) type Read<T> = fn(&mut Decoder<'_>) -> Result<T, DecodeError>;

/// True or false.
pub(super) fn flag(decoder: &mut Decoder<'_>) -> Result<bool, DecodeError> {
    decoder.bool()
}

/// An id.
pub(super) fn id(decoder: &mut Decoder<'_>) -> Result<ChunkId, DecodeError> {
    decoder.raw_array().map(ChunkId)
}

/// A count.
pub(super) fn count(decoder: &mut Decoder<'_>) -> Result<u64, DecodeError> {
    decoder.int_as()
}

/// Text or bytes.
pub(super) fn raw(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, DecodeError> {
    decoder.raw().map(<[u8]>::to_vec)
}

/// A share of the whole.
pub(super) fn share(decoder: &mut Decoder<'_>) -> Result<f64, DecodeError> {
    let at = decoder.position();
    let share = decoder.float()?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(DecodeError::OutOfRange { at }) }
}

/// Nil, or a value.
macro_rules! or_nil {
    ($read:path) => {
        |decoder| if decoder.nil()? { Ok(None) } else { $read(decoder).map(Some) }
    };
}
pub(super) use or_nil;
