//! A disk in memory that fails on command: at a chosen call, when it is full, or by losing power.
//!
//! It keeps apart what is there and what is durable, and can record every state it went through, so that one run of
//! something gives all the moments at which it may be interrupted.

mod files;
mod power;
mod state;

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use worldkeeper_core::DiskError;

pub use power::Tail;
use state::{Node, State};

/// An error to return instead of doing what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The call that fails, counted from 1; only calls that change something count.
    pub call: usize,
    /// How it fails.
    pub kind: ErrorKind,
    /// All calls from there on fail, too.
    pub for_ever: bool,
}

/// An error to return instead of what was to be read.
#[derive(Clone, Debug)]
pub struct ReadFault {
    /// The first call that may fail, counted from 1; only calls that read count, and opening does not.
    pub call: usize,
    /// Files elsewhere can be read.
    pub below: PathBuf,
    /// How it fails.
    pub kind: ErrorKind,
    /// All calls from there on fail, too.
    pub for_ever: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// An empty disk that never fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls have changed something, or tried to.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many calls have read something, or tried to.
    pub fn reads(&self) -> usize {
        self.state().reads
    }

    /// Makes a call fail, counted from now on; `None` heals the disk.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.calls = 0;
        state.fault = fault;
    }

    /// Makes reading fail, counted from now on; `None` heals the disk.
    pub fn fail_reads(&self, fault: Option<ReadFault>) {
        let mut state = self.state();
        state.reads = 0;
        state.read_fault = fault;
    }

    /// Once `calls` more calls have changed something, says of everything below `path` that it was synced, and does not
    /// do it.
    pub fn lie_about(&self, path: &Path, calls: usize) {
        let mut state = self.state();
        state.calls = 0;
        state.lies = Some((path.to_owned(), calls));
    }

    /// Limits how many bytes all files together may have, each rounded up to whole blocks.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// How many bytes all files together have, each rounded up to whole blocks.
    pub fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// Keeps, from now on, what the disk is before each call that changes something. Calls are counted from here.
    pub fn record(&self) {
        let mut state = self.state();
        state.calls = 0;
        state.history = Some(Vec::new());
    }

    /// Ends the recording. Element `n` is the disk after `n` calls, the last one what it is now.
    pub fn recorded(&self) -> Vec<Self> {
        let mut state = self.state();
        let mut states = state.history.take().unwrap_or_default();
        states.push(state.clone());
        states.into_iter().map(|state| Self(Arc::new(Mutex::new(state)))).collect()
    }

    /// The content of every file there ever was, removed ones included.
    pub fn every_file(&self) -> Vec<Arc<Vec<u8>>> {
        let content = |node: &Node| match node {
            Node::File { content, .. } => Some(Arc::clone(content)),
            Node::Directory { .. } => None,
        };
        self.state().nodes.values().filter_map(content).collect()
    }

    /// What is left when the process is killed: everything it did.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.state().clone();
        state.fault = None;
        state.read_fault = None;
        state.lies = None;
        state.history = None;
        state.locks.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    /// What may be left when the power fails; each seed picks one of the possibilities.
    #[must_use]
    pub fn after_power_failure(&self, seed: u64) -> Self {
        let disk = self.after_kill();
        power::fail(&mut disk.state(), seed);
        disk.state().settle();
        disk
    }

    /// How many bytes of the file that is being written are not durable; if it is more than one, of the youngest.
    pub fn unsynced_bytes(&self) -> usize {
        power::written(&self.state()).map_or(0, |(_, _, bytes)| bytes)
    }

    /// What is left when the power fails and everything reaches the disk but the end of that file: what begins `at` bytes
    /// behind what is durable of it.
    #[must_use]
    pub fn after_torn_write(&self, at: usize, tail: Tail, seed: u64) -> Self {
        let disk = self.after_kill();
        power::cut(&mut disk.state(), at, tail, seed);
        disk.state().settle();
        disk
    }

    /// A number for what is on the disk, under its names: the same for the same.
    pub fn fingerprint(&self) -> u64 {
        self.state().fingerprint()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn act<T>(
        &self,
        action: &'static str,
        path: &Path,
        act: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, DiskError> {
        act(&mut self.state()).map_err(|error| DiskError::new(action, path, error))
    }
}
