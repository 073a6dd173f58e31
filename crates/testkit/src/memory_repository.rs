//! A repository in memory, that can be made to fail. Its PUTs panic where a counter value is used twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use worldkeeper_core::repository::{CheckEvent, CheckOptions, CompactStats, RepositoryCheck};
use worldkeeper_core::{ChunkId, Repository, RepositoryError, RepositoryId, Transaction};

use crate::counters::Counters;

/// A repository in memory. Clones are the same repository, so that it can be opened again.
#[derive(Clone)]
pub struct MemoryRepository {
    id: RepositoryId,
    location: String,
    store: Arc<Mutex<Store>>,
    /// Of all clones and snapshots: they have one key.
    counters: Counters,
}

/// What the repository holds, and what has happened to it.
#[derive(Clone, Default)]
pub struct Store {
    /// The objects that were committed.
    pub objects: BTreeMap<ChunkId, Bytes>,
    /// What was committed, and deleted or replaced since the last compaction, in that order.
    pub earlier: BTreeMap<ChunkId, Vec<Bytes>>,
    /// None of that can be read.
    pub earlier_fails: bool,
    /// The key blob's text.
    pub key: Option<String>,
    /// The first free nonce.
    pub nonce: Option<u64>,
    /// Which objects were asked for, in that order.
    pub reads: Vec<ChunkId>,
    /// The number of calls that change something after which they fail.
    pub fail_after: Option<u64>,
    /// After how many calls that change something the connection is lost: first, then counted from there, and so on.
    pub losses: VecDeque<u64>,
    /// Commits are acknowledged, but the manifest stays what it was.
    pub keeps_manifest: bool,
    /// Commits are acknowledged, but each so many of the new objects, in the order of their ids, are dropped.
    pub drops_each: Option<usize>,
    /// What becomes of the connection.
    pub connection: Connection,
    /// No transaction can be begun.
    pub begins_none: bool,
    /// Whenever this object is to be read, the connection is lost.
    pub out_of_reach: Option<ChunkId>,
    changes: u64,
}

/// A connection to a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    /// It holds.
    #[default]
    Holds,
    /// It will be lost when the next commit was acknowledged.
    LostAfterCommit,
    /// Nothing can be read.
    Lost,
}

impl MemoryRepository {
    /// An empty one.
    pub fn new(id: u8) -> Self {
        Self {
            id: RepositoryId([id; 32]),
            location: format!("/memory/{id}"),
            store: Arc::default(),
            counters: Counters::default(),
        }
    }

    /// A copy that goes its own way, as a file system's snapshot would.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { store: Arc::new(Mutex::new(self.store().clone())), ..self.clone() }
    }

    /// The same repository at another place.
    #[must_use]
    pub fn at(&self, location: &str) -> Self {
        Self { location: location.into(), ..self.clone() }
    }

    /// What it holds.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no test panics while it looks")
    }

    /// The counter values of all objects that were ever put, here or into a snapshot, committed or not.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The ids of all objects but the manifest.
    pub fn chunk_ids(&self) -> BTreeSet<ChunkId> {
        self.store().objects.keys().filter(|id| **id != ChunkId::MANIFEST).copied().collect()
    }
}

impl Store {
    /// Counts changes from here, for `fail_after`.
    pub fn restart_counting(&mut self) {
        self.changes = 0;
    }

    /// How many calls have changed something.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn change(&mut self) -> Result<(), RepositoryError> {
        self.changes += 1;
        if self.losses.front().is_some_and(|after| self.changes > *after) {
            self.losses.pop_front();
            self.restart_counting();
            return Err(connection_lost());
        }
        match self.fail_after {
            Some(limit) if self.changes > limit => Err(RepositoryError::Other("made to fail".into())),
            _ => Ok(()),
        }
    }
}

fn connection_lost() -> RepositoryError {
    RepositoryError::ConnectionLost { location: "/memory".into(), reason: "as a test wants it".into() }
}

