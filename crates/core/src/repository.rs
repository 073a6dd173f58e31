//! The seam between what an archive means and where its objects lie.
//!
//! A repository stores opaque objects under ids and changes them in transactions. The engine sees nothing but these
//! two traits; a repository on a disk and one behind SSH look alike to it.

mod check;

use bytes::Bytes;

use crate::{ChunkId, DiskError, RepositoryId};

pub use check::{CheckEvent, CheckOptions, Finding, RepositoryCheck, Severity};

/// An object that will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Which one.
    pub id: ChunkId,
    /// How many bytes it has, where that is known, or was once: what is small can be asked for many at a time.
    pub csize: Option<u32>,
}

impl From<ChunkId> for Announced {
    fn from(id: ChunkId) -> Self {
        Self { id, csize: None }
    }
}

/// Where an object is put that is read.
pub trait Room {
    /// So many bytes, for an object: whatever they are, all of them are written. Those that were asked for before are not
    /// needed any more.
    fn of(&mut self, len: usize) -> &mut [u8];
}

impl Room for Vec<u8> {
    fn of(&mut self, len: usize) -> &mut [u8] {
        *self = vec![0; len];
        self
    }
}

/// A repository that is open, and locked as it was asked to be. Dropping it gives the lock back.
///
/// All methods may be called from several threads.
pub trait Repository: Send + Sync {
    /// The id it was created with.
    fn id(&self) -> RepositoryId;

    /// Where it is, as borg writes it down: an absolute path, or a `ssh://` URL.
    fn location(&self) -> String;

    /// Reads an object; sees what the open transaction has put.
    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError>;

    /// Reads an object as [`get`](Self::get) does, where there is room for it.
    fn get_into(&self, id: &ChunkId, room: &mut dyn Room) -> Result<(), RepositoryError> {
        let object = self.get(id)?;
        room.of(object.len()).copy_from_slice(&object);
        Ok(())
    }

    /// Says which objects will be read next, in which order: a hint, for whoever is far from them. They need not be read.
    fn will_read(&self, _objects: &mut dyn Iterator<Item = Announced>) {}

    /// The ids of all objects, the manifest's included: in the order in which the objects are read fastest, if there is one.
    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError>;

    /// How many objects there are, the manifest's included.
    fn object_count(&self) -> Result<u64, RepositoryError>;

    /// The text of the key blob kept in the repository; `None` if there is none.
    fn load_key(&self) -> Result<Option<String>, RepositoryError>;

    /// Stores the text of a key blob, durably. Needs the exclusive lock.
    fn save_key(&self, key: &str) -> Result<(), RepositoryError>;

    /// The first nonce that nobody has reserved, as the repository knows it; `None` before the first reservation.
    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError>;

    /// Moves the first free nonce to `next`, durably. Needs the exclusive lock.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NonceConflict`] if `current` is not what [`free_nonce`](Self::free_nonce) says now.
    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError>;

    /// Puts `next` in the place of a first free nonce that cannot be read, durably. Needs the exclusive lock.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::NonceConflict`] if it can be read, for then somebody relies on it;
    /// [`RepositoryError::Unsupported`] from a repository that lets nobody do that.
    fn replace_damaged_nonce(&self, _next: u64) -> Result<(), RepositoryError> {
        Err(RepositoryError::Unsupported("replace a damaged nonce file"))
    }

    /// Begins a transaction. Needs the exclusive lock; there is one at a time.
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError>;

    /// Checks that what is stored is what was written, and tells `on_event` each finding as it is made.
    ///
    /// A repository that cannot be read, as [`RepositoryError::CheckNeeded`] says, can be checked. Without
    /// [`CheckOptions::repair`] nothing is changed, except that a check with a time limit notes how far it came.
    /// A repair keeps every object that verifies; it may be interrupted anywhere, and taken up again by the next one.
    ///
    /// # Errors
    ///
    /// That something is wrong is no error but a [`RepositoryCheck`] that counts it.
    /// [`RepositoryError::NotWritable`] if the options need the exclusive lock, or contradict each other, or the
    /// repository is append-only; [`RepositoryError::Stopped`].
    fn check(
        &self,
        options: &CheckOptions,
        on_event: &mut dyn FnMut(CheckEvent<'_>),
    ) -> Result<RepositoryCheck, RepositoryError>;

    /// The ids under which something was stored and committed that does not count any more, for it was deleted or
    /// something else was put in its place, but can still be read with [`find_earlier`](Self::find_earlier): in no order,
    /// until the next compaction. Reads all of the repository.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Unsupported`] from a repository that cannot tell.
    fn earlier_ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        Err(RepositoryError::Unsupported("tell which deleted objects it still holds"))
    }

