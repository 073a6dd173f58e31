//! Which locks this process holds.
//!
//! All handles of a process carry one name in the lock files, so the files cannot tell them apart: a second handle
//! would take the first one's lock for its own, and the first of two readers to close would sign off the other. This
//! register tells them apart.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use worldkeeper_core::lock::LockId;

use crate::sync::lock;

static REGISTER: LazyLock<Mutex<HashMap<Key, Held>>> = LazyLock::new(Mutex::default);

type Key = (PathBuf, LockId);

#[derive(Default)]
struct Held {
    /// One of our handles has the lock directory.
    directory: bool,
    /// How many of our handles read.
    readers: usize,
}

/// One handle's view of the register.
pub(super) struct HeldHere {
    key: Key,
    is_reader: bool,
}

impl HeldHere {
    /// For the repository at a path without symlinks, under the name that is written into its locks.
    pub(super) fn new(repository: PathBuf, own: LockId) -> Self {
        Self { key: (repository, own), is_reader: false }
    }

    /// Claims the lock directory among the handles of this process; `false` if another one has it.
    pub(super) fn take_directory(&self) -> bool {
        self.change(|held| !std::mem::replace(&mut held.directory, true))
    }

    /// Gives the claim back.
    pub(super) fn release_directory(&self) {
        self.change(|held| held.directory = false);
    }

    /// Counts this handle among the readers.
    pub(super) fn add_reader(&mut self) {
        self.is_reader = true;
        self.change(|held| held.readers += 1);
    }

    /// Takes this handle out of the readers; returns how many are left.
    pub(super) fn remove_reader(&mut self) -> usize {
        let was_reader = std::mem::take(&mut self.is_reader);
        self.change(|held| {
            held.readers -= usize::from(was_reader);
            held.readers
        })
    }

    /// Returns whether this handle reads.
    pub(super) fn is_reader(&self) -> bool {
        self.is_reader
    }

    /// How many handles of this process read.
    pub(super) fn readers(&self) -> usize {
        self.change(|held| held.readers)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut register = lock(&REGISTER);
        let held = register.entry(self.key.clone()).or_default();
        let result = change(held);
        if !held.directory && held.readers == 0 {
            register.remove(&self.key);
        }
        result
    }
}
