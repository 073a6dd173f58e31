//! The first manifest of a new repository.

use std::sync::Arc;

use worldkeeper_archive::Manifest;
use worldkeeper_core::{ChunkId, Repository};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyFile, KeyStorage};

use super::{Session, SessionError, SessionOptions, Trust, key, seen};
use crate::nonces::Nonces;
use crate::random;

impl Session {
    /// Gives an empty repository its key and its first manifest.
    ///
    /// Also finishes one whose creation was cut short. A key in the repository is drawn anew then: whatever was sealed
    /// with the old one was never committed. A key file stays, since the repository may have been whole elsewhere, and
    /// the counter leaps. The key is exported into the state directory before anything is sealed with it.
    ///
    /// # Panics
    ///
    /// If a mode that needs a passphrase comes without one, or the repository holds objects.
    pub fn initialize(
        repository: Box<dyn Repository>,
        mode: EncryptionMode,
        options: &SessionOptions<'_>,
    ) -> Result<Self, SessionError> {
        assert!(repository.ids()?.is_empty(), "only an empty repository is initialised");
        let id = repository.id();
        let state = options.state.repository(id);
        let kept = if mode.key_storage() == KeyStorage::KeyFile { options.key_store.find(id)? } else { None };
        let is_new = kept.is_none();
        let key = if mode.key_storage() == KeyStorage::Nowhere {
            Key::plaintext()
        } else {
            let passphrase = options.passphrase.expect("a mode with a key needs a passphrase");
            let (key, key_file) = match kept {
                Some(key_file) => (key::open_blob(repository.as_ref(), mode, &key_file.blob, passphrase)?, key_file),
                None => random::with(|random| {
                    let key = Key::generate(mode, id, random);
                    let blob = KeyBlob::seal(&key, passphrase, random);
                    (key, KeyFile { repository_id: id, blob })
                })?,
            };
            if is_new {
                key::store(repository.as_ref(), mode, options.key_store, &key_file)?;
            }
            state.export_key(&key_file.to_string())?;
            // A copy that does not open is worse than none: it is opened from where it lies, before the key is used.
            let exported: KeyFile = state.exported()?.unwrap_or_default().parse().map_err(SessionError::Exported)?;
            key::open_blob(repository.as_ref(), mode, &exported.blob, passphrase)?;
            key
        };
        let mut session = Self {
            repository,
            key: Arc::new(key),
            manifest: Manifest::new(),
            manifest_id: ChunkId::MANIFEST,
            trust: Trust::Known,
            state,
            // A key that may have sealed something before is treated as one that has.
            nonces: Nonces::new(if is_new { None } else { Some(0) }),
            index: Some(crate::cache::ChunkIndex::default()),
            clock: options.clock.clone(),
            stop: options.stop.clone(),
        };
        options.state.give_location(&session.location(), id)?;
        // Should the power fail right behind the commit, it is known to be ours; but that it is there is not said yet, so
        // that nobody misses it if it never is.
        session.state.remember(&seen(&session.key, String::new(), &session.manifest))?;
        session.nonces.begin(session.repository.as_ref(), &session.state)?;
        let committed = session.begin()?.commit(&session)?;
        session.committed(committed, crate::cache::ChunkIndex::default(), &crate::monitor::Silent)?;
        Ok(session)
    }
}
