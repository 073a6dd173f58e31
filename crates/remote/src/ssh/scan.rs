//! Which keys a host shows, before anybody trusts it.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, Handler};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use tokio::time::timeout;
use worldkeeper_core::Stop;

use super::algorithms::{HOST_KEY_ALGORITHMS, config};
use super::dial::{dial, late};
use super::session::failed;
use super::{SshOptions, Target};
use crate::ConnectError;
use crate::runtime::wait;

/// A key that a host has shown, and proven to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    /// Its type, like `ssh-ed25519`.
    pub key_type: String,
    /// Its bytes, as SSH sends them.
    pub key: Vec<u8>,
    /// What people compare: `SHA256:` and 43 characters.
    pub fingerprint: String,
}

/// Asks a host for its keys, one of each type, best first. Nobody logs in.
pub fn scan(host: &str, port: u16, options: &SshOptions, stop: &Stop) -> Result<Vec<ShownKey>, ConnectError> {
    let target = Target { user: String::new(), host: host.to_owned(), port };
    let options = options.clone();
    wait(stop, async move {
        let mut keys: Vec<ShownKey> = Vec::new();
        for algorithm in HOST_KEY_ALGORITHMS {
            if let Some(key) = ask(&target, &options, algorithm).await?
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        Ok(keys)
    })
}

/// Asks for the key of one type; `None` if there is none.
async fn ask(target: &Target, options: &SshOptions, algorithm: Algorithm) -> Result<Option<ShownKey>, ConnectError> {
    let stream = dial(target, options).await?;
    let look = Look::default();
    let config = Arc::new(config(options, vec![algorithm], Vec::new()));
    let asked = timeout(options.step_timeout, client::connect_stream(config, stream, look.clone())).await;
    let shown = look.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (shown, asked) {
        (Some(key), _) => Ok(Some(key)),
        (None, Ok(Err(russh::Error::NoCommonAlgo { .. }))) => Ok(None),
        (None, Ok(Err(error))) => Err(failed(target, &error.to_string())),
        (None, Ok(Ok(_))) => Err(failed(target, "it has shown no key")),
        (None, Err(_)) => Err(late(&format!("{} did not agree on keys", target.host), options.step_timeout)),
    }
}

/// Looks at the key and goes no further.
#[derive(Clone, Default)]
struct Look(Arc<Mutex<Option<ShownKey>>>);

impl Handler for Look {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = PublicKey::new(shown.public_key().key_data().clone(), "");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ShownKey {
            key_type: key.algorithm().as_str().to_owned(),
            key: key.to_bytes()?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        });
        Ok(false)
    }
}
