//! What whoever opens a repository for somebody else lets them do: a server for its clients.

use worldkeeper_core::RepositoryError;

use crate::LocalRepository;

/// What a session may do at most, whatever the repository's config says. The default adds nothing to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Nothing that was committed goes: no compaction, no repair, no [`destroy`](LocalRepository::destroy).
    pub append_only: bool,
    /// Bytes that objects may take, in the place of the repository's own quota; 0 is no limit.
    pub storage_quota: Option<u64>,
    /// The quota holds for a transaction that makes room, too. Without it, a manifest that follows a deletion is taken
    /// however full the repository is: who can be trusted can free space; who cannot could store for ever.
    pub strict_quota: bool,
}

impl LocalRepository {
    /// Opens with limits: none of this is written down, and it ends with the session.
    #[must_use]
    pub fn limited(mut self, limits: &Limits) -> Self {
        self.may_only_append = limits.append_only;
        self.config.storage_quota = limits.storage_quota.unwrap_or(self.config.storage_quota);
        self.strict_quota = limits.strict_quota;
        self
    }

    /// Requires that what was committed may go.
    pub(crate) fn require_no_append_only(&self, what: &str) -> Result<(), RepositoryError> {
        if self.is_append_only() {
            return Err(RepositoryError::NotWritable(format!("it is append-only, which {what} cannot respect")));
        }
        Ok(())
    }
}
