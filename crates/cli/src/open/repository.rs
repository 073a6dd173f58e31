//! An open repository, wherever it is.

use std::ops::Deref;
use std::sync::Arc;

use worldkeeper_core::{Repository, RepositoryError};
use worldkeeper_remote::RemoteRepository;
use worldkeeper_repository::LocalRepository;

/// An open repository. What all of them can do is behind its `Deref`.
pub(crate) enum OpenRepository {
    /// In a directory.
    Local(Box<LocalRepository>),
    /// Behind `borg serve`.
    Remote(Box<RemoteRepository>),
}

impl OpenRepository {
    /// One in a directory, for what a server lets nobody ask.
    pub(crate) fn local(&self) -> Option<&LocalRepository> {
        match self {
            Self::Local(repository) => Some(repository),
            Self::Remote(_) => None,
        }
    }

    /// The same, or an error that says that a repository on another machine cannot do this.
    pub(crate) fn require_local(&self, what: &'static str) -> Result<&LocalRepository, RepositoryError> {
        self.local().ok_or(RepositoryError::Unsupported(what))
    }

    /// Returns whether compactions free nothing of it, as far as can be known: a server says it to nobody.
    pub(crate) fn keeps_everything(&self) -> bool {
        self.local().is_some_and(LocalRepository::is_append_only)
    }

    pub(super) fn boxed(self) -> Box<dyn Repository> {
        match self {
            Self::Local(repository) => repository,
            Self::Remote(repository) => repository,
        }
    }
}

impl Deref for OpenRepository {
    type Target = dyn Repository;

    fn deref(&self) -> &(dyn Repository + 'static) {
        match self {
            Self::Local(repository) => repository.as_ref(),
            Self::Remote(repository) => repository.as_ref(),
        }
    }
}

/// For those that keep it.
pub(crate) type Connector = Arc<dyn worldkeeper_remote::Connect>;
