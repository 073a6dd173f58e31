//! The watch over whoever reads the tree: a file system that does not answer must not hold the run, its lock and the
//! game for ever.
//!
//! Nothing ends a thread that hangs in the kernel. So those that read a tree are threads of their own, which own what
//! they use; a run that ends because one of them hangs leaves it behind, and it ends when it is answered.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::CreateError;
use crate::session::Session;
use crate::source::Pulse;

/// Waits for what comes from a thread that reads the tree, as long as it gets on.
pub(super) struct Watch<'a> {
    session: &'a Session,
    pulse: Pulse,
    /// How long the thread may hang; zero for ever.
    limit: Duration,
    /// The last beat of the pulse, how long it has been that, and when somebody looked.
    beat: u64,
    hanging: Duration,
    looked: Duration,
}

impl<'a> Watch<'a> {
    pub(super) fn new(session: &'a Session, pulse: Pulse, limit: Duration) -> Self {
        Self { session, pulse, limit, beat: 0, hanging: Duration::ZERO, looked: session.monotonic() }
    }

    /// Does something in a thread of its own that asks the tree's file systems.
    pub(super) fn apart<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CreateError> {
        let (done, result) = crossbeam_channel::bounded(1);
        // Nobody listens any more if it hung.
        spawn(name, move || _ = done.send(work()));
        Ok(self.receive(&result)?.expect("whoever panicked has said so"))
    }

    /// The next thing that comes; `None` if nothing can come any more.
    ///
    /// # Errors
    ///
    /// [`CreateError::Hangs`] if it does not come because a file system does not answer, and
    /// [`SessionError::Stopped`](crate::SessionError::Stopped) if nobody wants to wait any more.
    pub(super) fn receive<T>(&mut self, from: &Receiver<T>) -> Result<Option<T>, CreateError> {
        loop {
            match from.recv_timeout(LOOK_EVERY) {
                Ok(next) => return Ok(Some(next)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    self.session.check_stop()?;
                    self.look(self.session.monotonic())?;
                }
            }
        }
    }

    fn look(&mut self, now: Duration) -> Result<(), CreateError> {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        if let Some(beat) = self.pulse.since(self.beat) {
            (self.beat, self.hanging) = (beat, Duration::ZERO);
            return Ok(());
        }
        // When more than that has passed, it was we who did not get on: the container was paused, or the writer at work.
        self.hanging += passed.min(BETWEEN_LOOKS);
        if self.limit.is_zero() || self.hanging < self.limit {
            return Ok(());
        }
        Err(CreateError::Hangs { path: self.pulse.path(), seconds: self.limit.as_secs() })
    }
}

/// Starts a thread that may hang, and that nobody waits for.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.expect("the system starts a handful of threads");
}

/// How often somebody looks, as long as nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest time that counts as having been waited from one look to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
