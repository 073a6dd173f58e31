//! What a method returns.

use bytes::Bytes;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Kind};
use worldkeeper_core::{ChunkId, MAX_DATA_SIZE, RepositoryId};

use crate::message::Message;
use crate::{Call, Method, Payload, ProtocolError, RemoteError, Version};

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The server's version.
    Negotiated(Version),
    /// What a client of 1.0 is answered.
    LegacyProtocol,
    /// The id of the repository that is open now.
    Opened(RepositoryId),
    /// An object, or the text of the key blob; empty if there is no key.
    Data(Payload),
    /// Ids.
    Ids(Vec<ChunkId>),
    /// The number of objects.
    Count(u64),
    /// Whether the repository is sound, or was mended.
    Sound(bool),
    /// The first free nonce, if any was ever reserved.
    FreeNonce(Option<u64>),
    /// It is done.
    Done,
}

/// How a call ended: with its result, or with an exception.
pub type Outcome = Result<Reply, RemoteError>;

/// What an error may take: more than any traceback.
const MAX_ERROR_BYTES: usize = 1 << 20;
/// Around a result: map, keys, number.
const ENVELOPE_BYTES: usize = 64;
/// An id with its head.
const ID_BYTES: usize = 3 + 32;
/// Longest text of a key blob that is taken; borg's have less than 1 KiB.
const MAX_KEY_BYTES: usize = 1 << 20;
/// Most ids in an answer to a call that sets no limit: what fits the buffer of stock's client, of three objects.
const MAX_IDS: u64 = (3 * 20_971_520 / ID_BYTES) as u64;

/// What the answer to a call can be at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) method: Method,
    /// Ids or bytes, as the method has it.
    most: usize,
}

impl Expected {
    pub(crate) fn of(call: &Call) -> Self {
        let most = match call {
            Call::Get { .. } => MAX_DATA_SIZE,
            Call::LoadKey => MAX_KEY_BYTES,
            Call::List(page) | Call::Scan(page) => page.limit.unwrap_or(MAX_IDS).min(MAX_IDS) as usize,
            _ => 0,
        };
        Self { method: call.method(), most }
    }

    pub(crate) fn negotiation() -> Self {
        Self { method: Method::Negotiate, most: 0 }
    }

    /// How long the message with it can be.
    pub(crate) fn limit_bytes(&self) -> usize {
        let result = match self.method {
            Method::List | Method::Scan => self.most * ID_BYTES,
            _ => self.most,
        };
        (ENVELOPE_BYTES + result).max(MAX_ERROR_BYTES)
    }

    /// Reads the result; `message` is what it is a part of.
    pub(crate) fn decode(&self, packed: &[u8], message: &Bytes) -> Result<Reply, ProtocolError> {
        let reply = self
            .decode_value(packed, message)
            .map_err(|source| ProtocolError::Result { method: self.method, source })?;
        let found = match &reply {
            Reply::Data(data) => data.0.len(),
            Reply::Ids(ids) => ids.len(),
            _ => 0,
        };
        if found > self.most {
            return Err(ProtocolError::Excess { method: self.method, found, limit: self.most });
        }
        Ok(reply)
    }

    fn decode_value(&self, packed: &[u8], message: &Bytes) -> Result<Reply, DecodeError> {
        let mut decoder = Decoder::with_floats(packed);
        let reply = match self.method {
            Method::Negotiate => negotiated(&mut decoder)?,
            Method::Open => Reply::Opened(RepositoryId(decoder.raw_array()?)),
            Method::Get | Method::LoadKey => Reply::Data(Payload(message.slice_ref(decoder.raw()?))),
            Method::Len => Reply::Count(decoder.int_as()?),
            Method::List | Method::Scan => ids(&mut decoder)?,
            Method::Check => Reply::Sound(decoder.bool()?),
            Method::GetFreeNonce if decoder.nil()? => Reply::FreeNonce(None),
            Method::GetFreeNonce => Reply::FreeNonce(Some(decoder.int_as()?)),
            Method::Put
            | Method::Delete
            | Method::Commit
            | Method::Rollback
            | Method::Destroy
            | Method::SaveKey
            | Method::CommitNonceReservation
            | Method::BreakLock
            | Method::InjectException => {
                let found = decoder.peek()?;
                if !decoder.nil()? {
                    return Err(DecodeError::Unexpected { at: 0, expected: "nil", found });
                }
                Reply::Done
            }
        };
        decoder.finish()?;
        Ok(reply)
    }
}

/// `{"server_version": [1, 4, 5, -1]}`; servers of 1.0 answer 2.
fn negotiated(decoder: &mut Decoder<'_>) -> Result<Reply, DecodeError> {
    if decoder.peek()? == Kind::Int {
        decoder.int()?;
        return Ok(Reply::LegacyProtocol);
    }
    Version::decode_said(decoder, b"server_version").map(Reply::Negotiated)
}

fn ids(decoder: &mut Decoder<'_>) -> Result<Reply, DecodeError> {
    // What is no id ends it, so that the list takes no more than its packed form.
    let mut ids = Vec::new();
    for _ in 0..decoder.array()? {
        ids.push(ChunkId(decoder.raw_array()?));
    }
    Ok(Reply::Ids(ids))
}

impl Reply {
    pub(crate) fn encode(&self, message: &mut Message) {
        let encoder = message.encoder();
        match self {
            Self::Negotiated(version) => {
                encoder.map(1).raw("server_version");
                version.encode(encoder);
            }
            Self::LegacyProtocol => _ = encoder.uint(LEGACY_PROTOCOL),
            Self::Opened(id) => _ = encoder.raw(id.0),
            Self::Data(data) => message.payload(data),
            Self::Ids(ids) => {
                encoder.array(ids.len());
                for id in ids {
                    encoder.raw(id.0);
                }
            }
            Self::Count(count) | Self::FreeNonce(Some(count)) => _ = encoder.uint(*count),
            Self::Sound(sound) => _ = encoder.bool(*sound),
            Self::FreeNonce(None) | Self::Done => _ = encoder.nil(),
        }
    }
}

/// The version of the protocol that clients of 1.0 name.
pub(crate) const LEGACY_PROTOCOL: u64 = 2;
