//! A connection that speaks SSH, to a server that is who we mean.

use std::net::{self, Shutdown};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, DisconnectReason, Handle, Handler};
use russh::keys::PublicKeyOrCertificate;
use tokio::net::TcpStream;
use tokio::time::timeout;
use worldkeeper_core::escape;

use super::algorithms::KEEPALIVES;
use super::dial::{dial, late};
use super::host_keys::HostKeys;
use super::watched::Watched;
use super::{SshOptions, Target, algorithms};
use crate::ConnectError;

/// A session, not logged in yet.
pub(super) struct Session {
    pub(super) handle: Handle<Client>,
    /// Why it is gone, once it is.
    pub(super) reason: Reason,
    /// The same connection once more, to end it with, whatever it is busy with.
    socket: net::TcpStream,
}

impl Session {
    /// Connects, agrees on keys, and checks the host's.
    pub(super) async fn open(target: &Target, host_keys: HostKeys, options: &SshOptions) -> Result<Self, ConnectError> {
        let stream = dial(target, options).await?;
        Self::over(stream, target, host_keys, options).await
    }

    /// Agrees on keys over a connection that is there, and checks the host's.
    pub(super) async fn over(
        stream: TcpStream,
        target: &Target,
        host_keys: HostKeys,
        options: &SshOptions,
    ) -> Result<Self, ConnectError> {
        let config = Arc::new(algorithms::config(options, host_keys.algorithms(), host_keys.certificates()));
        let broken = |error: std::io::Error| failed(target, &error.to_string());
        let socket = stream.into_std().map_err(broken)?;
        let stream = TcpStream::from_std(socket.try_clone().map_err(broken)?).map_err(broken)?;
        let silence = options.keepalive.saturating_mul(KEEPALIVES + 1);
        let stream = Watched::new(stream, silence);
        let reason = Reason::default();
        let client = Client { host_keys, reason: reason.clone() };
        match timeout(options.step_timeout, client::connect_stream(config, stream, client)).await {
            Ok(Ok(handle)) => Ok(Self { handle, reason, socket }),
            Ok(Err(ClientError::Refused(refusal))) => Err(refusal),
            Ok(Err(ClientError::Protocol(error))) => Err(failed(target, &error.to_string())),
            Err(_) => Err(late(&format!("{} did not agree on keys", target.host), options.step_timeout)),
        }
    }

    /// Ends it at once.
    pub(super) fn end(&self) {
        // It may have ended by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn failed(target: &Target, why: &str) -> ConnectError {
    let host = &target.host;
    let why = escape::escape(why);
    ConnectError { message: format!("{host} cannot be talked to over SSH: {why}"), remedy: None, may_pass: true }
}

/// Why a session is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Reason(Arc<Mutex<Option<String>>>);

impl Reason {
    fn set(&self, reason: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// The reason, or that there is none.
    pub(super) fn text(&self) -> String {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| "the connection is gone".to_owned())
    }
}

/// Our side, as the session asks it.
pub(super) struct Client {
    host_keys: HostKeys,
    reason: Reason,
}

/// What ends a session.
#[derive(Debug)]
pub(super) enum ClientError {
    /// We did, because of the host's key.
    Refused(ConnectError),
    /// Something else.
    Protocol(russh::Error),
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

impl Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        self.host_keys.check(shown).map_err(ClientError::Refused)?;
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<ClientError>) -> Result<(), ClientError> {
        self.reason.set(match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the server has closed the connection: {}", escape::escape(&info.message))
            }
            DisconnectReason::Error(ClientError::Protocol(russh::Error::KeepaliveTimeout)) => {
                "the server is silent, and does not answer when asked whether it is there".to_owned()
            }
            DisconnectReason::Error(ClientError::Protocol(russh::Error::HUP | russh::Error::Disconnect)) => {
                "the connection was closed".to_owned()
            }
            DisconnectReason::Error(ClientError::Protocol(error)) => {
                format!("the connection is broken: {}", escape::escape(&error.to_string()))
            }
            DisconnectReason::Error(ClientError::Refused(refusal)) => refusal.message,
        });
        Ok(())
    }
}
