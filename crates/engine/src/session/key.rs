//! The key where it is kept: in the repository, or in a key file beside the client.
//!
//! A key is replaced by the same key under another passphrase, or by a copy of it, and each time by one atomic write:
//! until that is durable, what was there opens the repository.

use std::sync::Once;

use tracing::{debug, warn};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, error_text};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyBlobError, KeyFile, KeyStorage};

use super::{Session, SessionError, read_manifest};
use crate::key_store::KeyStore;
use crate::objects::ChunkReader;
use crate::random;

/// Takes a copy of a repository's key, still under its passphrase.
///
/// # Errors
///
/// [`SessionError::Keyless`] in mode `none`.
pub fn export_key(repository: &dyn Repository, key_store: &dyn KeyStore) -> Result<KeyFile, SessionError> {
    let mode = read_mode(repository)?;
    load(repository, mode, key_store)?.ok_or_else(|| SessionError::Keyless(repository.location()))
}

/// What is known of a key that was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedKey {
    /// The passphrase opens it, and it opens the repository.
    Proven,
    /// It is for this repository, as it says itself; the passphrase does not open it.
    OtherPassphrase,
}

/// Puts a copy of a repository's key where the key is kept. Needs the exclusive lock.
///
/// # Errors
///
/// [`SessionError::ForeignKey`] if it is another repository's, [`SessionError::Keyless`] in mode `none`; and whatever
/// shows that the passphrase opens the copy, but the copy does not open the repository. Nothing is replaced then.
pub fn import_key(
    repository: &dyn Repository,
    key_store: &dyn KeyStore,
    key_file: &KeyFile,
    passphrase: Option<&str>,
) -> Result<ImportedKey, SessionError> {
    let mode = read_mode(repository)?;
    if mode.key_storage() == KeyStorage::Nowhere {
        return Err(SessionError::Keyless(repository.location()));
    }
    if key_file.repository_id != repository.id() {
        return Err(SessionError::ForeignKey(key_file.repository_id));
    }
    let imported = match open_blob(repository, mode, &key_file.blob, passphrase.unwrap_or_default()) {
        Ok(key) => {
            let (_, packed) = ChunkReader::new(repository, &key).read_manifest()?;
            read_manifest(&key, &packed, false)?;
            ImportedKey::Proven
        }
        Err(SessionError::Key(KeyBlobError::WrongPassphrase)) => ImportedKey::OtherPassphrase,
        Err(error) => return Err(error),
    };
    store(repository, mode, key_store, key_file)?;
    Ok(imported)
}

impl Session {
    /// Puts the key under another passphrase. Copies of the key that were made before stay under the old one.
    ///
    /// # Errors
    ///
    /// [`SessionError::Keyless`] in mode `none`.
    pub fn change_passphrase(&mut self, passphrase: &str, key_store: &dyn KeyStore) -> Result<(), SessionError> {
        self.require_trust()?;
        let mode = self.mode();
        if mode.key_storage() == KeyStorage::Nowhere {
            return Err(SessionError::Keyless(self.location()));
        }
        let blob = random::with(|random| KeyBlob::seal(&self.key, passphrase, random))?;
        // The old one goes only for one that is seen to open.
        let key = open_blob(self.repository.as_ref(), mode, &blob, passphrase)?;
        let (_, packed) = ChunkReader::new(self.repository.as_ref(), &key).read_manifest()?;
        read_manifest(&key, &packed, self.requires_tam())?;
        let key_file = KeyFile { repository_id: self.id(), blob };
        store(self.repository.as_ref(), mode, key_store, &key_file)?;
        if let Err(error) = self.state.export_key(&key_file.to_string()) {
            warn!("the passphrase is changed, but the key's copy is not: {}", error_text(&error));
        }
        Ok(())
    }
}

/// Opens the key of a repository that has one.
pub(super) fn open(
    repository: &dyn Repository,
    mode: EncryptionMode,
    key_store: &dyn KeyStore,
    passphrase: Option<&str>,
) -> Result<Key, SessionError> {
    let Some(key_file) = load(repository, mode, key_store)? else { return Ok(Key::plaintext()) };
    // As stock does, a repository without a passphrase of ours is tried with the empty one.
    match (open_blob(repository, mode, &key_file.blob, passphrase.unwrap_or_default()), passphrase) {
        (Err(SessionError::Key(KeyBlobError::WrongPassphrase)), None) => {
            Err(SessionError::PassphraseNeeded(repository.location()))
        }
        (key, _) => key,
    }
}

/// The mode that the manifest's object tells.
pub(super) fn read_mode(repository: &dyn Repository) -> Result<EncryptionMode, SessionError> {
    let object = match repository.get(&ChunkId::MANIFEST) {
        Ok(object) => object,
        Err(RepositoryError::ObjectNotFound(_)) if repository.ids()?.is_empty() => {
            return Err(SessionError::Unfinished(repository.location()));
        }
        Err(RepositoryError::ObjectNotFound(_)) => return Err(SessionError::NoManifest(repository.location())),
        Err(error) => return Err(error.into()),
    };
    Ok(EncryptionMode::of_object(&object)?)
}

/// Finds the key; `None` in mode `none`.
pub(super) fn load(
    repository: &dyn Repository,
    mode: EncryptionMode,
    key_store: &dyn KeyStore,
) -> Result<Option<KeyFile>, SessionError> {
    let repository_id = repository.id();
    match mode.key_storage() {
        KeyStorage::Nowhere => Ok(None),
        KeyStorage::Repository => {
            let text = repository.load_key()?.ok_or_else(|| SessionError::NoKey(repository.location()))?;
            Ok(Some(KeyFile { repository_id, blob: text.parse()? }))
        }
        KeyStorage::KeyFile => {
            let found = key_store.find(repository_id)?;
            found
                .map(Some)
                .ok_or_else(|| SessionError::NoKeyFile { location: repository.location(), id: repository_id })
        }
    }
}

/// Replaces the key, durably.
pub(super) fn store(
    repository: &dyn Repository,
    mode: EncryptionMode,
    key_store: &dyn KeyStore,
    key_file: &KeyFile,
) -> Result<(), SessionError> {
    match mode.key_storage() {
        KeyStorage::Nowhere => Ok(()),
        KeyStorage::Repository => Ok(repository.save_key(&key_file.blob.to_string())?),
        KeyStorage::KeyFile => Ok(key_store.save(key_file, &repository.location())?),
    }
}

/// Takes the key out of its blob, if it is the repository's.
pub(super) fn open_blob(
    repository: &dyn Repository,
    mode: EncryptionMode,
    blob: &KeyBlob,
    passphrase: &str,
) -> Result<Key, SessionError> {
    let key = blob.open(mode, passphrase)?;
    note_if_swappable(&key);
    match key.repository_id() {
        Some(id) if id != repository.id() => Err(SessionError::ForeignKey(id)),
        _ => Ok(key),
    }
}

/// Says, once, that the system locks no memory for us: nobody has to do anything about it.
fn note_if_swappable(key: &Key) {
    static SAID: Once = Once::new();
    if !key.is_locked() {
        SAID.call_once(|| debug!("the key's memory cannot be locked (RLIMIT_MEMLOCK), so it may be swapped out"));
    }
}
