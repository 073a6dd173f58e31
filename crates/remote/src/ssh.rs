//! The conversation over SSH spoken by this process, for where there is no `ssh`: as in our image.
//!
//! What it connects with and whom it trusts stands in [`SshOptions`]; no configuration of OpenSSH's is read.

mod algorithms;
mod channel;
mod dial;
mod host_keys;
mod key_pair;
mod keys;
pub mod known_hosts;
mod login;
mod probe;
mod scan;
mod session;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::Stop;

pub use key_pair::{KeyPair, KeyPairError};
pub use keys::Passphrase;
pub use known_hosts::DEFAULT_PORT;
pub use probe::{Probe, Step};
pub use scan::{ShownKey, scan};

use crate::runtime::wait;
use crate::{Connect, ConnectError, Link, RemoteLocation, ServeCommand};
use host_keys::HostKeys;
use known_hosts::HostName;

/// How to connect, and with what.
#[derive(Clone, Debug)]
pub struct SshOptions {
    /// Who logs in where the location does not say.
    pub user: String,
    /// The keys to log in with, and no others (`SSH_KEY_PATH`). Must be there.
    pub keys: Vec<PathBuf>,
    /// The keys to try where none is named: ours, then the user's. May be missing.
    pub default_keys: Vec<PathBuf>,
    /// What opens those that are encrypted.
    pub passphrase: Option<Passphrase>,
    /// Where an agent listens (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// The `known_hosts` in which `trust-host` pins keys. May be missing.
    pub pinned: PathBuf,
    /// Others, that somebody else keeps. Must be there.
    pub known_hosts: Vec<PathBuf>,
    /// How long each step of connecting may take: to be answered by an address, to agree on keys, to log in.
    pub step_timeout: Duration,
    /// After how long a silence the server is asked whether it is there. At the fourth time that nothing has come, it is
    /// not: 40 s, if this is 10 s.
    pub keepalive: Duration,
    /// How many bytes are sent or received under one key.
    pub rekey_bytes: usize,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self {
            user: "root".to_owned(),
            keys: Vec::new(),
            default_keys: Vec::new(),
            passphrase: None,
            agent: None,
            pinned: PathBuf::new(),
            known_hosts: Vec::new(),
            step_timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(10),
            rekey_bytes: 1 << 30,
        }
    }
}

/// Logs in and starts a command.
#[derive(Clone, Debug)]
pub struct SshConnector {
    target: Target,
    command: ServeCommand,
    options: Arc<SshOptions>,
}

/// Whom to call.
#[derive(Clone, Debug)]
struct Target {
    user: String,
    host: String,
    port: u16,
}

impl Target {
    /// How its keys are looked up.
    fn name(&self) -> HostName {
        HostName::new(&self.host, self.port)
    }
}

impl SshConnector {
    /// For the server at `location`, called by `command`.
    pub fn new(location: &RemoteLocation, command: ServeCommand, options: SshOptions) -> Self {
        let target = Target {
            user: location.user.clone().unwrap_or_else(|| options.user.clone()),
            host: location.host.clone(),
            port: location.port.unwrap_or(DEFAULT_PORT),
        };
        Self { target, command, options: Arc::new(options) }
    }
}

impl Connect for SshConnector {
    fn connect(&self, stop: &Stop) -> Result<Link, ConnectError> {
        // Files are read here, on the caller's thread, and anew for each connection: they may have been mended since.
        let host_keys = HostKeys::read(&self.options, self.target.name())?;
        let keys = keys::Keys::read(&self.options)?;
        let (target, options, line) = (self.target.clone(), Arc::clone(&self.options), self.command.line());
        wait(stop, async move {
            let mut session = session::Session::open(&target, host_keys, &options).await?;
            login::log_in(&mut session, &target, keys, &options).await?;
            channel::start(session, &line, options.step_timeout).await
        })
    }
}
