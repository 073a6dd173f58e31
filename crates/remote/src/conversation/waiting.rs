//! Waiting for an answer, and what ends it: a stop, the end of patience, the end of the link, or a server that is silent for so
//! long that it must be dead.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;
use worldkeeper_core::Stop;
use worldkeeper_rpc::{Call, Client, Method, MsgId, RequestError};

use super::shared::{Shared, Stage, State};

/// Until when an answer is waited for; the end of the link always ends it.
#[derive(Clone, Copy)]
pub(crate) enum Until<'a> {
    /// It comes, or somebody asks to stop.
    Stop(&'a Stop),
    /// It comes, or so much time has passed.
    Patience(Duration),
    /// It comes: what is under way must not be left halfway.
    Answered,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The link is gone.
    Lost(String),
    /// A stop was asked for.
    Stopped,
    /// It took too long.
    Impatient,
    /// This cannot be asked.
    Refused(RequestError),
    /// The other machine has no such server.
    NoServer(String),
}

impl Shared {
    /// Waits until `look` sees what it looks for.
    pub(super) fn wait_for<T>(
        &self,
        until: Until<'_>,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, Broken> {
        let began = self.options.clock.monotonic();
        let mut state = self.lock();
        loop {
            if let Some(seen) = look(&mut state) {
                return Ok(seen);
            }
            if let Some(reason) = &state.lost {
                return Err(Broken::Lost(reason.clone()));
            }
            match until {
                Until::Stop(stop) if stop.is_requested() => return Err(Broken::Stopped),
                Until::Patience(patience) if self.options.clock.monotonic().saturating_sub(began) > patience => {
                    return Err(Broken::Impatient);
                }
                _ => {}
            }
            self.tell_of_silence(&mut state);
            if let Some(reason) = self.too_silent(&state) {
                drop(state);
                self.end(reason);
                self.cut.notify_one();
                state = self.lock();
                continue;
            }
            state = self.wait(state);
        }
    }

    /// Makes a request as soon as the window has room for it.
    pub(super) fn with_room(
        &self,
        call: &Call,
        until: Until<'_>,
        mut ask: impl FnMut(&mut Client) -> Result<MsgId, RequestError>,
    ) -> Result<MsgId, Broken> {
        self.wait_for(until, |state| {
            if state.lost.is_some() || !state.client.has_room(call) {
                return None;
            }
            state.is_asked(self.options.clock.monotonic());
            Some(ask(&mut state.client).map_err(Broken::Refused))
        })?
    }

    /// Waits until something has changed, or for a tick.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Says from time to time what is waited for. It may be well; it may be a disk that hangs.
    fn tell_of_silence(&self, state: &mut State) {
        let silent = self.options.clock.monotonic().saturating_sub(state.moved);
        if silent >= state.tell_after
            && let Some(oldest) = state.client.unanswered().next()
        {
            state.tell_after = silent * 2;
            warn!(
                "the server has said nothing for {} min, and {} is not answered yet",
                silent.as_secs() / 60,
                oldest.method
            );
        }
    }

    /// Why a server that says nothing is taken for dead, if it is.
    ///
    /// One that checks, compacts or waits for a lock is silent for minutes, and lives; so is one that replays, which many do when
    /// they are asked for an object for the first time. What is on its way to it may take as long as a slow line takes.
    fn too_silent(&self, state: &State) -> Option<String> {
        let on_its_way = state.client.unanswered_bytes() as u64 / SLOWEST_LINE;
        let limit = self.options.silence? + Duration::from_secs(on_its_way);
        let silent = self.options.clock.monotonic().saturating_sub(state.moved);
        let oldest = state.client.unanswered().next()?;
        let is_short = !matches!(
            oldest.method,
            Method::Open | Method::Commit | Method::Check | Method::Rollback | Method::Destroy | Method::BreakLock
        );
        (is_short && state.stage == Stage::Loaded && silent > limit)
            .then(|| format!("nothing has come for {} s, although {} was asked", silent.as_secs(), oldest.method))
    }
}

/// How often whoever waits looks whether there is still a reason to.
const TICK: Duration = Duration::from_millis(100);
/// In bytes a second: 64 kbit/s.
const SLOWEST_LINE: u64 = 8_000;
/// How long a server is silent before somebody is told for the first time.
pub(super) const QUIET: Duration = Duration::from_mins(5);
