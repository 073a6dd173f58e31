//! What a request means, and what the session itself answers.

use bytes::Bytes;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Kind};

use super::{Client, Server};
use crate::call::{Args, Call};
use crate::envelope::{Form, Request};
use crate::reply::LEGACY_PROTOCOL;
use crate::{Arg, Class, Method, Outcome, RemoteError, Reply, Version};

impl Server {
    /// The call that is meant, or what is to be answered at once.
    pub(super) fn understand(&mut self, request: &Request<'_>, message: &Bytes) -> Result<(Method, Call), Outcome> {
        let Some(method) = Method::from_name(request.method) else {
            return Err(Err(RemoteError::borg(Class::InvalidRPCMethod, [Arg::Raw(request.method.to_vec())])));
        };
        let of_session = matches!(method, Method::Negotiate | Method::Open | Method::InjectException);
        if !of_session && !self.is_open {
            let text = format!("'NoneType' object has no attribute '{method}'");
            return Err(Err(RemoteError::python("AttributeError", text)));
        }
        let args = match request.form {
            Form::Named => Args::named(method, request.args, message),
            Form::Legacy => Args::positional(method, request.args, message),
        };
        let wrong = |error: DecodeError| RemoteError::python("TypeError", format!("arguments of {method}: {error}"));
        let args = args.map_err(|error| Err(wrong(error)))?;
        match Call::decode(method, &args) {
            Ok(Some(call)) => Ok((method, call)),
            Ok(None) if method == Method::Negotiate => Err(self.negotiate(&args)),
            Ok(None) => Err(inject_exception(&args)),
            Err(error) => Err(Err(error)),
        }
    }

    /// Source: borg 1.4 `remote.py`, `RepositoryServer.negotiate`.
    fn negotiate(&mut self, args: &Args<'_>) -> Outcome {
        match args.required("client_data", client_data)? {
            ClientData::Version(version) => self.client = Client::Negotiated(version),
            ClientData::LegacyProtocol => {
                self.client = Client::Legacy;
                return Ok(Reply::LegacyProtocol);
            }
            ClientData::Unknown => {}
        }
        Ok(Reply::Negotiated(self.version.clone()))
    }
}

enum ClientData {
    Version(Version),
    LegacyProtocol,
    Unknown,
}

fn client_data(decoder: &mut Decoder<'_>) -> Result<ClientData, DecodeError> {
    match decoder.peek()? {
        Kind::Int if decoder.int()? == i128::from(LEGACY_PROTOCOL) => Ok(ClientData::LegacyProtocol),
        Kind::Map => Version::decode_said(decoder, b"client_version").map(ClientData::Version),
        _ => Ok(ClientData::Unknown),
    }
}

/// Source: borg 1.4 `remote.py`, `RepositoryServer.inject_exception`.
fn inject_exception(args: &Args<'_>) -> Outcome {
    let (text, other) = ("test string", "test string2");
    let (class, args) = match args.required("kind", |decoder| decoder.raw().map(<[u8]>::to_vec))?.as_slice() {
        b"DoesNotExist" => (Class::DoesNotExist, vec![text]),
        b"AlreadyExists" => (Class::AlreadyExists, vec![text]),
        b"CheckNeeded" => (Class::CheckNeeded, vec![text]),
        b"IntegrityError" => (Class::IntegrityError, vec![text]),
        b"PathNotAllowed" => (Class::PathNotAllowed, vec!["foo"]),
        b"ObjectNotFound" => (Class::ObjectNotFound, vec![text, other]),
        b"InvalidRPCMethod" => (Class::InvalidRPCMethod, vec![text]),
        b"divide" => return Err(RemoteError::python("ZeroDivisionError", "integer division or modulo by zero")),
        _ => return Ok(Reply::Done),
    };
    Err(RemoteError::borg(class, args.into_iter().map(Arg::from)))
}