impl Repository for MemoryRepository {
    fn id(&self) -> RepositoryId {
        self.id
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        let mut store = self.store();
        store.reads.push(*id);
        if store.out_of_reach == Some(*id) || store.connection == Connection::Lost {
            return Err(connection_lost());
        }
        store.objects.get(id).cloned().ok_or(RepositoryError::ObjectNotFound(*id))
    }

    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        Ok(self.store().objects.keys().copied().collect())
    }

    fn object_count(&self) -> Result<u64, RepositoryError> {
        Ok(self.store().objects.len() as u64)
    }

    fn load_key(&self) -> Result<Option<String>, RepositoryError> {
        Ok(self.store().key.clone())
    }

    fn save_key(&self, key: &str) -> Result<(), RepositoryError> {
        let mut store = self.store();
        store.change()?;
        store.key = Some(key.into());
        Ok(())
    }

    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        Ok(self.store().nonce)
    }

    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError> {
        let mut store = self.store();
        store.change()?;
        if store.nonce != current {
            return Err(RepositoryError::NonceConflict { expected: current, found: store.nonce });
        }
        store.nonce = Some(next);
        Ok(())
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError> {
        let store = self.store();
        if store.begins_none {
            return Err(connection_lost());
        }
        let before = store.objects.clone();
        Ok(Box::new(MemoryTransaction { repository: self, before: Some(before) }))
    }

    /// Memory does not rot: there is never anything to find.
    fn check(&self, _: &CheckOptions, _: &mut dyn FnMut(CheckEvent<'_>)) -> Result<RepositoryCheck, RepositoryError> {
        Ok(RepositoryCheck { objects: self.store().objects.len() as u64, ..RepositoryCheck::default() })
    }

    fn earlier_ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        let store = self.store();
        if store.earlier_fails { Err(connection_lost()) } else { Ok(store.earlier.keys().copied().collect()) }
    }

    fn find_earlier(
        &self,
        id: &ChunkId,
        is_wanted: &mut dyn FnMut(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, RepositoryError> {
        let versions = self.store().earlier.get(id).cloned().unwrap_or_default();
        Ok(versions.into_iter().rev().find(|object| is_wanted(object)))
    }
}

/// Writes straight into the store, so that what was put can be read, and puts everything back when it is dropped.
struct MemoryTransaction<'a> {
    repository: &'a MemoryRepository,
    before: Option<BTreeMap<ChunkId, Bytes>>,
}

impl Transaction for MemoryTransaction<'_> {
    fn put(&mut self, id: ChunkId, object: Bytes) -> Result<(), RepositoryError> {
        self.repository.counters.record(&object);
        let mut store = self.repository.store();
        store.change()?;
        store.objects.insert(id, object);
        Ok(())
    }

    fn delete(&mut self, id: ChunkId) -> Result<(), RepositoryError> {
        let mut store = self.repository.store();
        store.change()?;
        store.objects.remove(&id).map(drop).ok_or(RepositoryError::ObjectNotFound(id))
    }

    fn commit(mut self: Box<Self>) -> Result<(), RepositoryError> {
        let repository = self.repository;
        let mut store = repository.store();
        store.change()?;
        if store.connection == Connection::LostAfterCommit {
            store.connection = Connection::Lost;
        }
        let before = self.before.take().unwrap_or_default();
        if let Some(each) = store.drops_each {
            let is_new = |id: &&ChunkId| !before.contains_key(*id) && **id != ChunkId::MANIFEST;
            let dropped: Vec<_> = store.objects.keys().filter(is_new).step_by(each).copied().collect();
            for id in dropped {
                store.objects.remove(&id);
            }
        }
        for (id, object) in before {
            if id == ChunkId::MANIFEST && store.keeps_manifest {
                store.objects.insert(id, object);
                continue;
            }
            if store.objects.get(&id) != Some(&object) {
                store.earlier.entry(id).or_default().push(object);
            }
        }
        Ok(())
    }

    fn commit_and_compact(self: Box<Self>, _: u8) -> Result<CompactStats, RepositoryError> {
        let repository = self.repository;
        self.commit()?;
        repository.store().earlier.clear();
        Ok(CompactStats::default())
    }
}

impl Drop for MemoryTransaction<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.repository.store().objects = before;
        }
    }
}
