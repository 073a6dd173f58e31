//! A session with a server: many threads ask, one pipe carries.
//!
//! Whoever asks leaves the request with the client half and sleeps until its answer has come. One thread sends what the
//! client half has to send, another takes in what comes; neither ever waits for the other, so that a server that waits
//! to be read is read, however much there is to send.

mod ahead;
mod heard;
mod log;
mod shared;
mod threads;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::repository::Announced;
use worldkeeper_core::{ChunkId, Clock, Stop};
use worldkeeper_rpc::stderr::Line;
use worldkeeper_rpc::{Call, MsgId, Outcome, RemoteError, Version, Window};

use crate::Link;
use heard::Heard;
use shared::{Shared, Stage};
pub(crate) use waiting::{Broken, Until};

/// What a session is begun with.
#[derive(Clone)]
pub(crate) struct ConversationOptions {
    /// How much may be under way.
    pub(crate) window: Window,
    /// How long a server may be silent that has something short to answer; `None` where the link itself notices.
    pub(crate) silence: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A session with a server. Dropping it closes the link, and waits a little for the server to give its lock back.
pub(crate) struct Conversation {
    shared: Arc<Shared>,
}

/// How long a server may take to introduce itself: a disk may have to wake up first, or a person to say who they are.
const INTRODUCTION: Duration = Duration::from_mins(5);

fn late() -> Broken {
    Broken::Lost(format!("the server has not introduced itself for {} min", INTRODUCTION.as_secs() / 60))
}

/// How many ticks of waiting a server may take to end.
const PARTING_TICKS: usize = 100;

impl Conversation {
    /// Begins a session as this version of borg, and waits for the server to introduce itself.
    pub(crate) fn begin(
        link: Link,
        version: &Version,
        options: ConversationOptions,
        stop: &Stop,
    ) -> Result<Self, Broken> {
        let conversation = Self { shared: Arc::new(Shared::new(version, options)) };
        threads::start(&conversation.shared, link);
        let clock = &conversation.shared.options.clock;
        let began = clock.monotonic();
        let begun = conversation.shared.wait_for(Until::Stop(stop), |state| {
            let is_late = clock.monotonic().saturating_sub(began) > INTRODUCTION;
            state.client.server_version().map(|_| Ok(())).or_else(|| is_late.then(|| Err(late())))
        });
        match begun.flatten() {
            Ok(()) => Ok(conversation),
            Err(Broken::Lost(reason)) if conversation.shared.lock().is_command_missing => Err(Broken::NoServer(reason)),
            Err(broken) => {
                // It has no lock to give back yet.
                conversation.cut("the server has not introduced itself");
                Err(broken)
            }
        }
    }

    /// The server's version.
    pub(crate) fn server_version(&self) -> String {
        self.shared.lock().client.server_version().map(ToString::to_string).unwrap_or_default()
    }

    /// Returns why nothing comes any more, if so.
    pub(crate) fn lost(&self) -> Option<String> {
        self.shared.lock().lost.clone()
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, call: &Call, until: Until<'_>) -> Result<Outcome, Broken> {
        let asked = self.request(call, until)?;
        self.answer(asked, until)
    }

    /// Asks; [`answer`](Self::answer) gives the answer, and must be called.
    pub(crate) fn request(&self, call: &Call, until: Until<'_>) -> Result<MsgId, Broken> {
        let asked = self.shared.with_room(call, until, |client| client.request(call))?;
        self.shared.to_send.notify_one();
        Ok(asked)
    }

    /// Waits for an answer.
    pub(crate) fn answer(&self, asked: MsgId, until: Until<'_>) -> Result<Outcome, Broken> {
        self.shared.wait_for(until, |state| state.answers.remove(&asked))
    }

    /// Asks, and tells `each` what the server says meanwhile on its error stream.
    pub(crate) fn ask_listening(
        &self,
        call: &Call,
        until: Until<'_>,
        each: &mut dyn FnMut(Line),
    ) -> Result<Outcome, Broken> {
        self.shared.lock().heard = Some(Heard::default());
        let asked = self.request(call, until);
        let result = asked.and_then(|asked| {
            loop {
                // Told without the lock, for it may take long.
                let next = self.shared.wait_for(until, |state| {
                    let line = state.heard.as_mut().and_then(Heard::pop);
                    line.map(Err).or_else(|| state.answers.remove(&asked).map(Ok))
                })?;
                match next {
                    Err(line) => each(line),
                    Ok(outcome) => return Ok(outcome),
                }
            }
        });
        let mut rest = self.shared.lock().heard.take().unwrap_or_default();
        std::iter::from_fn(|| rest.pop()).for_each(each);
        result
    }

    /// Sends a PUT or a DELETE and does not wait for the answer, only for room in the window.
    /// [`refused`](Self::refused) tells whether one has failed.
    pub(crate) fn post(&self, call: &Call, until: Until<'_>) -> Result<(), Broken> {
        self.shared.with_room(call, until, |client| client.post(call))?;
        self.shared.to_send.notify_one();
        Ok(())
    }

    /// Waits until everything that was posted is answered.
    pub(crate) fn settle(&self, until: Until<'_>) -> Result<(), Broken> {
        self.shared.wait_for(until, |state| (state.client.unanswered_posts() == 0).then_some(()))
    }

    /// Takes the first failure of what was posted.
    pub(crate) fn refused(&self) -> Option<RemoteError> {
        self.shared.lock().refused.clone()
    }

    /// Forgets the failure, after a rollback.
    pub(crate) fn forgive(&self) {
        self.shared.lock().refused = None;
    }

    /// Reads an object; one that is on its way is waited for.
    pub(crate) fn get(&self, id: &ChunkId, until: Until<'_>) -> Result<Outcome, Broken> {
        let is_ahead = {
            let mut state = self.shared.lock();
            let is_ahead = state.ahead.is_coming(id);
            if !is_ahead {
                state.ahead.missed(id);
            }
            is_ahead
        };
        if !is_ahead {
            return self.ask(&Call::Get { id: *id }, until);
        }
        let taken = self.shared.wait_for(until, |state| state.ahead.take(id));
        self.shared.pump();
        match taken? {
            Some(outcome) => Ok(outcome),
            // Somebody else was faster.
            None => self.ask(&Call::Get { id: *id }, until),
        }
    }

    /// Says which objects will be asked for next, in which order.
    pub(crate) fn read_ahead(&self, objects: &mut dyn Iterator<Item = Announced>) {
        self.shared.lock().ahead.want(objects);
        self.shared.pump();
    }

    /// Forgets an object that was asked for ahead before it became another one, or was deleted.
    pub(crate) fn forget(&self, id: &ChunkId) {
        self.shared.lock().ahead.forget(id);
    }

    /// Closes the link, and waits a little for the server to give its lock back: whoever opens the repository next need
    /// not wait for it then.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        self.shared.to_send.notify_one();
        for _ in 0..PARTING_TICKS {
            if state.lost.is_some() || state.stage == Stage::Begun {
                // It has no lock to give back, or is gone.
                break;
            }
            state = self.shared.wait(state);
        }
        drop(state);
        self.shared.cut.notify_one();
    }

    /// Cuts the link.
    pub(crate) fn cut(&self, reason: &str) {
        self.shared.end(reason.to_owned());
        self.shared.cut.notify_one();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.close();
    }
}
