//! A repository in a directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use worldkeeper_core::repository::{CheckEvent, CheckOptions, RepositoryCheck, Room};
use worldkeeper_core::{ChunkId, Clock, Disk, Repository, RepositoryError, RepositoryId, Stop, Transaction};

use crate::config::{Config, SettingError};
use crate::earlier::Earlier;
use crate::index::Index;
use crate::load::Loaded;
use crate::lock::RepositoryLock;
use crate::options::{CreateOptions, Mode, OpenOptions};
use crate::place::{absolute, require_repository};
use crate::reserves::Reserves;
use crate::segment::{EntryError, Location, PutHeader, SegmentWriter, Segments, damaged};
use crate::state_files::StateFiles;
use crate::sync::{lock, read, write};
use crate::transaction::LocalTransaction;
use crate::{create, nonce};

/// More than any key blob has.
const MAX_KEY_BYTES: usize = 64 * 1024;

/// What a client is told that would take the key away.
const KEY_IS_KEPT: &str = "the repository is append-only, and keeps the key that it has: its archives are lost without it. \
    Change the passphrase on the machine where it lies (worldkeeper key change-passphrase, or borg key change-passphrase), or ";

/// What else helps, where the server lets nobody do more than append.
const SERVER_SAYS_SO: &str = "let the server be started without --append-only for it";

/// What else helps, where the repository's own config says it, however the server is started.
const CONFIG_SAYS_SO: &str = "end it there: worldkeeper config append_only 0";

/// A borg repository in a directory, open and locked.
///
/// What it contains is found out when it is first asked for: a repository whose segments cannot be read still gives
/// its key, and can be [checked](Repository::check) and, with [`Mode::Exclusive`], repaired. Whoever wants that asks
/// for it before anything else: reading makes missing state files anew.
pub struct LocalRepository {
    /// For small files, which may take from the small reserve.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) reserves: Reserves,
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
    pub(crate) segments: Segments,
    pub(crate) state_files: StateFiles,
    pub(crate) mode: Mode,
    /// The quota holds for those who make room, too.
    pub(crate) strict_quota: bool,
    /// Nothing that was committed goes, whatever the config says.
    pub(crate) may_only_append: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    /// `None` without a lock.
    pub(crate) lock: Option<Mutex<RepositoryLock>>,
    /// What it contains; `None` until it is needed, and after a rollback.
    pub(crate) loaded: RwLock<Option<Loaded>>,
    /// Where that lies which does not count any more, as it was last asked for.
    pub(crate) earlier: RwLock<Earlier>,
    /// The segment that the transaction is writing. Never locked while `loaded` is.
    pub(crate) writer: Mutex<Option<SegmentWriter>>,
    pub(crate) in_transaction: AtomicBool,
    /// Bytes that were put since it was opened, for [`Headroom`](crate::headroom::Headroom).
    pub(crate) written: AtomicU64,
}

impl LocalRepository {
    /// Creates an empty repository; [`open`](Self::open) opens it. If this fails, nothing is left of it.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::AlreadyExists`] if a repository is there or above; [`RepositoryError::NotARepository`] if
    /// there is a file, or a directory that is not empty, or nothing to create it in.
    pub fn create(disk: &dyn Disk, path: &Path, options: &CreateOptions) -> Result<(), RepositoryError> {
        create::create(disk, &absolute(path)?, options)
    }

