//! Threads that hang in a file system, and that their runs have left behind.
//!
//! Nothing ends them but an answer. A process that runs for months, and tries again every hour, would gather them: from
//! a few on it asks no more until one has got its answer.

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
}
