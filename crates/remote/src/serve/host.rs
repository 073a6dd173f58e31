//! What a server serves, as seen from here.

use worldkeeper_core::{ChunkId, Repository, RepositoryError};
use worldkeeper_rpc::{Open, Page};

use super::OpenError;

/// Opens the repositories that clients name.
pub trait Host {
    /// Opens or creates the repository, as far as the client may have it, and takes its lock.
    fn open(&mut self, open: &Open) -> Result<Box<dyn Hosted>, OpenError>;
}

/// An open repository, with what borg's clients ask for beyond what a [`Repository`] has. Dropping it gives the lock back.
pub trait Hosted {
    /// The repository.
    fn repository(&self) -> &dyn Repository;

    /// How many objects there are.
    fn count(&self) -> Result<u64, RepositoryError>;

    /// Ids in the order of the index; `None` if there is no object of the marker's id.
    fn list(&self, page: &Page) -> Result<Option<Vec<ChunkId>>, RepositoryError>;

    /// Ids in the order in which the objects lie; `None` if there is no object of the marker's id.
    fn scan(&self, page: &Page) -> Result<Option<Vec<ChunkId>>, RepositoryError>;

    /// Returns whether nothing that was committed may go.
    fn is_append_only(&self) -> bool;

    /// Sees to it that a transaction can begin, where a very old client has not said that it will write.
    fn prepare_to_write(&mut self) -> Result<(), RepositoryError>;

    /// Finds out anew what it contains when that is next asked for, as stock does after each transaction: whatever has
    /// become of the files, a session goes by them.
    fn reload(&self);

    /// Gives up a transaction whose commit is lost, as stock does whenever it reads, and returns its number.
    fn give_up_lost_commit(&self) -> Result<Option<u32>, RepositoryError>;

    /// Stores the text of the key blob under whatever lock there is, as stock's clients do.
    fn store_key(&self, key: &str) -> Result<(), RepositoryError>;

    /// Reserves nonces, if `current` is what the repository says. One that is open without a lock notes nothing: whatever
    /// is sealed with them cannot be stored either. Stock notes it, at the risk of setting back what somebody else has.
    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError>;

    /// Removes all locks.
    fn break_lock(&self) -> Result<(), RepositoryError>;

    /// Removes the repository.
    fn destroy(self: Box<Self>) -> Result<(), RepositoryError>;
}