    /// Opens the repository at `path`, waiting for its lock as `options` say.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::DoesNotExist`] if nothing is there, or an empty directory;
    /// [`RepositoryError::NotARepository`] if something else is; [`RepositoryError::UnsupportedVersion`] for a
    /// repository of borg 2; [`RepositoryError::InvalidConfig`]; [`RepositoryError::LockTimeout`] or
    /// [`RepositoryError::Stopped`] if the lock was not to be had. On read-only media no lock can be taken, which is
    /// a [`RepositoryError::Disk`]; [`Mode::WithoutLock`] helps there.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, options: &OpenOptions) -> Result<Self, RepositoryError> {
        let path = absolute(path)?;
        // Before the lock is taken: nothing may be written to what is no repository of ours.
        require_repository(&*disk, &path)?;
        Config::load(&*disk, &path)?;
        let reserves = Reserves::new(disk, &path);
        let disk: Arc<dyn Disk> = reserves.small.clone();
        let large: Arc<dyn Disk> = reserves.large.clone();
        let lock = match options.mode {
            Mode::WithoutLock => None,
            mode => {
                let exclusive = mode == Mode::Exclusive;
                Some(Mutex::new(RepositoryLock::acquire(Arc::clone(&disk), &path, exclusive, options)?))
            }
        };
        let config = Config::load(&*disk, &path)?;
        Ok(Self {
            segments: Segments::new(Arc::clone(&large), &path, config.segments_per_dir),
            state_files: StateFiles::new(large, &path),
            disk,
            reserves,
            path,
            config,
            mode: options.mode,
            strict_quota: false,
            may_only_append: false,
            clock: Arc::clone(&options.clock),
            stop: options.stop.clone(),
            lock,
            loaded: RwLock::new(None),
            earlier: RwLock::new(Earlier::new()),
            writer: Mutex::new(None),
            in_transaction: AtomicBool::new(false),
            written: AtomicU64::new(0),
        })
    }

    /// Turns a lock for reading into one for writing, waiting for other readers as it was opened to wait. Nobody else
    /// writes in between.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::LockTimeout`], [`RepositoryError::Stopped`]: it is open for reading still.
    /// [`RepositoryError::NotWritable`] if it is open without a lock.
    pub fn lock_for_writing(&mut self) -> Result<(), RepositoryError> {
        match (&self.lock, self.mode) {
            (Some(_), Mode::Exclusive) => return Ok(()),
            (Some(repository_lock), _) => lock(repository_lock).upgrade_waiting()?,
            (None, _) => return Err(RepositoryError::NotWritable("it was opened without a lock".into())),
        }
        self.mode = Mode::Exclusive;
        Ok(())
    }

    /// Stores the text of a key blob, durably, under whatever lock there is: stock's clients change a passphrase as
    /// readers, and bring a key back without any lock. The config is replaced as a whole, so that no reader is harmed.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Other`] if it holds what no key does and another reader of the config might take for a line
    /// of its own; or if the repository is append-only and has another key, without which no archive can be read. Before the
    /// first commit there is none, and whoever was cut off while making the repository begins with a new key.
    pub fn save_key_unlocked(&self, key: &str) -> Result<(), RepositoryError> {
        if key.len() > MAX_KEY_BYTES || key.chars().any(|c| c.is_control() && c != '\n') {
            return Err(RepositoryError::Other("what is to be stored as the key is no key".into()));
        }
        if self.is_append_only()
            && self.with_loaded(|loaded| loaded.transaction.is_some()).unwrap_or(true)
            && let Some(kept) = self.load_key()?
        {
            // Word by word: how its lines are indented is no part of a key.
            let is_same = kept.split_whitespace().eq(key.split_whitespace());
            let else_helps = if self.config.append_only { CONFIG_SAYS_SO } else { SERVER_SAYS_SO };
            return if is_same { Ok(()) } else { Err(RepositoryError::Other(format!("{KEY_IS_KEPT}{else_helps}"))) };
        }
        self.store_key(key)
    }

    fn store_key(&self, key: &str) -> Result<(), RepositoryError> {
        let mut config = Config::load(&*self.disk, &self.path)?;
        config.set_key(key);
        config.save(&*self.disk, &self.path)
    }

    /// Returns whether nothing is ever compacted here.
    pub fn is_append_only(&self) -> bool {
        self.config.append_only || self.may_only_append
    }

    /// The settings in its config that people may look at, with their values.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        self.config.settings()
    }

    /// The value of one of the [`settings`](Self::settings).
    pub fn setting(&self, name: &str) -> Result<String, SettingError> {
        self.config.setting(name)
    }

    /// Changes a setting, durably, from the next opening on; without a value, back to its default. Needs the exclusive
    /// lock.
    pub fn set(&self, name: &str, value: Option<&str>) -> Result<(), SettingError> {
        self.require_exclusive()?;
        let changed = Config::load(&*self.disk, &self.path)?.with_setting(name, value, &self.path)?;
        let (old, new) = (self.config.segments_per_dir, changed.segments_per_dir);
        // Nobody would find a segment again that lies in another directory than its number says.
        if old != new
            && let Some(segment) = self.segments.list()?.into_iter().find(|segment| segment / old != segment / new)
        {
            return Err(SettingError::Invalid {
                name: "segments_per_dir",
                value: new.to_string(),
                reason: format!("segment {segment} lies in data/{}, and would be looked for elsewhere", segment / old),
            });
        }
        Ok(changed.save(&*self.disk, &self.path)?)
    }

    /// Requires the exclusive lock, and that it is still ours.
    pub(crate) fn require_exclusive(&self) -> Result<(), RepositoryError> {
        match (&self.lock, self.mode) {
            (Some(repository_lock), Mode::Exclusive) => lock(repository_lock).verify(),
            _ => Err(RepositoryError::NotWritable("it was opened for reading".into())),
        }
    }

    /// Looks at what the repository contains, after finding that out if need be.
    pub(crate) fn with_loaded<T>(&self, look: impl FnOnce(&Loaded) -> T) -> Result<T, RepositoryError> {
        if let Some(loaded) = &*read(&self.loaded) {
            return Ok(look(loaded));
        }
        self.with_loaded_mut(|loaded| look(loaded))
    }

    /// Like [`with_loaded`](Self::with_loaded), for changing it.
    pub(crate) fn with_loaded_mut<T>(&self, change: impl FnOnce(&mut Loaded) -> T) -> Result<T, RepositoryError> {
        let mut loaded = write(&self.loaded);
        if loaded.is_none() {
            *loaded = Some(self.load()?);
        }
        Ok(change(loaded.as_mut().expect("it was just loaded")))
    }

    pub(crate) fn with_index_mut<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, RepositoryError> {
        self.with_loaded_mut(|loaded| change(&mut loaded.index))
    }

    /// Where an object lies, committed or not.
    pub(crate) fn locate(&self, id: &ChunkId) -> Result<Option<Location>, RepositoryError> {
        self.with_loaded(|loaded| loaded.index.get(id))
    }

    /// Size in bytes of the whole PUT entry of `id` at `location`.
    pub(crate) fn entry_size(&self, location: Location, id: &ChunkId) -> Result<u32, RepositoryError> {
        let buffered = self.unwritten(location, |entry| PutHeader::decode_put(entry, id).map(|put| put.header.size))?;
        match buffered {
            Some(Ok(size)) => Ok(size),
            Some(Err(error)) => Err(damaged(location.segment, location.offset, &error)),
            None => self.segments.entry_size(location, id),
        }
    }

    fn read_object(&self, location: Location, id: &ChunkId, room: &mut dyn Room) -> Result<(), RepositoryError> {
        let buffered = self.unwritten(location, |entry| {
            let put = PutHeader::decode_put(entry, id)?;
            // An index that points ahead may have hit something that only looks like an entry.
            let missing = u64::from(put.header.size).saturating_sub(entry.len() as u64);
            let data = entry.get(PutHeader::LEN..put.header.size as usize).ok_or(EntryError::Truncated { missing })?;
            put.verify(data).map(|()| room.of(data.len()).copy_from_slice(data))
        })?;
        match buffered {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(damaged(location.segment, location.offset, &error)),
            None => self.segments.object(location, id, room),
        }
    }

    /// Looks at an entry that the transaction has written but not yet given to the file; `None` for all others.
    fn unwritten<T>(&self, location: Location, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, RepositoryError> {
        let committed = self.with_loaded(|loaded| loaded.transaction)?;
        if Some(location.segment) <= committed {
            // Most objects: reading them must not wait for the one who writes.
            return Ok(None);
        }
        let writer = lock(&self.writer);
        let writer = writer.as_ref().filter(|writer| writer.number() == location.segment);
        Ok(writer.and_then(|writer| writer.buffered(location.offset.into())).map(look))
    }
}

