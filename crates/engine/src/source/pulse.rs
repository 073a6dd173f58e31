//! Where the walk is, for somebody who watches whether it goes on.
//!
//! A file system that is gone (a server that went away, a FUSE process that hangs) does not fail: whoever asks it
//! something waits for ever, and nothing can call him back. So whoever reads says what is asked about before it asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use worldkeeper_core::append;

/// What a reader says and a watcher hears; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Pulse {
    state: Arc<Mutex<Beat>>,
    #[cfg(test)]
    hook: Option<Hook>,
}

/// What a test does when something is asked about.
#[cfg(test)]
type Hook = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// What the reader did last.
#[derive(Debug, Default)]
struct Beat {
    /// Counts what it did: as long as this is the same, it does not get on.
    number: u64,
    /// It waits for the rest of the pipeline, not for a file system.
    waits: bool,
    /// What it asks about, as walked.
    path: Vec<u8>,
}

impl Pulse {
    /// The file system is about to be asked about `path`.
    pub(crate) fn at(&self, path: &[u8]) {
        let mut beat = self.beat();
        beat.number += 1;
        beat.path.clear();
        append(&mut beat.path, path);
        drop(beat);
        #[cfg(test)]
        if let Some(hook) = &self.hook {
            hook(path);
        }
    }

    /// The same path still, and the file system has answered: more of a file, more names of a directory.
    pub(crate) fn goes_on(&self) {
        self.beat().number += 1;
    }

    /// Does something that may take long and is no file system's fault.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.beat().waits = true;
        let waited = wait();
        let mut beat = self.beat();
        beat.waits = false;
        beat.number += 1;
        waited
    }

    /// The last beat, if it is another one than that of this number.
    pub(crate) fn since(&self, number: u64) -> Option<u64> {
        let beat = self.beat();
        (beat.waits || beat.number != number).then_some(beat.number)
    }

    /// What is asked about.
    pub(crate) fn path(&self) -> Vec<u8> {
        self.beat().path.clone()
    }

    /// One whose [`at`](Self::at) does something more, such as hanging.
    #[cfg(test)]
    pub(crate) fn with_hook(hook: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)), ..Self::default() }
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.beat().fmt(f)
    }
}
