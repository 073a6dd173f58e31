//! Logging in: with the keys from files, then with those of an agent.

use std::path::PathBuf;

use russh::client::AuthResult;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::time::timeout;
use worldkeeper_core::escape;

use super::dial::late;
use super::keys::{Key, Keys};
use super::session::Session;
use super::{SshOptions, Target};
use crate::ConnectError;

/// Logs in, or says with which keys it was tried.
pub(super) async fn log_in(
    session: &mut Session,
    target: &Target,
    keys: Keys,
    options: &SshOptions,
) -> Result<(), ConnectError> {
    let login = Login { session, target, options, tried: Vec::new(), locked: None, rsa_hash: None };
    let limit = options.step_timeout;
    timeout(limit, login.try_all(keys)).await.unwrap_or_else(|_| Err(late("the server did not let us in", limit)))
}

struct Login<'a> {
    session: &'a mut Session,
    target: &'a Target,
    options: &'a SshOptions,
    /// The keys it was tried with.
    tried: Vec<String>,
    /// One it was not tried with, because nobody could open it.
    locked: Option<PathBuf>,
    /// How an RSA key has to sign, once that was asked.
    rsa_hash: Option<HashAlg>,
}

type Agent = AgentClient<UnixStream>;

impl Login<'_> {
    async fn try_all(mut self, keys: Keys) -> Result<(), ConnectError> {
        let mut agent = self.agent().await;
        let identities = match &mut agent {
            // One that does not answer is as good as none.
            Some(agent) => agent.request_identities().await.unwrap_or_default(),
            None => Vec::new(),
        };
        for key in keys.keys {
            let is_in = match (key, &mut agent) {
                (Key::File(key), _) => {
                    let hash = self.hash(key.public_key()).await?;
                    self.tried(key.public_key());
                    let key = PrivateKeyWithHashAlg::new(key, hash);
                    let result = self.session.handle.authenticate_publickey(&self.target.user, key).await;
                    self.is_success(result.map_err(|error| error.to_string()))?
                }
                (Key::Locked { path, public }, agent) => {
                    let same = |identity: &&AgentIdentity| identity.public_key().key_data() == public.key_data();
                    if let (Some(identity), Some(agent)) = (identities.iter().find(same), agent) {
                        self.try_identity(agent, identity).await?
                    } else {
                        self.locked.get_or_insert(path);
                        false
                    }
                }
            };
            if is_in {
                return Ok(());
            }
        }
        if let (true, Some(agent)) = (keys.may_ask_agent, &mut agent) {
            for identity in &identities {
                if self.try_identity(agent, identity).await? {
                    return Ok(());
                }
            }
        }
        Err(self.refused())
    }

    /// An agent, if there is one.
    async fn agent(&self) -> Option<Agent> {
        let path = self.options.agent.as_ref()?;
        match AgentClient::connect_uds(path).await {
            Ok(agent) => Some(agent),
            Err(error) => {
                tracing::warn!("the agent at {} cannot be used: {error}", path.display());
                None
            }
        }
    }

    async fn try_identity(&mut self, agent: &mut Agent, identity: &AgentIdentity) -> Result<bool, ConnectError> {
        let public = identity.public_key().into_owned();
        let hash = self.hash(&public).await?;
        self.tried(&public);
        let user = &self.target.user;
        let handle = &mut self.session.handle;
        let result = match identity {
            AgentIdentity::PublicKey { .. } => handle.authenticate_publickey_with(user, public, hash, agent).await,
            AgentIdentity::Certificate { certificate, .. } => {
                handle.authenticate_certificate_with(user, certificate.clone(), hash, agent).await
            }
        };
        match result {
            // It may have been asked to confirm, and said no: another key may do.
            Err(_) if !self.session.handle.is_closed() => Ok(false),
            result => self.is_success(result.map_err(|error| error.to_string())),
        }
    }

    /// How a key has to sign: for RSA, as the server says, and never with SHA-1.
    async fn hash(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, ConnectError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        if self.rsa_hash.is_none() {
            let supported = self.session.handle.best_supported_rsa_hash().await;
            let supported = supported.map_err(|_| self.lost())?;
            self.rsa_hash = Some(supported.flatten().unwrap_or(HashAlg::Sha256));
        }
        Ok(self.rsa_hash)
    }

    fn tried(&mut self, key: &PublicKey) {
        self.tried.push(format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256)));
    }

    fn is_success(&self, result: Result<AuthResult, String>) -> Result<bool, ConnectError> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            // A server hangs up after too many of them.
            Ok(AuthResult::Failure { .. }) if !self.session.handle.is_closed() => Ok(false),
            Ok(AuthResult::Failure { .. }) => Err(self.refused()),
            Err(error) => {
                let mut lost = self.lost();
                lost.message = format!("{}: {}", lost.message, escape::escape(&error));
                Err(lost)
            }
        }
    }

    fn lost(&self) -> ConnectError {
        let Target { host, .. } = self.target;
        let reason = self.session.reason.text();
        ConnectError { message: format!("{host} was lost while logging in: {reason}"), remedy: None, may_pass: true }
    }

    fn refused(&self) -> ConnectError {
        let Target { user, host, .. } = self.target;
        if let (true, Some(path)) = (self.tried.is_empty(), &self.locked) {
            return Key::missing(path);
        }
        let (message, remedy) = if self.tried.is_empty() {
            (
                format!("there is no key to log in to {host} with"),
                "make one with `worldkeeper ssh-key`, or name one: SSH_KEY_PATH".to_owned(),
            )
        } else {
            (
                format!("{host} does not let {user} in with {}", self.tried.join(", ")),
                format!(
                    "add the key to the file .ssh/authorized_keys of {user} there; `worldkeeper ssh-key` prints the line \
                     for ours"
                ),
            )
        };
        ConnectError { message, remedy: Some(remedy), may_pass: false }
    }
}
