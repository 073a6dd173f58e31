//! An open repository with its key and its manifest: what every operation begins with.

mod archive;
mod change;
mod earlier;
mod escrow;
mod index;
mod initialize;
mod item_chunks;
mod key;
mod lost;
mod past_gaps;
mod proof;
mod read_back;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use worldkeeper_archive::{ItemReader, Manifest, ManifestError, Operation, TamPolicy};
use worldkeeper_core::{ChunkId, Clock, Repository, RepositoryError, RepositoryId, Stop, error_text};
use worldkeeper_crypto::nonce::WornOut;
use worldkeeper_crypto::tam::Tam;
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlobError, KeyFileError, UnknownTypeByte};

pub use archive::{ArchiveInfo, ArchiveProblem, BrokenArchive, Items, OpenArchive};
pub(crate) use change::{Change, Committed};
pub use escrow::{Escrow, WrongFingerprint};
pub use key::{ImportedKey, export_key, import_key};
pub use lost::ManifestLoss;
pub(crate) use past_gaps::Listed;
pub use proof::Proofs;
pub use trust::{Suspicion, Trust};

use crate::attributes::Escaped;
use crate::cache::ChunkIndex;
use crate::key_store::{KeyStore, KeyStoreError};
use crate::nonces::Nonces;
use crate::objects::{ChunkReader, ChunkSealer, ObjectError, ObjectProblem};
use crate::state::{Known, RepositoryState, StateDir, StateError};
use crate::verify::EncodingProblem;

/// An open repository with its key and its manifest.
pub struct Session {
    repository: Box<dyn Repository>,
    key: Arc<Key>,
    manifest: Manifest,
    /// The id hash of the packed manifest: what caches are valid for.
    manifest_id: ChunkId,
    trust: Trust,
    state: RepositoryState,
    nonces: Nonces,
    /// The chunk index, once it was needed.
    index: Option<ChunkIndex>,
    clock: Arc<dyn Clock>,
    stop: Stop,
}

