//! Makes a repository that does not exist yet, or was never finished.

use tracing::{info, warn};
use worldkeeper_core::{RepositoryId, Stop};
use worldkeeper_crypto::{EncryptionMode, KeyStorage};
use worldkeeper_engine::Session;
use worldkeeper_remote::{RemoteLocation, RemoteRepository};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode};

use super::{AccessError, Caller, OpenRepository, Purpose};
use crate::place::Place;
use crate::settings::Location;

impl Place {
    /// Requires that no repository was at a location that has none now, or an empty one. Its volume is not mounted,
    /// most likely, and a new one in its place would hide that for as long as nobody looks.
    pub(super) fn require_none_was_at(&self, location: &str) -> Result<(), AccessError> {
        match self.state.repository_at(location)? {
            Some(id) => Err(AccessError::Gone { location: location.to_owned(), id }),
            None => Ok(()),
        }
    }

    /// Requires that a passphrase that has to be generated lasts: in a container's own layer it would be lost with the
    /// container, and every backup with it.
    pub(super) fn require_lasting_passphrase(&self) -> Result<(), AccessError> {
        let must_generate =
            self.settings.encryption.value != EncryptionMode::None && self.known_passphrase()?.0.is_none();
        if must_generate && self.state_is_fleeting() && !self.is_trial() {
            return Err(AccessError::Fleeting(self.state.path().to_owned()));
        }
        Ok(())
    }

    /// Makes an empty repository, and opens it.
    pub(super) fn create(&self, purpose: Purpose, caller: Caller, stop: &Stop) -> Result<OpenRepository, AccessError> {
        let path = match &self.settings.repository.value {
            Location::Local(path) => path,
            Location::Remote(location) => return self.create_remote(location, stop),
        };
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(AccessError::Random)?;
        let options = CreateOptions {
            append_only: self.settings.append_only.value,
            storage_quota: self.settings.storage_quota.value,
            make_parent_dirs: true,
            ..CreateOptions::new(RepositoryId(id))
        };
        LocalRepository::create(self.disk.as_ref(), path, &options)?;
        Ok(self.repository(purpose, caller, stop)?)
    }

    /// The same on another machine, whose server draws the id and keeps the quotas, and has it open at once.
    fn create_remote(&self, location: &RemoteLocation, stop: &Stop) -> Result<OpenRepository, AccessError> {
        if self.settings.storage_quota.value > 0 {
            warn!(
                "no quota is set for the repository at {location}: its server keeps quotas, borg serve --storage-quota"
            );
        }
        let options = self.remote_options(location, Mode::Exclusive, None, stop);
        let (append_only, parents) = (self.settings.append_only.value, self.settings.make_parent_dirs.value);
        let repository = RemoteRepository::create(self.connector(location)?, options, append_only, parents)?;
        Ok(OpenRepository::Remote(Box::new(repository)))
    }

    /// Gives an empty repository its key and says, loudly, what has to be kept.
    pub(super) fn initialize(&self, repository: OpenRepository, stop: &Stop) -> Result<Session, AccessError> {
        self.require_lasting_passphrase()?;
        let mode = self.settings.encryption.value;
        let (mut passphrase, _) = self.known_passphrase()?;
        if passphrase.is_none() && mode != EncryptionMode::None {
            passphrase = Some(self.state.generate_passphrase()?);
            warn!(
                "A PASSPHRASE WAS GENERATED, store a copy of it elsewhere: {}. Without it no backup can be restored",
                self.state.passphrase_path().display()
            );
        }
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        let options = self.session_options(passphrase, stop);
        let session = Session::initialize(repository.boxed(), mode, &options).map_err(AccessError::Session)?;
        info!("made the repository at {}, encryption {mode}", session.location());
        if !mode.encrypts() {
            let changes = match mode {
                EncryptionMode::None => "who can write them can change the backups unnoticed",
                _ => "nobody without the key can change them unnoticed",
            };
            warn!("the repository is not encrypted: who can read its files can read the backups; {changes}");
        }
        if mode != EncryptionMode::None {
            let why = match mode.key_storage() {
                KeyStorage::KeyFile => {
                    format!("the repository does not have it, only {} has", self.key_files.place().display())
                }
                _ => "for the day the one in the repository is damaged".to_owned(),
            };
            warn!(
                "STORE A COPY OF THE KEY ELSEWHERE, {why}. `worldkeeper key export` makes one, like {}",
                self.state.repository(session.id()).file("key.export").display()
            );
        }
        Ok(session)
    }
}
