//! The keys to log in with.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{self, PrivateKey, PublicKey};
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::SshOptions;
use crate::ConnectError;

/// What opens an encrypted key. Shows itself to nobody.
#[derive(Clone)]
pub struct Passphrase(Arc<Zeroizing<String>>);

impl Passphrase {
    /// The passphrase of this text.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(Arc::new(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What there is to log in with.
pub(super) struct Keys {
    /// In the order to try them.
    pub(super) keys: Vec<Key>,
    /// Whether other keys of an agent may be tried, too.
    pub(super) may_ask_agent: bool,
}

/// One of them.
pub(super) enum Key {
    /// Read from a file.
    File(Arc<PrivateKey>),
    /// Encrypted under a passphrase we were not told: perhaps an agent has it.
    Locked { path: PathBuf, public: PublicKey },
}

impl Keys {
    /// Reads the files that are named, or those that are there.
    pub(super) fn read(options: &SshOptions) -> Result<Self, ConnectError> {
        let passphrase = options.passphrase.as_ref().map(|passphrase| passphrase.0.as_str());
        let mut keys = Vec::new();
        for path in &options.keys {
            keys.push(read(path, passphrase).map_err(|error| error.refusal(path))?);
        }
        if options.keys.is_empty() {
            for path in &options.default_keys {
                match read(path, passphrase) {
                    Ok(key) => keys.push(key),
                    Err(KeyError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => debug!("not tried: {}", error.refusal(path)),
                }
            }
        }
        Ok(Self { keys, may_ask_agent: options.keys.is_empty() })
    }
}

const CORRECT: &str = "correct SSH_KEY_PATH or --ssh-key, and see that in a container it is mounted";

const MAKE_ONE: &str = "take it away and have one made: worldkeeper ssh-key";

/// Why a file gives no key.
enum KeyError {
    Io(std::io::Error),
    Format(keys::Error),
    Passphrase { is_given: bool },
}

impl KeyError {
    fn refusal(&self, path: &Path) -> ConnectError {
        let path = path.display();
        let (message, remedy) = match self {
            Self::Io(error) => {
                let what = if error.kind() == ErrorKind::PermissionDenied { "make it readable" } else { CORRECT };
                (format!("cannot read the key {path}: {error}"), Some(format!("{what}, or {MAKE_ONE}")))
            }
            Self::Format(error) => (
                format!("{path} holds no private key that could be used: {error}"),
                Some(format!("{CORRECT}, or {MAKE_ONE}")),
            ),
            Self::Passphrase { is_given: true } => {
                (format!("the key {path} is encrypted, and the passphrase given does not open it"), None)
            }
            Self::Passphrase { is_given: false } => (
                format!("the key {path} is encrypted, and no passphrase is given"),
                Some("name a file with it: SSH_KEY_PASSPHRASE_FILE".to_owned()),
            ),
        };
        ConnectError { message, remedy, may_pass: false }
    }
}

fn read(path: &Path, passphrase: Option<&str>) -> Result<Key, KeyError> {
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(KeyError::Io)?);
    warn_if_exposed(path);
    if let Ok(key) = PrivateKey::from_openssh(text.as_bytes())
        && key.is_encrypted()
    {
        return match passphrase {
            Some(passphrase) => {
                let opened = key.decrypt(passphrase).map_err(|_| KeyError::Passphrase { is_given: true })?;
                Ok(Key::File(Arc::new(opened)))
            }
            None => Ok(Key::Locked { path: path.to_owned(), public: key.public_key().clone() }),
        };
    }
    match keys::decode_secret_key(&text, passphrase) {
        Ok(key) => Ok(Key::File(Arc::new(key))),
        Err(keys::Error::KeyIsEncrypted) => Err(KeyError::Passphrase { is_given: passphrase.is_some() }),
        Err(error) => Err(KeyError::Format(error)),
    }
}

/// Warns of a key that others can read. It is used all the same: a secret that Docker or Kubernetes mounts is often like
/// that, and cannot be changed from within.
fn warn_if_exposed(path: &Path) {
    let mode = path.metadata().map_or(0, |metadata| metadata.mode() & 0o7777);
    if mode & 0o077 != 0 {
        warn!("the private key {} can be read by others (mode {mode:04o})", path.display());
    }
}

impl Key {
    /// What an agent that has not got it is told to be missing.
    pub(super) fn missing(path: &Path) -> ConnectError {
        KeyError::Passphrase { is_given: false }.refusal(path)
    }
}
