//! Is the key stored somewhere else?
//!
//! A repository that lost its key is lost, and a copy that lies beside it is lost with it. So the key is exported into the
//! state directory, where somebody can fetch it, and it is asked for until somebody says that they have it, by the copy's
//! fingerprint, which only the copy's maker was shown. What was said holds for that copy: under another passphrase,
//! or with another key, it is asked for again.

use tracing::warn;
use worldkeeper_core::error_text;
use worldkeeper_crypto::KeyFile;

use super::{Session, SessionError, key};
use crate::key_store::KeyStore;
use crate::state::{RepositoryState, StateError};

/// What is known of the copies of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escrow {
    /// There is no key, or it was never exported from here.
    Nothing,
    /// Nobody has said yet that a copy is stored elsewhere.
    Unconfirmed,
    /// Somebody has.
    Confirmed,
}

/// What was said does not fit the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the fingerprint of the repository's key as it is now")]
pub struct WrongFingerprint(pub String);

impl Session {
    /// Sees to it that the copy in the state directory is one of the key that has just opened the repository, whoever
    /// has changed it, and says whether a copy of it is known to be elsewhere.
    pub fn escrow(&self, key_store: &dyn KeyStore) -> Result<Escrow, SessionError> {
        if let Some(key_file) = key::load(self.repository(), self.mode(), key_store)? {
            self.state().keep_exported(&key_file)?;
        }
        Ok(self.state().escrow()?)
    }
}

impl RepositoryState {
    /// What is known of the copies of the key, without looking at the repository.
    pub fn escrow(&self) -> Result<Escrow, StateError> {
        let Some(exported) = self.exported_key()? else { return Ok(Escrow::Nothing) };
        let confirmed = self.confirmed_key()?;
        Ok(if confirmed.is_some_and(|said| said == exported.fingerprint()) {
            Escrow::Confirmed
        } else {
            Escrow::Unconfirmed
        })
    }

    /// Remembers that a copy of the key is stored elsewhere, as somebody says who knows its fingerprint.
    pub fn confirm_key(
        &self,
        key_file: &KeyFile,
        fingerprint: &str,
    ) -> Result<Result<(), WrongFingerprint>, StateError> {
        let digits = |text: &str| {
            text.chars().filter(char::is_ascii_alphanumeric).map(|digit| digit.to_ascii_lowercase()).collect::<String>()
        };
        if digits(fingerprint) != digits(&key_file.fingerprint()) {
            return Ok(Err(WrongFingerprint(fingerprint.to_owned())));
        }
        self.keep_exported(key_file)?;
        self.confirm(&key_file.fingerprint())?;
        Ok(Ok(()))
    }

    /// Renews the copy, where it is not the one of this key file.
    fn keep_exported(&self, key_file: &KeyFile) -> Result<(), StateError> {
        if self.exported_key()?.as_ref() != Some(key_file) {
            self.export_key(&key_file.to_string())?;
        }
        Ok(())
    }

    /// The copy, if there is one; one that is damaged is as good as none.
    fn exported_key(&self) -> Result<Option<KeyFile>, StateError> {
        let parsed = self.exported()?.map(|text| text.parse::<KeyFile>()).transpose();
        Ok(parsed.unwrap_or_else(|error| {
            warn!("the exported copy of the key is damaged: {}", error_text(&error));
            None
        }))
    }
}
