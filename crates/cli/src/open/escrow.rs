//! Says until it is known to be wrong that the key may be stored nowhere else.

use std::path::PathBuf;

use tracing::warn;
use worldkeeper_core::disk::{self, DiskError};
use worldkeeper_core::{RepositoryError, error_text};
use worldkeeper_engine::{Escrow, Session, StateError};

use super::{AccessError, Purpose};
use crate::place::Place;

/// What is said of a key that nobody has stored elsewhere, in the log and by `status`.
pub(crate) const ASK_FOR_COPY: &str = "the key is not known to be stored elsewhere: take a copy with `worldkeeper key export`, \
                                       store it on another machine, and say so with `worldkeeper key confirm FINGERPRINT`, \
                                       which the export prints";

/// Larger than any `config` that a repository can have.
const CONFIG_LIMIT: u64 = 1 << 20;

impl Place {
    /// Keeps the copies of the key and of the file that it lies in up to date, and asks for one elsewhere. What cannot be
    /// kept is said, and keeps nobody from a backup.
    pub(crate) fn keep_copies(&self, session: &Session, purpose: Purpose) {
        match session.escrow(&self.key_files) {
            Ok(Escrow::Unconfirmed) if purpose == Purpose::WriteOrCreate => warn!("{ASK_FOR_COPY}"),
            Ok(_) => {}
            Err(error) => warn!("the copy of the key is not up to date: {}", error_text(&error)),
        }
        if let Err(error) = self.keep_config(session) {
            warn!("the copy of the repository's config is not up to date: {}", error_text(&error));
        }
    }

    /// The repository was opened, so what lies there is whole.
    fn keep_config(&self, session: &Session) -> Result<(), StateError> {
        let Some(directory) = self.settings.repository.value.local() else { return Ok(()) };
        let path = directory.join("config");
        let read = disk::read_if_there(self.disk.as_ref(), &path, CONFIG_LIMIT);
        let Some(config) = read.map_err(|error: DiskError| StateError::from(error))? else { return Ok(()) };
        self.state.repository(session.id()).keep_config(&config)
    }

    /// Says of a repository that cannot be opened for its `config` alone that there is a copy of it.
    pub(super) fn explain(&self, error: RepositoryError) -> AccessError {
        match self.copy_of_config().filter(|_| is_about_config(&error)) {
            Some(copy) => AccessError::Config { location: self.location(), copy, source: Box::new(error) },
            None => error.into(),
        }
    }

    /// The copy of the `config` of the repository that was here, as long as its data is.
    fn copy_of_config(&self) -> Option<PathBuf> {
        let directory = self.settings.repository.value.local()?;
        let id = self.state.repository_at(&self.location()).ok()??;
        let copy = self.state.repository(id).file("config");
        (directory.join("data").is_dir() && copy.is_file()).then_some(copy)
    }

    /// Whether a copy of the key is known to be elsewhere, as far as this can be said without the repository.
    pub(crate) fn escrow(&self) -> Result<Escrow, StateError> {
        match self.state.repository_at(&self.location())? {
            Some(id) => self.state.repository(id).escrow(),
            None => Ok(Escrow::Nothing),
        }
    }
}

/// Returns whether a repository is none for what its `config` is.
fn is_about_config(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::NotARepository { .. } | RepositoryError::InvalidConfig { .. })
}
