//! A change of the repository: objects, the manifest, one commit.

use bytes::Bytes;
use tracing::warn;
use worldkeeper_archive::{Manifest, Operation};
use worldkeeper_compress::Compression;
use worldkeeper_core::repository::CompactStats;
use worldkeeper_core::{ChunkId, Transaction, error_text};
use worldkeeper_crypto::Key;

use super::read_back::Stored;
use super::{Session, SessionError, Trust, read_manifest};
use crate::cache::ChunkIndex;
use crate::monitor::Monitor;
use crate::objects::StoredObject;
use crate::random;

/// A transaction and the manifest it will leave. Dropped without a commit, it changes nothing.
pub(crate) struct Change<'s> {
    pub(crate) transaction: Box<dyn Transaction + 's>,
    pub(crate) manifest: Manifest,
    stored: Stored,
}

/// What a commit left.
pub(crate) struct Committed {
    manifest: Manifest,
    manifest_id: ChunkId,
}

impl Session {
    /// Begins a change.
    pub(crate) fn begin(&self) -> Result<Change<'_>, SessionError> {
        self.require_trust()?;
        self.manifest.check_features(Operation::Write)?;
        self.begin_from(&self.manifest)
    }

    /// Begins a change that follows a commit which this session does not know yet.
    pub(crate) fn begin_after(&self, committed: &Committed) -> Result<Change<'_>, SessionError> {
        self.begin_from(&committed.manifest)
    }

    fn begin_from(&self, manifest: &Manifest) -> Result<Change<'_>, SessionError> {
        let transaction = self.repository.begin()?;
        Ok(Change { transaction, manifest: manifest.clone(), stored: Stored::default() })
    }

    /// Remembers what was committed on the way to something larger.
    pub(crate) fn saved(&self, committed: &Committed) -> Result<(), SessionError> {
        self.remember(&committed.manifest)
    }

    /// Goes on with what was committed on the way, as what was to follow it failed.
    pub(crate) fn go_on_from(&mut self, committed: Committed) {
        self.manifest = committed.manifest;
        self.manifest_id = committed.manifest_id;
        self.trust = Trust::Known;
    }

    /// Goes on with what a commit left. `index` is what its references amount to.
    pub(crate) fn committed(
        &mut self,
        committed: Committed,
        index: ChunkIndex,
        monitor: &dyn Monitor,
    ) -> Result<(), SessionError> {
        self.committed_without_index(committed)?;
        self.state.keep_reserve();
        self.keep_index(&index, self.manifest_id, monitor);
        self.index = Some(index);
        Ok(())
    }

    /// Goes on with what a commit left; whoever needs the chunk index makes it anew.
    pub(crate) fn committed_without_index(&mut self, committed: Committed) -> Result<(), SessionError> {
        self.manifest = committed.manifest;
        self.manifest_id = committed.manifest_id;
        self.trust = Trust::Known;
        self.index = None;
        self.remember(&self.manifest)
    }
}

impl Committed {
    /// What caches are valid for.
    pub(crate) fn manifest_id(&self) -> ChunkId {
        self.manifest_id
    }
}

impl Change<'_> {
    /// Queues a PUT.
    pub(crate) fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), SessionError> {
        self.stored.note(StoredObject { id, mac: Key::mac(&object).unwrap_or_default() })?;
        Ok(self.transaction.put(id, object)?)
    }

    /// Queues a DELETE.
    pub(crate) fn delete(&mut self, id: ChunkId) -> Result<(), SessionError> {
        self.stored.forget(&id);
        Ok(self.transaction.delete(id)?)
    }

    /// Writes the manifest and commits. When this returns `Ok`, the change is durable, and the manifest and a sample of
    /// what was stored were read back.
    pub(crate) fn commit(mut self, session: &Session) -> Result<Committed, SessionError> {
        let mut salt = [0; 64];
        random::fill(&mut salt)?;
        let packed = self.manifest.write(&session.key, &salt, session.now())?;
        // Stock's default, whatever the archives use: a manifest is small.
        let object = session.sealer(Compression::default()).seal(&packed)?;
        self.transaction.put(ChunkId::MANIFEST, object)?;
        self.transaction.commit()?;
        let found = match session.reader().read_manifest().map_err(SessionError::from) {
            Ok((_, found)) if found == packed => found,
            Ok(_) => return Err(SessionError::NotReadBack),
            // The server has said that it is committed: that is not undone by a line that is lost.
            Err(error) if error.is_connection_lost() => {
                warn!("what was committed could not be read back: {}", error_text(&error));
                packed
            }
            Err(error) => return Err(error),
        };
        self.stored.read_back(session)?;
        // What was stored is the truth: its times have no nanoseconds.
        Ok(Committed { manifest: read_manifest(&session.key, &found, true)?, manifest_id: session.key.id_hash(&found) })
    }

    /// Commits without a new manifest and compacts.
    ///
    /// A server begins a transaction with the first write, so the manifest is put back as it is, as stock does.
    pub(crate) fn compact(mut self, session: &Session, threshold_percent: u8) -> Result<CompactStats, SessionError> {
        let object: Bytes = session.repository.get(&ChunkId::MANIFEST)?;
        self.transaction.put(ChunkId::MANIFEST, object)?;
        Ok(self.transaction.commit_and_compact(threshold_percent)?)
    }
}