    /// Reads what was stored under an id and does not count any more, from the newest on, until something is wanted.
    /// What is damaged is passed over; nothing is found of what was not among the last
    /// [`earlier_ids`](Self::earlier_ids), or was compacted since.
    fn find_earlier(
        &self,
        _id: &ChunkId,
        _is_wanted: &mut dyn FnMut(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, RepositoryError> {
        Err(RepositoryError::Unsupported("read deleted objects"))
    }

    /// Why not all may have been found since the last [`earlier_ids`](Self::earlier_ids): the first error of what could not be read
    /// and was passed over. Said once.
    fn earlier_unread(&self) -> Option<RepositoryError> {
        None
    }
}

/// Changes that become visible together. Dropping a transaction rolls it back.
#[must_use = "a transaction that is dropped is rolled back"]
pub trait Transaction: Send {
    /// Queues a PUT, replacing an object of the same id. If it fails, this, a later call, or the commit says so.
    fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), RepositoryError>;

    /// Queues a DELETE.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::ObjectNotFound`] if there is no such object.
    fn delete(&mut self, id: ChunkId) -> Result<(), RepositoryError>;

    /// Waits for everything queued, then writes the COMMIT. When this returns `Ok`, the change is durable.
    fn commit(self: Box<Self>) -> Result<(), RepositoryError>;

    /// Commits, then frees the space of what is superseded in segments where it is more than `threshold_percent`.
    /// A crash, or [`RepositoryError::Stopped`], leaves the commit done and some of the space unfreed.
    fn commit_and_compact(self: Box<Self>, threshold_percent: u8) -> Result<CompactStats, RepositoryError>;
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactStats {
    /// Segments that were rewritten or removed.
    pub segments: u64,
    /// Bytes the repository's segments have less than before.
    pub freed_bytes: u64,
}

/// Why a repository could not do what it was asked. Ends the operation, which then rolls back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// Nothing is at the location.
    #[error("there is no repository at {0}")]
    DoesNotExist(String),
    /// A repository is there already, or above it.
    #[error("there is already a repository at {0}")]
    AlreadyExists(String),
    /// Something that is no repository is at the location.
    #[error("{path} is no borg repository: {reason}")]
    NotARepository {
        /// The location.
        path: String,
        /// What was found instead.
        reason: String,
    },
    /// A repository of another generation; only version 1 is read or written.
    #[error("the repository at {path} has version {version}, only version 1 (borg 1.1 to 1.4) is supported")]
    UnsupportedVersion {
        /// The location.
        path: String,
        /// What its `config` says.
        version: String,
    },
    /// The repository's `config` cannot be used.
    #[error("the configuration of the repository at {path} is invalid: {reason}")]
    InvalidConfig {
        /// The location.
        path: String,
        /// The key and what is wrong with it.
        reason: String,
    },
    /// The id is not in the index.
    #[error("object {0} is not in the repository")]
    ObjectNotFound(ChunkId),
    /// The stored bytes are not what was written.
    #[error("segment {segment} of the repository is damaged at offset {offset}: {reason}")]
    Damaged {
        /// The segment's number.
        segment: u32,
        /// Where in it, in bytes.
        offset: u64,
        /// What was expected and found.
        reason: String,
    },
    /// No committed state can be found, or the state contradicts itself.
    #[error("the repository needs a check: {0}")]
    CheckNeeded(String),
    /// Somebody else holds the lock, and went on holding it.
    #[error("the repository is locked by {holder}; waited {waited_seconds} s")]
    LockTimeout {
        /// Who, as far as the lock tells.
        holder: String,
        /// How long it was waited for.
        waited_seconds: u64,
    },
    /// The lock that was held is gone or somebody else's.
    #[error("the lock of the repository was taken away: {0}")]
    LockLost(String),
    /// What was asked needs the exclusive lock, or no other transaction.
    #[error("the repository is not open for writing: {0}")]
    NotWritable(String),
    /// Somebody else reserved nonces at the same time.
    #[error("the repository's free nonce is {found:?}, expected {expected:?}: another client reserved nonces")]
    NonceConflict {
        /// What was thought to be there.
        expected: Option<u64>,
        /// What is there.
        found: Option<u64>,
    },
    /// The `nonce` file holds something else.
    #[error("the nonce file of the repository is damaged: {0}")]
    NonceDamaged(String),
    /// Too little space to write more and commit safely.
    #[error("the repository at {path} has {available_bytes} bytes of free space, {required_bytes} are needed to go on")]
    InsufficientSpace {
        /// The location.
        path: String,
        /// Free bytes.
        available_bytes: u64,
        /// Needed bytes.
        required_bytes: u64,
    },
    /// There was no space left to write on; what was written is taken back.
    #[error(
        "the disk of the repository at {path} is full: at least {required_bytes} bytes are needed, all are taken back"
    )]
    DiskFull {
        /// The location.
        path: String,
        /// What was written, or about to be.
        required_bytes: u64,
        /// The call that failed.
        #[source]
        source: DiskError,
    },
    /// The quota set in the repository is used up.
    #[error("the repository's storage quota of {quota_bytes} bytes is exceeded: {used_bytes} bytes would be used")]
    QuotaExceeded {
        /// The quota.
        quota_bytes: u64,
        /// What the PUT would have made of it.
        used_bytes: u64,
    },
    /// An object longer than [`MAX_DATA_SIZE`](crate::MAX_DATA_SIZE).
    #[error("an object of {0} bytes is too large for a repository")]
    ObjectTooLarge(usize),
    /// Something that not every kind of repository can do.
    #[error("a repository of this kind cannot {0}")]
    Unsupported(&'static str),
    /// A stop was asked for while waiting, checking or compacting.
    #[error("stopped on request")]
    Stopped,
    /// A file operation failed.
    #[error("the repository's disk failed")]
    Disk(#[from] DiskError),
    /// Nobody answers where the repository is, or nobody lets us in.
    #[error("cannot reach the repository at {location}")]
    Unreachable {
        /// Where it is.
        location: String,
        /// Trying again later may help.
        may_pass: bool,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke. What was not committed is not stored.
    #[error("the connection to the repository at {location} was lost: {reason}")]
    ConnectionLost {
        /// Where it is.
        location: String,
        /// What is known of it.
        reason: String,
    },
    /// The server does not let us do that.
    #[error("the server of the repository at {location} refuses: {reason}")]
    Refused {
        /// Where it is.
        location: String,
        /// In its words.
        reason: String,
    },
    /// Something between us and the repository failed.
    #[error("{0}")]
    Other(String),
}