impl Drop for LocalRepository {
    fn drop(&mut self) {
        self.lock = None;
        self.reserves.restore_small();
    }
}

impl fmt::Debug for LocalRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRepository").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Repository for LocalRepository {
    fn id(&self) -> RepositoryId {
        self.config.id
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn get(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        let mut object = Vec::new();
        self.get_into(id, &mut object)?;
        Ok(object.into())
    }

    fn get_into(&self, id: &ChunkId, room: &mut dyn Room) -> Result<(), RepositoryError> {
        let mut location = self.locate(id)?.ok_or(RepositoryError::ObjectNotFound(*id))?;
        let mut tries = 0;
        loop {
            let error = match self.read_object(location, id, room) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A compaction may have moved the object meanwhile, or a rollback taken it away; and a file that was
            // opened before its name was given to another one, or its server lost track of it, is opened again.
            let now = self.locate(id)?.ok_or(RepositoryError::ObjectNotFound(*id))?;
            if now == location {
                tries += 1;
                if tries > 1 {
                    return Err(error);
                }
                self.segments.close(location.segment);
            }
            location = now;
        }
    }

    fn ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        let mut objects = self.with_loaded(|loaded| {
            let mut objects = Vec::with_capacity(loaded.index.len());
            objects.extend(loaded.index.iter().map(|(id, location)| (location.segment, location.offset, id)));
            objects
        })?;
        objects.sort_unstable();
        Ok(objects.into_iter().map(|(_, _, id)| id).collect())
    }

    fn object_count(&self) -> Result<u64, RepositoryError> {
        self.with_loaded(|loaded| loaded.index.len() as u64)
    }

    fn load_key(&self) -> Result<Option<String>, RepositoryError> {
        // Read anew each time: stock changes a passphrase under a shared lock.
        Ok(Config::load(&*self.disk, &self.path)?.key().map(str::to_owned))
    }

    fn save_key(&self, key: &str) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        self.store_key(key)
    }

    fn free_nonce(&self) -> Result<Option<u64>, RepositoryError> {
        nonce::load(&*self.disk, &self.path)
    }

    fn reserve_nonce(&self, next: u64, current: Option<u64>) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        nonce::reserve(&*self.disk, &self.path, next, current)
    }

    fn replace_damaged_nonce(&self, next: u64) -> Result<(), RepositoryError> {
        self.require_exclusive()?;
        nonce::replace_damaged(&*self.disk, &self.path, next)
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, RepositoryError> {
        self.require_exclusive()?;
        if self.in_transaction.swap(true, Ordering::SeqCst) {
            return Err(RepositoryError::NotWritable("another transaction is open".into()));
        }
        match LocalTransaction::begin(self) {
            Ok(transaction) => Ok(Box::new(transaction)),
            Err(error) => {
                self.in_transaction.store(false, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    fn check(
        &self,
        options: &CheckOptions,
        on_event: &mut dyn FnMut(CheckEvent<'_>),
    ) -> Result<RepositoryCheck, RepositoryError> {
        self.run_check(options, on_event)
    }

    fn earlier_ids(&self) -> Result<Vec<ChunkId>, RepositoryError> {
        self.look_for_earlier()
    }

    fn find_earlier(
        &self,
        id: &ChunkId,
        is_wanted: &mut dyn FnMut(&Bytes) -> bool,
    ) -> Result<Option<Bytes>, RepositoryError> {
        self.read_earlier(id, is_wanted)
    }

    fn earlier_unread(&self) -> Option<RepositoryError> {
        self.why_unread()
    }
}
