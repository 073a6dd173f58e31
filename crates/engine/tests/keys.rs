//! Keys where they are kept: exported, imported, put under another passphrase.

use std::sync::{Arc, Mutex};

use worldkeeper_core::{RepositoryId, Stop};
use worldkeeper_crypto::{EncryptionMode, KeyBlobError, KeyFile};
use worldkeeper_engine::{
    ImportedKey, KeyStore, KeyStoreError, NoKeyFiles, Session, SessionError, SessionOptions, StateDir, export_key,
    import_key,
};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::memory_repository::MemoryRepository;

const WITH_KEY: [EncryptionMode; 6] = [
    EncryptionMode::Keyfile,
    EncryptionMode::Repokey,
    EncryptionMode::Authenticated,
    EncryptionMode::KeyfileBlake2,
    EncryptionMode::RepokeyBlake2,
    EncryptionMode::AuthenticatedBlake2,
];

/// One key file, at most.
#[derive(Default)]
struct OneKeyFile(Mutex<Option<KeyFile>>);

impl KeyStore for OneKeyFile {
    fn find(&self, id: RepositoryId) -> Result<Option<KeyFile>, KeyStoreError> {
        Ok(self.0.lock().unwrap().clone().filter(|key_file| key_file.repository_id == id))
    }

    fn save(&self, key_file: &KeyFile, _location: &str) -> Result<(), KeyStoreError> {
        *self.0.lock().unwrap() = Some(key_file.clone());
        Ok(())
    }
}

/// A client with a key store, and a repository.
struct House {
    state: StateDir,
    key_store: OneKeyFile,
    repository: MemoryRepository,
}

impl House {
    fn new() -> Self {
        let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        Self { state, key_store: OneKeyFile::default(), repository: MemoryRepository::new(7) }
    }

    fn ready(mode: EncryptionMode) -> Self {
        let house = Self::new();
        house.initialize(mode, "old").unwrap();
        house
    }

    fn options<'a>(&'a self, passphrase: &'a str) -> SessionOptions<'a> {
        SessionOptions {
            state: &self.state,
            key_store: &self.key_store,
            passphrase: Some(passphrase),
            clock: Arc::new(ManualClock::at("2026-11-06T12:00:00Z")),
            stop: Stop::default(),
        }
    }

    fn initialize(&self, mode: EncryptionMode, passphrase: &str) -> Result<Session, SessionError> {
        Session::initialize(Box::new(self.repository.clone()), mode, &self.options(passphrase))
    }

    fn open(&self, passphrase: &str) -> Result<Session, SessionError> {
        Session::open(Box::new(self.repository.clone()), &self.options(passphrase))
    }

    #[track_caller]
    fn opens_with(&self, right: &str, wrong: &str) {
        self.open(right).unwrap();
        let error = self.open(wrong).map(drop).unwrap_err();
        assert!(matches!(error, SessionError::Key(KeyBlobError::WrongPassphrase)), "{error:?}");
    }

    fn export(&self) -> Result<KeyFile, SessionError> {
        export_key(&self.repository, &self.key_store)
    }

    fn import(&self, key_file: &KeyFile, passphrase: &str) -> Result<ImportedKey, SessionError> {
        import_key(&self.repository, &self.key_store, key_file, Some(passphrase))
    }
}

#[test]
fn another_passphrase_opens_and_the_old_one_does_not() {
    for mode in WITH_KEY {
        let house = House::ready(mode);
        house.open("old").unwrap().change_passphrase("new", &house.key_store).unwrap();
        house.opens_with("new", "old");
    }
}

#[test]
fn a_copy_of_the_key_brings_its_passphrase_back() {
    for mode in WITH_KEY {
        let house = House::ready(mode);
        let copy = house.export().unwrap();
        house.open("old").unwrap().change_passphrase("new", &house.key_store).unwrap();
        assert_eq!(house.import(&copy, "new").unwrap(), ImportedKey::OtherPassphrase, "{mode}");
        house.opens_with("old", "new");
        assert_eq!(house.import(&copy, "old").unwrap(), ImportedKey::Proven, "{mode}");
    }
}

#[test]
fn a_key_that_is_lost_is_said_to_be_and_put_back() {
    for mode in WITH_KEY {
        let house = House::ready(mode);
        let copy = house.export().unwrap();
        house.repository.store().key = None;
        *house.key_store.0.lock().unwrap() = None;
        let error = house.open("old").map(drop).unwrap_err();
        assert!(matches!(error, SessionError::NoKey(_) | SessionError::NoKeyFile { .. }), "{error:?}");
        house.import(&copy, "old").unwrap();
        house.opens_with("old", "new");
    }
}

#[test]
fn a_key_that_does_not_fit_replaces_nothing() {
    for mode in WITH_KEY {
        let house = House::ready(mode);
        let kept = house.export().unwrap();
        let of_another = KeyFile { repository_id: RepositoryId([8; 32]), ..kept.clone() };
        let error = house.import(&of_another, "old").unwrap_err();
        assert!(matches!(error, SessionError::ForeignKey(id) if id == of_another.repository_id), "{error:?}");
        // For this repository, as it says; but it never sealed a thing in it.
        let stranger = House::ready(mode).export().unwrap();
        assert!(house.import(&stranger, "old").is_err(), "{mode}");
        assert_eq!(house.export().unwrap(), kept, "{mode}");
    }
}

#[test]
fn mode_none_has_no_key() {
    let house = House::ready(EncryptionMode::None);
    assert!(matches!(house.export(), Err(SessionError::Keyless(_))));
    let key_file = House::ready(EncryptionMode::Repokey).export().unwrap();
    assert!(matches!(house.import(&key_file, "old"), Err(SessionError::Keyless(_))));
    let changed = house.open("").unwrap().change_passphrase("new", &house.key_store);
    assert!(matches!(changed, Err(SessionError::Keyless(_))));
}

#[test]
fn a_key_file_outlives_a_creation_that_was_cut_short() {
    let house = House::ready(EncryptionMode::KeyfileBlake2);
    let kept = house.export().unwrap();
    let used = house.repository.store().nonce.unwrap();

    // All that is left is the key file: the repository may have been whole elsewhere.
    let house = House { key_store: house.key_store, ..House::new() };
    let error = house.initialize(EncryptionMode::KeyfileBlake2, "wrong").map(drop).unwrap_err();
    assert!(matches!(error, SessionError::Key(KeyBlobError::WrongPassphrase)), "{error:?}");
    house.initialize(EncryptionMode::KeyfileBlake2, "old").unwrap();
    assert_eq!(house.export().unwrap(), kept);
    assert!(house.repository.store().nonce.unwrap() - used >= 1 << 48, "no counter value is used again");
}

#[test]
fn a_client_without_key_files_makes_no_repository_that_needs_one() {
    let house = House::new();
    let options = SessionOptions { key_store: &NoKeyFiles, ..house.options("old") };
    let made = Session::initialize(Box::new(house.repository.clone()), EncryptionMode::Keyfile, &options);
    assert!(matches!(made, Err(SessionError::KeyStore(KeyStoreError::NoPlace))));
}
