//! Borg's repository lock, so that stock and we exclude each other.
//!
//! Two parts: the directory `lock.exclusive`, held by the writer for as long as it writes and by everybody for a
//! moment while they change the other part, the file `lock.roster`, which lists the readers. Whoever wants to write
//! takes the directory and keeps it once the roster names no reader.
//!
//! Where stock judges a dead holder by host name and process id, we let [`LockIdentity`] judge, which knows our own
//! kind only: whatever else holds a lock is never judged. And where stock takes an unreadable roster for an empty
//! one, we take it for readers we do not know.
//!
//! Source: borg 1.4 `locking.py`.

mod directory;
mod held_here;
mod in_place;
mod name;
mod roster;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{Clock, Disk, RepositoryError, Stop, error_text};

use crate::options::{Holder, OnWait, OpenOptions};
use directory::LockDirectory;
use held_here::HeldHere;
pub use in_place::identity_in;
pub(crate) use roster::Roster;

/// How often a held lock is looked at again.
const POLL: Duration = Duration::from_millis(200);

/// How often a holder who stays is named: whoever waits for ever must not do so silently.
const NAME_AGAIN: Duration = Duration::from_hours(1);

/// How long giving back a shared lock waits for those who are just changing the roster.
const RELEASE_WAIT: Duration = Duration::from_secs(5);

/// A lock on a repository. Dropping it gives it back.
pub(crate) struct RepositoryLock {
    disk: Arc<dyn Disk>,
    directory: LockDirectory,
    roster: PathBuf,
    identity: Arc<dyn LockIdentity>,
    own: LockId,
    waiting: Waiting,
    here: HeldHere,
    exclusive: bool,
}

/// How a wait goes on, and when it ends.
struct Waiting {
    clock: Arc<dyn Clock>,
    limit: Option<Duration>,
    stop: Stop,
    on_wait: Option<OnWait>,
}

impl RepositoryLock {
    /// Takes the lock of the repository in `directory`, for writing or for reading.
    pub(crate) fn acquire(
        disk: Arc<dyn Disk>,
        directory: &Path,
        exclusive: bool,
        options: &OpenOptions,
    ) -> Result<Self, RepositoryError> {
        let own = options.identity.own();
        let mut lock = Self {
            directory: LockDirectory::new(Arc::clone(&disk), directory, &own),
            roster: directory.join("lock.roster"),
            // Two paths to one repository must not look like two repositories.
            here: HeldHere::new(disk.canonicalize(directory)?, own.clone()),
            disk,
            identity: Arc::clone(&options.identity),
            own,
            waiting: Waiting {
                clock: Arc::clone(&options.clock),
                limit: options.wait,
                stop: options.stop.clone(),
                on_wait: options.on_wait.clone(),
            },
            exclusive: false,
        };
        let limit = lock.waiting.limit;
        if exclusive {
            lock.take_exclusive(limit)?;
        } else {
            lock.take_shared(limit)?;
        }
        Ok(lock)
    }

    /// Turns a shared lock into an exclusive one, if that is possible without waiting. Otherwise it stays shared.
    pub(crate) fn upgrade(&mut self) -> Result<(), RepositoryError> {
        self.take_exclusive(Some(Duration::ZERO))
    }

    /// Turns a shared lock into an exclusive one, waiting as its taking did. It stays shared meanwhile.
    pub(crate) fn upgrade_waiting(&mut self) -> Result<(), RepositoryError> {
        self.take_exclusive(self.waiting.limit)
    }

    /// Turns an exclusive lock into a shared one.
    pub(crate) fn downgrade(&mut self) -> Result<(), RepositoryError> {
        self.verify()?;
        let mut roster = self.load_roster()?.map_err(|reason| RepositoryError::LockLost(reason.to_string()))?;
        roster.exclusive.remove(&self.own);
        roster.shared.insert(self.own.clone());
        roster.save(&*self.disk, &self.roster)?;
        self.here.add_reader();
        self.exclusive = false;
        self.release_directory()
    }