/// What a session needs from outside.
#[derive(Clone)]
pub struct SessionOptions<'a> {
    /// Where what we know of the repository is kept.
    pub state: &'a StateDir,
    /// Where key files are.
    pub key_store: &'a dyn KeyStore,
    /// The passphrase, where the key asks for one. With one that is not empty, a repository that needs none is
    /// [suspicious](Suspicion::Unproven) until it is known.
    pub passphrase: Option<&'a str>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends operations early.
    pub stop: Stop,
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The state directory failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// An object in the repository is missing or damaged.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An item would be longer than readers take: its file has too many chunks.
    #[error(
        "what there is to say of {} takes more than {} bytes, which is all that is read of one file; larger chunks are fewer \
         (BORG_CHUNKER_PARAMS)",
        Escaped(.0), ItemReader::MAX_ITEM_LEN
    )]
    ItemTooLong(Vec<u8>),
    /// An item would be longer than readers take, whatever chunks it has.
    #[error(
        "what there is to say of {} beside its content takes more than {} bytes, which is all that is read of one file",
        Escaped(.0), ItemReader::MAX_BESIDE_LEN
    )]
    TooMuchBesideContent(Vec<u8>),
    /// The repository was created, but never got a manifest; nothing is lost by [initialising](Session::initialize) it.
    #[error("the repository at {0} was never finished: it holds nothing, not even a manifest")]
    Unfinished(String),
    /// The manifest is gone, while other objects are there.
    #[error("the repository at {0} has no manifest")]
    NoManifest(String),
    /// There are objects, and the key opens none of them.
    #[error("none of the objects in the repository at {0} can be read")]
    NothingOpens(String),
    /// The manifest is of no mode that borg 1.x knows.
    #[error("the manifest cannot be read")]
    UnknownMode(#[from] UnknownTypeByte),
    /// The key should be in the repository.
    #[error("the repository at {0} holds no key, though its mode needs one")]
    NoKey(String),
    /// The key should be in a key file.
    #[error("there is no key file for the repository at {location}")]
    NoKeyFile {
        /// The repository.
        location: String,
        /// Its id, which the key file begins with.
        id: RepositoryId,
    },
    /// Something was asked about the key of a repository of mode `none`.
    #[error("the repository at {0} has no key: it is of mode none")]
    Keyless(String),
    /// The key files failed.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// The key cannot be opened.
    #[error("the key of the repository cannot be opened")]
    Key(#[from] KeyBlobError),
    /// There is a key, but no passphrase was given, and the empty one does not open it.
    #[error("the repository at {0} needs a passphrase")]
    PassphraseNeeded(String),
    /// Another repository than the one that was left: not the passphrase is wrong, and nobody shall try others on it.
    #[error("repository {found} is where repository {seen} was, and the passphrase does not open it")]
    OtherRepository {
        /// The id of the one that was seen here.
        seen: RepositoryId,
        /// The id of the one that is there.
        found: RepositoryId,
    },
    /// The copy of the new key in the state directory is not what was written.
    #[error("the exported copy of the key cannot be read back")]
    Exported(#[source] KeyFileError),
    /// The key was made for another repository.
    #[error("the key belongs to repository {0}")]
    ForeignKey(RepositoryId),
    /// The manifest is damaged, forged or from another borg.
    #[error("the manifest cannot be used")]
    Manifest(#[from] ManifestError),
    /// An archive is not what its name promises.
    #[error(transparent)]
    Archive(#[from] BrokenArchive),
    /// It is not what was left: nothing is written.
    #[error("nothing is written to a repository that looks replaced or rolled back")]
    Untrusted(#[source] Suspicion),
    /// Archives are there that a list made anew would lack.
    #[error("nothing is repaired: of the archives that are there, {count} would be listed no more")]
    ShorterList {
        /// How many.
        count: usize,
        /// There is a manifest that lists them, but nothing proves it either.
        is_listed: bool,
    },
    /// What was sealed cannot be opened again, twice: memory or processor are not to be trusted. It was not stored.
    #[error("an object that was just made does not hold what was put into it")]
    Encoding(#[source] EncodingProblem),
    /// The counter is used up.
    #[error(transparent)]
    WornOut(#[from] WornOut),
    /// The commit was made, but what it should have made is not there.
    #[error("the manifest that was just committed does not read back: the repository's disk is not to be trusted")]
    NotReadBack,
    /// The commit was made, but an object that it should have stored is not there.
    #[error(
        "an object that was just committed does not read back: the repository's disk or server is not to be trusted"
    )]
    NotStored(#[source] ObjectError),
    /// A stop was asked for; nothing was changed.
    #[error("stopped on request")]
    Stopped,
}

impl SessionError {
    /// Returns whether this only says that a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped | Self::Repository(RepositoryError::Stopped))
    }

    /// Returns whether it is what the repository holds that is damaged or missing, rather than the repository that fails.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Object(error) => error.is_damage(),
            Self::Archive(_) => true,
            _ => false,
        }
    }

    /// Returns whether this says that the connection to the repository was lost, so that another one may bring it to an end.
    pub fn is_connection_lost(&self) -> bool {
        let error = match self {
            Self::Repository(error) => error,
            Self::Object(error) => match error.source.as_ref() {
                ObjectProblem::Repository(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        matches!(error, RepositoryError::ConnectionLost { .. })
    }
}

impl Session {
    /// Opens what is in a repository.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unfinished`] if the repository is empty: it was created, but the first manifest never came.
    pub fn open(repository: Box<dyn Repository>, options: &SessionOptions<'_>) -> Result<Self, SessionError> {
        let head = Head::read(repository.as_ref(), options)?;
        Self::with_head(repository, head, options)
    }

    fn with_head(
        repository: Box<dyn Repository>,
        head: Head,
        options: &SessionOptions<'_>,
    ) -> Result<Self, SessionError> {
        let Head { key, manifest, manifest_id, after_manifest } = head;
        Self::with_manifest(repository, key, manifest, manifest_id, after_manifest, options)
    }

    /// Goes on with a manifest that was read. `after_manifest` is behind the counter values that sealed it.
    fn with_manifest(
        repository: Box<dyn Repository>,
        key: Key,
        manifest: Manifest,
        manifest_id: ChunkId,
        after_manifest: Option<u64>,
        options: &SessionOptions<'_>,
    ) -> Result<Self, SessionError> {
        let (location, mode) = (repository.location(), key.mode());
        let id = repository.id();
        let state = options.state.repository(id);
        let found = seen(&key, location, &manifest);
        let evidence = trust::Evidence {
            known: state.known()?,
            other: options.state.other_repository_at(&found.location, id)?,
            is_unproven: mode == EncryptionMode::None && options.passphrase.is_some_and(|given| !given.is_empty()),
        };
        let trust = trust::judge(id, &found, &evidence);
        let remembered = match &trust {
            Trust::Known => state.remember(&found),
            // Only whoever writes to it goes on where it is now. It may be a copy that somebody looks at: where the repository
            // was, a new one shall not be made because of that, and neither here.
            Trust::Moved { from } => {
                let seen_at = found.location.clone();
                let seen = Known { location: from.clone(), ..found };
                state.remember(&seen).and_then(|()| state.seen_at(&seen_at))
            }
            Trust::Adopted | Trust::Suspicious(_) => Ok(()),
        };
        if let Err(error) = remembered {
            // Nobody must be kept from restoring by a full disk; whoever writes will meet it again.
            warn!("what was seen of the repository is not remembered: {}", error_text(&error));
        }
        let nonces = Nonces::new(after_manifest);
        Ok(Self {
            repository,
            key: Arc::new(key),
            manifest,
            manifest_id,
            trust,
            state,
            nonces,
            index: None,
            clock: Arc::clone(&options.clock),
            stop: options.stop.clone(),
        })
    }

    /// What the state directory knows about the repository, held against what was found.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The repository's id.
    pub fn id(&self) -> RepositoryId {
        self.repository.id()
    }

    /// Where the repository is.
    pub fn location(&self) -> String {
        self.repository.location()
    }

    /// How the repository is encrypted.
    pub fn mode(&self) -> EncryptionMode {
        self.key.mode()
    }

    /// When the manifest was written.
    pub fn last_modified(&self) -> Timestamp {
        written(&self.manifest)
    }

    /// Takes the repository as it is from now on, whatever the state directory remembers of this id or this place.
    /// Returns whether its counter could not be read, and was made anew; that needs the exclusive lock.
    pub fn accept(&mut self, state: &StateDir) -> Result<bool, SessionError> {
        let is_counter_damaged = self.counter_damage()?.is_some();
        if is_counter_damaged || matches!(self.trust, Trust::Adopted | Trust::Suspicious(_)) {
            // What is missing of it may have been sealed by another client, with counter values unknown to us.
            self.leap()?;
        }
        state.give_location(&self.location(), self.id())?;
        self.remember(&self.manifest)?;
        self.trust = Trust::Known;
        Ok(is_counter_damaged)
    }

    /// Requires that the repository is not suspicious, before anything is written.
    pub(crate) fn require_trust(&self) -> Result<(), SessionError> {
        match &self.trust {
            Trust::Suspicious(suspicion) => Err(SessionError::Untrusted(suspicion.clone())),
            _ => Ok(()),
        }
    }

    /// Requires that no feature of the repository stands in the way.
    pub(crate) fn require_feature(&self, operation: Operation) -> Result<(), SessionError> {
        Ok(self.manifest.check_features(operation)?)
    }

    /// Ends the operation if that was asked for.
    pub(crate) fn check_stop(&self) -> Result<(), SessionError> {
        if self.stop.is_requested() { Err(SessionError::Stopped) } else { Ok(()) }
    }

    pub(crate) fn repository(&self) -> &dyn Repository {
        self.repository.as_ref()
    }

    /// The ids of all objects, the manifest's included.
    pub(crate) fn object_ids(&self) -> Result<Vec<ChunkId>, SessionError> {
        Ok(self.repository.ids()?)
    }

    /// What is wrong with the counter that the repository keeps for all who have the key, if something is.
    pub(crate) fn counter_damage(&self) -> Result<Option<RepositoryError>, SessionError> {
        self.nonces.damage(self.repository.as_ref())
    }

    /// Sees to it that whatever is sealed from now on is sealed with counter values that nobody has used.
    pub(crate) fn leap(&self) -> Result<(), SessionError> {
        self.nonces.leap(self.repository.as_ref(), &self.state)
    }

    /// Whether an archive without a TAM proves nothing. Where the key does not say, the manifest does, if it is proven.
    pub(crate) fn requires_tam(&self) -> bool {
        requires_tam(&self.key, self.manifest.tam_required())
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The key, for a thread that may outlive the session.
    pub(crate) fn shared_key(&self) -> Arc<Key> {
        Arc::clone(&self.key)
    }

    /// The time, for such a thread.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// What ends operations early, for such a thread.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(crate) fn state(&self) -> &RepositoryState {
        &self.state
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(crate) fn reader(&self) -> ChunkReader<'_> {
        ChunkReader::new(self.repository.as_ref(), &self.key)
    }

    pub(crate) fn sealer(&self, compression: worldkeeper_compress::Compression) -> ChunkSealer<'_> {
        ChunkSealer::new(self.repository.as_ref(), &self.state, &self.key, &self.nonces, compression)
    }

    fn remember(&self, manifest: &Manifest) -> Result<(), SessionError> {
        Ok(self.state.remember(&seen(&self.key, self.repository.location(), manifest))?)
    }
}

/// The manifest and the key that it was read with.
struct Head {
    key: Key,
    manifest: Manifest,
    manifest_id: ChunkId,
    /// Behind the counter values that sealed it.
    after_manifest: Option<u64>,
}

impl Head {
    fn read(repository: &dyn Repository, options: &SessionOptions<'_>) -> Result<Self, SessionError> {
        let mode = key::read_mode(repository)?;
        let id = repository.id();
        let other = options.state.other_repository_at(&repository.location(), id)?;
        let key = match (key::open(repository, mode, options.key_store, options.passphrase), other) {
            (Err(SessionError::Key(KeyBlobError::WrongPassphrase)), Some(seen)) => {
                return Err(SessionError::OtherRepository { seen, found: id });
            }
            (key, _) => key?,
        };
        let (object, packed) = ChunkReader::new(repository, &key).read_manifest()?;
        let manifest = read_manifest(&key, &packed, is_tam_expected(options, id)?)?;
        manifest.check_features(Operation::Read)?;
        let (manifest_id, after_manifest) = (key.id_hash(&packed), key.nonce_after(&object));
        Ok(Self { key, manifest, manifest_id, after_manifest })
    }
}

/// Reads a packed manifest. Without a TAM it is believed only where none is needed, and not in whether one is.
fn read_manifest(key: &Key, packed: &[u8], is_tam_expected: bool) -> Result<Manifest, ManifestError> {
    let is_required = requires_tam(key, is_tam_expected);
    let policy = if is_required { TamPolicy::Required } else { TamPolicy::Optional };
    let (mut manifest, tam) = Manifest::decode(key, packed, policy)?;
    if tam == Tam::Missing {
        manifest.forget_tam_required();
    }
    Ok(manifest)
}

/// Whether what bears no TAM proves nothing. A key from before borg 1.0.9 does not say; then it is as `otherwise`.
///
/// Source: borg 1.4 `crypto/key.py`, `KeyfileKeyBase._load`.
fn requires_tam(key: &Key, otherwise: bool) -> bool {
    key.tam_required().unwrap_or(otherwise)
}

/// Whether a manifest of a repository was seen that was proven, and said that from then on each must be.
fn is_tam_expected(options: &SessionOptions<'_>, id: RepositoryId) -> Result<bool, StateError> {
    Ok(options.state.repository(id).known()?.is_some_and(|known| known.tam_required))
}

/// What there is to be remembered of a repository with this manifest.
fn seen(key: &Key, location: String, manifest: &Manifest) -> Known {
    Known {
        key_type: key.mode().type_byte(),
        location,
        manifest_timestamp: written(manifest),
        tam_required: manifest.tam_required(),
    }
}

/// When a manifest was written; every one that was stored says so.
fn written(manifest: &Manifest) -> Timestamp {
    manifest.timestamp.unwrap_or(Timestamp::UNIX_EPOCH)
}
