//! Threads that hang in a file system, and that their runs have left behind.
//!
//! Nothing ends them but an answer. A process that runs for months, and tries again every hour, would gather them: from
//! a few on it asks no more until one has got its answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use jiff::Timestamp;

use super::CreateError;

/// A list of such threads; clones share it.
#[derive(Clone, Default)]
pub(super) struct LeftBehind(Arc<Mutex<Vec<Thread>>>);

/// One that hung when its run ended.
struct Thread {
    /// Is there as long as the thread is.
    life: Weak<()>,
    path: Vec<u8>,
    since: Timestamp,
}

impl LeftBehind {
    /// How many may hang when one more is about to ask: one for each of the first tries, and for a mount or two.
    pub(super) const MAX: usize = 4;

    /// Those of this process.
    pub(super) fn of_this_process() -> Self {
        static REGISTER: LazyLock<LeftBehind> = LazyLock::new(LeftBehind::default);
        REGISTER.clone()
    }

    /// Those of this process that asked by [`ask_about`](super::ask_about) about this path.
    pub(super) fn about(path: &Path) -> Self {
        static REGISTERS: Mutex<BTreeMap<PathBuf, LeftBehind>> = Mutex::new(BTreeMap::new());
        let mut registers = REGISTERS.lock().unwrap_or_else(PoisonError::into_inner);
        registers.entry(path.to_owned()).or_default().clone()
    }

    /// A thread asks about `path` since then, and nobody waits for it any more.
    pub(super) fn add(&self, life: Weak<()>, path: Vec<u8>, since: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Thread { life, path, since });
    }

    /// Requires that not too many hang.
    pub(super) fn require_few(&self) -> Result<(), CreateError> {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.life.strong_count() > 0);
        match threads.first() {
            Some(first) if threads.len() >= Self::MAX => {
                Err(CreateError::Stuck { count: threads.len(), path: first.path.clone(), since: first.since })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_got_an_answer_does_not_count() {
        let (left_behind, since) = (LeftBehind::default(), "2030-01-01T00:00:00Z".parse().unwrap());
        let mut lives: Vec<_> = (0..LeftBehind::MAX).map(|_| Arc::new(())).collect();
        for (number, life) in lives.iter().enumerate() {
            left_behind.require_few().unwrap();
            left_behind.add(Arc::downgrade(life), number.to_string().into_bytes(), since);
        }
        let error = left_behind.require_few().unwrap_err();
        assert_eq!(
            error.to_string(),
            "4 threads of earlier runs still wait for a file system to answer, the first about 0 since \
             2030-01-01T00:00:00Z"
        );
        lives.pop();
        left_behind.require_few().unwrap();
    }
    #[test]
    fn a_path_that_hangs_takes_the_places_of_no_other() {
        let (hanging, life) = (LeftBehind::about("/hanging".as_ref()), Arc::new(()));
        for _ in 0..LeftBehind::MAX {
            hanging.add(Arc::downgrade(&life), b"/hanging".to_vec(), Timestamp::UNIX_EPOCH);
        }
        assert!(LeftBehind::about("/hanging".as_ref()).require_few().is_err());
        LeftBehind::about("/other".as_ref()).require_few().unwrap();
        LeftBehind::of_this_process().require_few().unwrap();
    }
}
