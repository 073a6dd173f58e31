//! What speaks for a repository that was never seen from here.
//!
//! What opens with our passphrase, or with a key file that is here, was made by somebody who knew it. What opens without can
//! have been made by whoever owns its disk, to read all that goes there.

use worldkeeper_crypto::{EncryptionMode, KeyStorage};
use worldkeeper_engine::{Session, StateError, Suspicion, Trust};

use crate::place::Place;
use crate::settings::Origin;

impl Place {
    /// What is known of an open repository, held against what was asked for.
    pub(super) fn trust(&self, session: &Session) -> Result<Trust, StateError> {
        let trust = session.trust().clone();
        if trust != Trust::Adopted || !self.expects_secrecy() {
            return Ok(trust);
        }
        Ok(match session.mode().key_storage() {
            KeyStorage::Nowhere => Trust::Suspicious(Suspicion::Unproven),
            KeyStorage::Repository if self.known_passphrase()?.0.is_none() => {
                Trust::Suspicious(Suspicion::OpenToAnybody)
            }
            KeyStorage::Repository | KeyStorage::KeyFile => trust,
        })
    }

    /// Whether nobody else is to read what is stored: so somebody has said, or it goes to another machine and nobody has said
    /// otherwise. A directory here is one that somebody has mounted as it is.
    fn expects_secrecy(&self) -> bool {
        let encryption = &self.settings.encryption;
        let is_elsewhere = self.settings.repository.value.local().is_none();
        encryption.value != EncryptionMode::None && (is_elsewhere || encryption.origin != Origin::Default)
    }
}