    /// Requires that the exclusive lock is still ours.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::LockLost`] if somebody has broken it; another writer may be at work then.
    pub(crate) fn verify(&self) -> Result<(), RepositoryError> {
        if self.exclusive && self.directory.is_own()? {
            return Ok(());
        }
        let holder = match self.directory.holder()? {
            Some(holder) => format!("{holder} has it now"),
            None => "nobody has it now".to_owned(),
        };
        Err(RepositoryError::LockLost(holder))
    }

    fn take_shared(&mut self, limit: Option<Duration>) -> Result<(), RepositoryError> {
        self.wait_for(limit, |lock| {
            lock.with_roster(|lock, mut roster| {
                roster.shared.insert(lock.own.clone());
                roster.save(&*lock.disk, &lock.roster)?;
                lock.here.add_reader();
                Ok(Attempt::Done)
            })
        })
    }

    fn take_exclusive(&mut self, limit: Option<Duration>) -> Result<(), RepositoryError> {
        // Set when this upgrades: our own reading does not keep us from writing, another handle's does.
        let was_reader = self.here.is_reader();
        self.wait_for(limit, |lock| {
            lock.with_roster(|lock, mut roster| {
                if was_reader && lock.here.readers() == 1 {
                    roster.shared.remove(&lock.own);
                }
                if !roster.shared.is_empty() {
                    return Ok(Attempt::Held(Holder::Readers(roster.shared.into_iter().collect())));
                }
                roster.exclusive.insert(lock.own.clone());
                if let Err(error) = roster.save(&*lock.disk, &lock.roster) {
                    if was_reader {
                        // It may have been replaced all the same, and this goes on reading.
                        roster.exclusive.remove(&lock.own);
                        roster.shared.insert(lock.own.clone());
                        let _ = roster.save(&*lock.disk, &lock.roster);
                    }
                    return Err(error.into());
                }
                if was_reader {
                    lock.here.remove_reader();
                }
                lock.exclusive = true;
                Ok(Attempt::Done)
            })
        })
    }

    /// Takes the directory, lets `change` look at the roster, and gives the directory back unless it has become the
    /// exclusive lock.
    fn with_roster(
        &mut self,
        change: impl FnOnce(&mut Self, Roster) -> Result<Attempt, RepositoryError>,
    ) -> Result<Attempt, RepositoryError> {
        if let Some(holder) = self.take_directory()? {
            return Ok(Attempt::Held(holder));
        }
        let result = match self.load_roster() {
            Ok(Ok(roster)) => change(self, roster),
            Ok(Err(holder)) => Ok(Attempt::Held(holder)),
            Err(error) => Err(error),
        };
        if !self.exclusive {
            self.release_directory()?;
        }
        result
    }

    fn release_directory(&self) -> Result<(), RepositoryError> {
        let released = self.directory.release();
        // Not before the file is gone: the next handle would take it for one that is left over.
        self.here.release_directory();
        Ok(released?)
    }

    /// Tries to take the directory once; returns who has it, if that fails.
    fn take_directory(&mut self) -> Result<Option<Holder>, RepositoryError> {
        if !self.here.take_directory() {
            return Ok(Some(Holder::Exclusive(self.own.clone())));
        }
        let taken = self.directory.try_take(&*self.identity);
        if !matches!(taken, Ok(None)) {
            self.here.release_directory();
        }
        Ok(taken?)
    }

    /// The roster without our own dead, and without what an earlier, failed attempt left of ourselves; the holder it
    /// stands for, if it cannot be read.
    fn load_roster(&self) -> Result<Result<Roster, Holder>, RepositoryError> {
        let mut roster = match Roster::load(&*self.disk, &self.roster)? {
            Ok(roster) => roster,
            Err(reason) => return Ok(Err(Holder::UnreadableRoster(reason))),
        };
        roster.remove_dead(|holder| *holder != self.own && self.identity.is_dead(holder));
        roster.exclusive.remove(&self.own);
        if self.here.readers() == 0 {
            roster.shared.remove(&self.own);
        }
        Ok(Ok(roster))
    }

