//! A process: what it does with the lock, how far it has come, and what its calls were answered.

use std::ffi::OsString;
use std::fmt;
use std::hash::Hash;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::lock::LockId;
use worldkeeper_core::{RepositoryError, Stop, error_text};
use worldkeeper_testkit::disk::MemoryDisk;

use super::super::RepositoryLock;
use super::player::Player;
use crate::options::{Mode, OpenOptions};

/// Where the repository would be.
pub(super) const PATH: &str = "/r";

/// What a process does with the lock, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    /// A reader who becomes a writer if that is possible at once, then a reader again.
    Upgrader,
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Takes,
    Reads,
    Writes,
    /// Between reading and writing, in either direction.
    Changes,
    GivesBack,
    Gone,
    Dead,
}

/// A call and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) path: PathBuf,
    pub(super) answer: Answer,
}

/// What a call returns; of metadata and lists, what the lock could see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Done,
    Failed(ErrorKind),
    Metadata { is_directory: bool, len: u64 },
    Names(Vec<(OsString, bool)>),
    Content(Arc<Vec<u8>>),
    IsDead(bool),
}

/// A process between two of its calls.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) id: LockId,
    pub(super) role: Role,
    pub(super) stage: Stage,
    pub(super) calls: Vec<Call>,
    /// How many stages it has entered, and how many of the calls came before the last, or before the attempt that is being
    /// made in it.
    pub(super) begun: (usize, usize),
    /// How often it has waited.
    pub(super) waits: usize,
    /// What the lock said that must not have failed.
    pub(super) failure: Option<String>,
}

impl Process {
    pub(super) fn new(role: Role, thread: u64) -> Self {
        let id = LockId { host_id: "model@0a1b".into(), process: 7, thread };
        Self { id, role, stage: Stage::Takes, calls: Vec::new(), begun: (0, 0), waits: 0, failure: None }
    }

    /// Returns whether it lives and has something to do.
    pub(super) fn is_at_work(&self) -> bool {
        !matches!(self.stage, Stage::Gone | Stage::Dead)
    }

    /// Kills it.
    pub(super) fn die(&mut self) {
        *self = Self { stage: Stage::Dead, ..Self::new(self.role, self.id.thread) };
    }

    /// What decides how it goes on. From stage to stage it takes along nothing but what it has of the lock, so it does not
    /// matter how it came there, and how often it tried.
    pub(super) fn state(&self) -> impl Hash {
        let (stages, calls) = self.begun;
        (self.stage, stages, self.waits, &self.calls[calls..])
    }

    /// Carries out its next call, and goes on to the one behind it. `is_dead` is what it finds out about others.
    pub(super) fn step(&mut self, disk: &MemoryDisk, is_dead: impl Fn(&LockId) -> bool + Send + 'static) {
        let player = Player::new(self.clone(), disk, is_dead);
        let result = live(&player, self.role);
        let stands_still = player.stands_still();
        *self = player.process();
        match result {
            _ if stands_still => {}
            Ok(()) => (self.calls, self.begun) = (Vec::new(), (0, 0)),
            Err(error) => self.failure = Some(error_text(&error)),
        }
    }
}

/// What it did last, and how far it came by it.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x} {:?}", self.id.thread, self.stage)?;
        match self.calls.last() {
            Some(Call { verb, path, answer }) => write!(f, ": {verb} {}: {answer:?}", path.display()),
            None => Ok(()),
        }
    }
}

/// What the process does from its beginning to its end.
fn live(player: &Player, role: Role) -> Result<(), RepositoryError> {
    let options = OpenOptions {
        mode: Mode::Shared,
        wait: Some(Duration::from_hours(1)),
        on_wait: None,
        identity: Arc::new(player.clone()),
        clock: Arc::new(player.clone()),
        stop: Stop::default(),
    };
    let is_writer = role == Role::Writer;
    let mut lock = RepositoryLock::acquire(Arc::new(player.clone()), Path::new(PATH), is_writer, &options)?;
    player.stay(if is_writer { Stage::Writes } else { Stage::Reads })?;
    if role == Role::Upgrader {
        player.enter(Stage::Changes);
        match lock.upgrade() {
            Ok(()) => {
                player.stay(Stage::Writes)?;
                lock.verify()?;
                player.enter(Stage::Changes);
                lock.downgrade()?;
                player.stay(Stage::Reads)?;
            }
            Err(RepositoryError::LockTimeout { .. }) => {}
            Err(error) => return Err(error),
        }
    } else if is_writer {
        lock.verify()?;
    }
    player.enter(Stage::GivesBack);
    lock.release()?;
    player.enter(Stage::Gone);
    Ok(())
}
