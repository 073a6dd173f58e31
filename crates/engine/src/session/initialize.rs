//! The first manifest of a new repository.

use worldkeeper_archive::Manifest;
use worldkeeper_core::{ChunkId, Repository};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyFile, KeyStorage};

use super::{Session, SessionError, SessionOptions, Trust};
use crate::nonces::Nonces;
use crate::random;

impl Session {
    /// Gives an empty repository its key and its first manifest.
    ///
    /// Also finishes one whose creation was cut short. The key is drawn anew then: whatever was sealed with the old one
    /// was never committed. The key is exported into the state directory before anything is sealed with it.
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
        let key = match mode.key_storage() {
            KeyStorage::Nowhere => Key::plaintext(),
            KeyStorage::KeyFile => return Err(SessionError::UnsupportedMode(mode)),
            KeyStorage::Repository => {
                let passphrase = options.passphrase.expect("a mode with a key needs a passphrase");
                let (key, blob) = random::with(|random| {
                    let key = Key::generate(mode, id, random);
                    let blob = KeyBlob::seal(&key, passphrase, random);
                    (key, blob)
                })?;
                repository.save_key(&blob.to_string())?;
                state.export_key(&KeyFile { repository_id: id, blob }.to_string())?;
                key
            }
        };
        let mut session = Self {
            repository,
            key,
            manifest: Manifest::new(),
            manifest_id: ChunkId::MANIFEST,
            trust: Trust::Known,
            state,
            nonces: Nonces::new(None),
            index: Some(crate::cache::ChunkIndex::default()),
            clock: options.clock.clone(),
            stop: options.stop.clone(),
        };
        options.state.give_location(&session.location(), id)?;
        let committed = session.begin()?.commit(&session)?;
        session.committed(committed, crate::cache::ChunkIndex::default(), &crate::monitor::Silent)?;
        Ok(session)
    }
}
