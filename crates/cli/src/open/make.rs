//! Makes a repository that does not exist yet, or was never finished.

use tracing::{info, warn};
use worldkeeper_core::{RepositoryId, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::Session;
use worldkeeper_repository::{CreateOptions, LocalRepository};

use super::AccessError;
use crate::place::Place;

impl Place {
    /// Requires that no repository was at a location that has none now, or an empty one. Its volume is not mounted,
    /// most likely, and a new one in its place would hide that for as long as nobody looks.
    pub(super) fn require_none_was_at(&self, location: &str) -> Result<(), AccessError> {
        match self.state.repository_at(location)? {
            Some(id) => Err(AccessError::Gone { location: location.to_owned(), id }),
            None => Ok(()),
        }
    }

    /// Makes an empty repository.
    pub(super) fn create(&self) -> Result<(), AccessError> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(AccessError::Random)?;
        let options = CreateOptions { make_parent_dirs: true, ..CreateOptions::new(RepositoryId(id)) };
        LocalRepository::create(self.disk.as_ref(), &self.settings.repository.value, &options)?;
        Ok(())
    }

    /// Gives an empty repository its key and says, loudly, what has to be kept.
    pub(super) fn initialize(&self, repository: LocalRepository, stop: &Stop) -> Result<Session, AccessError> {
        let mode = self.settings.encryption.value;
        let (mut passphrase, _) = self.known_passphrase()?;
        if passphrase.is_none() && mode != EncryptionMode::None {
            passphrase = Some(self.state.generate_passphrase()?);
            warn!("a passphrase was generated and is in {}", self.state.passphrase_path().display());
        }
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        let options = self.session_options(passphrase, stop);
        let session = Session::initialize(Box::new(repository), mode, &options).map_err(AccessError::Session)?;
        info!("made the repository at {}, encryption {mode}", session.location());
        if mode == EncryptionMode::None {
            warn!("the repository is not encrypted: who can read its files can read the backups");
        } else {
            warn!(
                "STORE A COPY OF THE KEY ELSEWHERE, with the passphrase: {}. Without them no backup can be restored",
                self.state.repository(session.id()).file("key.export").display()
            );
        }
        Ok(session)
    }
}