    fn wait_for(
        &mut self,
        limit: Option<Duration>,
        mut attempt: impl FnMut(&mut Self) -> Result<Attempt, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let start = self.waiting.clock.monotonic();
        // Who was named last, and how long the wait had taken then.
        let mut told: Option<(Holder, Duration)> = None;
        let mut previous = None;
        loop {
            let holder = match attempt(self)? {
                Attempt::Done => return Ok(()),
                Attempt::Held(holder) => holder,
            };
            let waited = self.waiting.clock.monotonic().saturating_sub(start);
            if limit.is_some_and(|limit| waited >= limit) {
                let waited_seconds = waited.as_secs();
                return Err(RepositoryError::LockTimeout { holder: holder.to_string(), waited_seconds });
            }
            if self.waiting.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            // Others who wait hold the directory for a moment now and then; only who is seen twice is news.
            let is_news = told.as_ref().is_none_or(|(named, at)| {
                waited.saturating_sub(*at) >= NAME_AGAIN || (*named != holder && previous.as_ref() == Some(&holder))
            });
            if is_news {
                if let Some(tell) = &self.waiting.on_wait {
                    tell(&holder);
                }
                told = Some((holder.clone(), waited));
            }
            previous = Some(holder);
            self.waiting.clock.sleep(limit.map_or(POLL, |limit| POLL.min(limit.saturating_sub(waited))));
        }
    }

    fn release(&mut self) -> Result<(), RepositoryError> {
        if self.exclusive {
            self.exclusive = false;
            let released = self.release_exclusive();
            self.here.release_directory();
            return released;
        }
        if !self.here.is_reader() {
            return Ok(());
        }
        if self.here.remove_reader() > 0 {
            // Another handle of this process reads on, under the same name.
            return Ok(());
        }
        // A stop that was asked for is no reason to leave the lock behind.
        let stop = std::mem::take(&mut self.waiting.stop);
        self.waiting.on_wait = None;
        let released = self.wait_for(Some(RELEASE_WAIT), |lock| {
            lock.with_roster(|lock, mut roster| {
                roster.shared.remove(&lock.own);
                roster.save(&*lock.disk, &lock.roster)?;
                Ok(Attempt::Done)
            })
        });
        self.waiting.stop = stop;
        released
    }

    fn release_exclusive(&self) -> Result<(), RepositoryError> {
        if !self.directory.is_own()? {
            // Broken, and perhaps somebody else's by now: roster and directory are no longer ours to change.
            return Err(RepositoryError::LockLost("it was gone when it was to be given back".into()));
        }
        // The directory is what holds others off, so it goes whatever becomes of the roster.
        let signed_off = self.load_roster().and_then(|roster| match roster {
            Ok(roster) => Ok(roster.save(&*self.disk, &self.roster)?),
            Err(_) => Ok(()),
        });
        self.directory.release()?;
        signed_off
    }
}

impl Drop for RepositoryLock {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            warn!("cannot give back the repository's lock: {}", error_text(&error));
        }
    }
}

/// What came of one try to take a lock.
enum Attempt {
    Done,
    Held(Holder),
}

/// Removes whatever locks the repository in `path`, whoever holds it. This is the user's word that nobody does;
/// nothing in here or above may say it for them. Returns whether it was locked.
pub fn break_lock(disk: &dyn Disk, path: &Path) -> Result<bool, RepositoryError> {
    match disk.metadata(path) {
        Ok(metadata) if metadata.kind == EntryKind::Directory => {}
        Ok(_) => {
            let (path, reason) = (path.display().to_string(), "it is no directory".to_owned());
            return Err(RepositoryError::NotARepository { path, reason });
        }
        Err(error) if error.is_not_found() => return Err(RepositoryError::DoesNotExist(path.display().to_string())),
        Err(error) => return Err(error.into()),
    }
    let roster = path.join("lock.roster");
    // Stock leaves one that names nobody.
    let names_nobody = Roster::load(disk, &roster).is_ok_and(|roster| roster == Ok(Roster::default()));
    disk::remove_if_there(disk, &roster)?;
    let had_directory = directory::break_lock(disk, path)?;
    Ok(had_directory || !names_nobody)
}

#[cfg(test)]
mod model;
