//! What is around every request and reply, in both forms.
//!
//! ```text
//! request  {"i": msgid, "m": method, "a": {name: value, ..}}    or  [1, msgid, method, [value, ..]]
//! reply    {"i": msgid, "r": result}                            or  [1, msgid, nil, result]
//! error    {"i": msgid, "exception_class": name, ..}            or  [1, msgid, name, text]
//! ```
//!
//! The form on the right is that of before 1.1, and still that of the first request of every stock client; a server
//! answers each request in the form it came in.
//!
//! Source: borg 1.4 `remote.py`, `RepositoryServer.serve` and `RemoteRepository.call_many`.

use bytes::Bytes;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Kind};

use crate::message::Message;
use crate::remote_error::FIELDS;
use crate::{MsgId, Outcome, ProtocolError, RemoteError};

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A map; arguments by name.
    Named,
    /// An array of four; arguments by position.
    Legacy,
}

/// A request, with its arguments still packed.
pub(crate) struct Request<'a> {
    pub(crate) form: Form,
    pub(crate) msgid: MsgId,
    pub(crate) method: &'a [u8],
    pub(crate) args: &'a [u8],
}

/// A reply, with its result still packed.
pub(crate) struct Response<'a> {
    pub(crate) msgid: MsgId,
    pub(crate) result: Result<&'a [u8], RemoteError>,
}

impl<'a> Request<'a> {
    pub(crate) fn decode(message: &'a Bytes) -> Result<Self, ProtocolError> {
        let mut decoder = Decoder::with_floats(message);
        let malformed = |source| ProtocolError::malformed(message, source);
        if decoder.peek().map_err(malformed)? == Kind::Array {
            let (msgid, method, args) = Self::decode_legacy(&mut decoder).map_err(malformed)?;
            return Ok(Self { form: Form::Legacy, msgid, method, args });
        }
        let (mut msgid, mut method, mut args) = (None, None, None);
        let mut pair = |decoder: &mut Decoder<'a>| {
            match decoder.raw()? {
                b"i" => msgid = Some(MsgId(decoder.int_as()?)),
                b"m" => method = Some(decoder.raw()?),
                b"a" => args = Some(decoder.skip()?),
                _ => _ = decoder.skip()?,
            }
            Ok(())
        };
        each_pair(&mut decoder, &mut pair).map_err(malformed)?;
        Ok(Self {
            form: Form::Named,
            msgid: msgid.ok_or(ProtocolError::Incomplete("number"))?,
            method: method.ok_or(ProtocolError::Incomplete("method"))?,
            args: args.ok_or(ProtocolError::Incomplete("arguments"))?,
        })
    }

    fn decode_legacy(decoder: &mut Decoder<'a>) -> Result<(MsgId, &'a [u8], &'a [u8]), DecodeError> {
        legacy_head(decoder)?;
        Ok((MsgId(decoder.int_as()?), decoder.raw()?, decoder.skip()?))
    }
}

impl<'a> Response<'a> {
    pub(crate) fn decode(message: &'a Bytes) -> Result<Self, ProtocolError> {
        let mut decoder = Decoder::with_floats(message);
        let malformed = |source| ProtocolError::malformed(message, source);
        if decoder.peek().map_err(malformed)? == Kind::Array {
            return Self::decode_legacy(&mut decoder).map_err(malformed);
        }
        let (mut msgid, mut result, mut error) = (None, None, RemoteError::named(b""));
        let mut pair = |decoder: &mut Decoder<'a>| {
            match decoder.raw()? {
                b"i" => msgid = Some(MsgId(decoder.int_as()?)),
                b"r" => result = Some(decoder.skip()?),
                key => {
                    if !error.take_field(key, decoder)? {
                        decoder.skip()?;
                    }
                }
            }
            Ok(())
        };
        each_pair(&mut decoder, &mut pair).map_err(malformed)?;
        let result = match result {
            _ if !error.name.is_empty() => Err(error),
            Some(result) => Ok(result),
            None => return Err(ProtocolError::Incomplete("result")),
        };
        Ok(Self { msgid: msgid.ok_or(ProtocolError::Incomplete("number"))?, result })
    }

    fn decode_legacy(decoder: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        legacy_head(decoder)?;
        let msgid = MsgId(decoder.int_as()?);
        let error = if decoder.nil()? { None } else { Some(RemoteError::named(decoder.raw()?)) };
        // Beside an error there is a fixed text.
        let result = decoder.skip()?;
        Ok(Self { msgid, result: error.map_or(Ok(result), Err) })
    }
}

/// Writes what a server answers.
pub(crate) fn encode_response(form: Form, msgid: MsgId, result: &Outcome) -> Message {
    let mut message = Message::default();
    let encoder = message.encoder();
    match (form, result) {
        (Form::Named, Ok(reply)) => {
            encoder.map(2).raw("i").uint(msgid.0).raw("r");
            reply.encode(&mut message);
        }
        (Form::Named, Err(error)) => {
            encoder.map(1 + FIELDS).raw("i").uint(msgid.0);
            error.encode(encoder);
        }
        (Form::Legacy, Ok(reply)) => {
            encoder.array(4).uint(1).uint(msgid.0).nil();
            reply.encode(&mut message);
        }
        (Form::Legacy, Err(error)) => {
            encoder.array(4).uint(1).uint(msgid.0).raw(&error.name);
            encoder.raw("Remote Exception (see remote log for the traceback)");
        }
    }
    message
}

/// Four members, of which the first has never meant anything.
fn legacy_head(decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let at = decoder.position();
    if decoder.array()? != 4 {
        return Err(DecodeError::OutOfRange { at });
    }
    decoder.skip().map(|_| ())
}

fn each_pair<'a>(
    decoder: &mut Decoder<'a>,
    pair: &mut dyn FnMut(&mut Decoder<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    /// The message of an error has 7.
    const MAX_PAIRS: usize = 100;
    let at = decoder.position();
    let len = decoder.map()?;
    if len > MAX_PAIRS {
        return Err(DecodeError::OutOfRange { at });
    }
    (0..len).try_for_each(|_| pair(decoder))
}
