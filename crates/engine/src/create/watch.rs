//! The watch over whoever asks the file systems of a tree: one that does not answer must not hold the run, its lock and
//! the game for ever.
//!
//! Nothing ends a thread that hangs in the kernel. So those that ask are threads of their own, which own what they use; a
//! run that ends because one of them hangs [leaves it behind](super::left_behind), and it ends when it is answered.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use jiff::SignedDuration;
use worldkeeper_core::{Clock, Stop};

use super::CreateError;
use super::left_behind::LeftBehind;
use crate::session::SessionError;
use crate::source::Pulse;

/// Does something that asks a file system about `path`, on a thread of its own.
///
/// # Errors
///
/// [`CreateError::Hangs`] if that takes longer than `limit`, which is as [`CreateOptions::read_timeout`],
/// [`CreateError::Stuck`] if nothing was asked because too many wait for an answer already, and
/// [`SessionError::Stopped`] if nobody wants to wait any more.
///
/// [`CreateOptions::read_timeout`]: super::CreateOptions::read_timeout
pub fn ask<T: Send + 'static>(
    path: &Path,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CreateError> {
    ask_from(LeftBehind::of_this_process(), path, clock, stop, limit, work)
}

/// As [`ask`], where only those count as too many that wait for an answer about the same path: what is no source, and may
/// hang, must not keep the sources from being asked.
///
/// # Errors
///
/// As [`ask`].
pub fn ask_about<T: Send + 'static>(
    path: &Path,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CreateError> {
    ask_from(LeftBehind::about(path), path, clock, stop, limit, work)
}

fn ask_from<T: Send + 'static>(
    left_behind: LeftBehind,
    path: &Path,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CreateError> {
    let pulse = Pulse::default();
    pulse.at(path.as_os_str().as_bytes());
    Watch::new(clock, stop, limit, pulse, left_behind).apart("asks", work)
}

/// Waits for what comes from a thread that asks file systems, as long as it gets on.
pub(crate) struct Watch {
    clock: Arc<dyn Clock>,
    stop: Stop,
    /// How long the thread may hang; zero for ever.
    limit: Duration,
    pulse: Pulse,
    /// The last beat of the pulse, how long it has been that, and when somebody looked.
    beat: u64,
    hanging: Duration,
    looked: Duration,
    /// Is there as long as the thread is that has something to do.
    thread: Weak<()>,
    left_behind: LeftBehind,
}

impl Watch {
    /// Over threads that say to `pulse` what they are at.
    pub(super) fn new(
        clock: &Arc<dyn Clock>,
        stop: &Stop,
        limit: Duration,
        pulse: Pulse,
        left_behind: LeftBehind,
    ) -> Self {
        let (looked, thread) = (clock.monotonic(), Weak::new());
        let (clock, stop, hanging) = (Arc::clone(clock), stop.clone(), Duration::ZERO);
        Self { clock, stop, limit, pulse, beat: 0, hanging, looked, thread, left_behind }
    }

    /// Over threads that take as long as they take.
    pub(crate) fn patient(clock: &Arc<dyn Clock>, stop: &Stop) -> Self {
        Self::new(clock, stop, Duration::ZERO, Pulse::default(), LeftBehind::of_this_process())
    }

    /// What the threads say what they are at to.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Does something on a thread of its own.
    pub(super) fn apart<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CreateError> {
        self.left_behind.require_few()?;
        let (done, result) = crossbeam_channel::bounded(1);
        // Nobody listens any more if it hung.
        self.spawn(name, move || _ = done.send(work()));
        let result = self.receive(&result)?.expect("whoever panicked has said so");
        self.done();
        Ok(result)
    }

    /// Starts the thread that is watched from now on. It may hang, and nobody waits for its end.
    pub(super) fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) {
        let life = Arc::new(());
        self.thread = Arc::downgrade(&life);
        let work = move || {
            work();
            drop(life);
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work);
        thread.expect("the system starts a handful of threads");
    }

    /// The thread has done what it was to do.
    pub(super) fn done(&mut self) {
        self.thread = Weak::new();
    }

    /// The next thing that comes; `None` if nothing can come any more.
    ///
    /// # Errors
    ///
    /// [`CreateError::Hangs`] if it does not come because a file system does not answer, and [`SessionError::Stopped`] if
    /// nobody wants to wait any more.
    pub(super) fn receive<T>(&mut self, from: &Receiver<T>) -> Result<Option<T>, CreateError> {
        loop {
            match from.recv_timeout(LOOK_EVERY) {
                Ok(next) => return Ok(Some(next)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if self.stop.is_requested() => return Err(SessionError::Stopped.into()),
                Err(RecvTimeoutError::Timeout) => self.look(self.clock.monotonic())?,
            }
        }
    }

    fn look(&mut self, now: Duration) -> Result<(), CreateError> {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        if let Some(beat) = self.pulse.since(self.beat) {
            (self.beat, self.hanging) = (beat, Duration::ZERO);
            return Ok(());
        }
        // Who has ended asks nothing; what it handed over takes the others as long as it takes.
        if self.thread.strong_count() == 0 {
            self.hanging = Duration::ZERO;
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

impl Drop for Watch {
    /// However the run ends: a thread that is not done and still there is left behind.
    fn drop(&mut self) {
        if self.thread.strong_count() > 0 {
            let now = self.clock.now();
            let since = SignedDuration::try_from(self.hanging).ok().and_then(|hanging| now.checked_sub(hanging).ok());
            self.left_behind.add(std::mem::take(&mut self.thread), self.pulse.path(), since.unwrap_or(now));
        }
    }
}

/// How often somebody looks, as long as nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest time that counts as having been waited from one look to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use worldkeeper_testkit::clock::ManualClock;

    use super::*;

    #[test]
    fn who_hangs_is_given_up_and_who_has_ended_does_not_hang() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
        let (limit, left_behind) = (Duration::from_secs(3), LeftBehind::default());
        let mut watch = Watch::new(&clock, &Stop::default(), limit, Pulse::default(), left_behind);
        let (hold, held) = crossbeam_channel::bounded::<()>(0);
        watch.spawn("reader", move || _ = held.recv());
        let mut look = {
            let mut seconds = 0;
            move |watch: &mut Watch| {
                seconds += 1;
                watch.look(Duration::from_secs(seconds))
            }
        };
        watch.looked = Duration::ZERO;
        assert!(look(&mut watch).is_ok() && look(&mut watch).is_ok());
        assert!(matches!(look(&mut watch), Err(CreateError::Hangs { seconds: 3, .. })));
        drop(hold);
        while watch.thread.strong_count() > 0 {
            std::thread::yield_now();
        }
        // What it handed over may take the others longer than that.
        (0..5).for_each(|_| look(&mut watch).unwrap());
    }
}
