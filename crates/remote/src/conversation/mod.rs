//! A session with a server: many threads ask, one pipe carries.
//!
//! Whoever asks leaves the request with the client half and sleeps until its answer has come. One thread sends what the
//! client half has to send, another takes in what comes; neither ever waits for the other, so that a server that waits
//! to be read is read, however much there is to send.

mod ahead;
mod log;
mod threads;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use worldkeeper_core::{ChunkId, Clock, Stop};
use worldkeeper_rpc::stderr::Line;
use worldkeeper_rpc::{
    Call, Client, Event, Method, MsgId, Outcome, ProtocolError, RemoteError, RequestError, Version, Window,
};

use crate::{Ended, Link};
use ahead::ReadAhead;
use log::ServerLog;

/// What a session is begun with.
#[derive(Clone)]
pub(crate) struct ConversationOptions {
    /// How much may be under way.
    pub(crate) window: Window,
    /// How long a server may be silent that has something short to answer; `None` where the link itself notices.
    pub(crate) silence: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
}

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

/// A session with a server. Dropping it closes the link, and waits a little for the server to give its lock back.
pub(crate) struct Conversation {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something has come, or was sent, or the link has ended.
    changed: Condvar,
    /// There is something to send, or nothing ever will be.
    to_send: Condvar,
    /// The link is to be cut.
    cut: Notify,
    options: ConversationOptions,
}

struct State {
    client: Client,
    /// What was answered, for those who wait for it.
    answers: HashMap<MsgId, Outcome>,
    ahead: ReadAhead,
    /// The first PUT or DELETE that failed since the last rollback.
    refused: Option<RemoteError>,
    /// Why nothing comes any more.
    lost: Option<String>,
    /// No such command was found there.
    is_command_missing: bool,
    /// Nothing more is to be sent.
    is_closing: bool,
    /// When a byte moved last, in either direction.
    moved: Duration,
    log: ServerLog,
    /// Lines of the server, for somebody who listens.
    heard: Option<VecDeque<Line>>,
}

/// What a shell ends with that cannot run a command.
const NOT_EXECUTABLE: u32 = 126;
const NOT_FOUND: u32 = 127;
/// How often whoever waits looks whether there is still a reason to.
const TICK: Duration = Duration::from_millis(100);
/// How many of these a server may take to end.
const PARTING_TICKS: usize = 100;
/// Lines that are kept for somebody who listens and is slow.
const MAX_HEARD: usize = 10_000;

impl Conversation {
    /// Begins a session as this version of borg, and waits for the server to introduce itself.
    pub(crate) fn begin(
        link: Link,
        version: &Version,
        options: ConversationOptions,
        stop: &Stop,
    ) -> Result<Self, Broken> {
        let state = State {
            client: Client::new(version, options.window),
            answers: HashMap::new(),
            ahead: ReadAhead::default(),
            refused: None,
            lost: None,
            is_command_missing: false,
            is_closing: false,
            moved: options.clock.monotonic(),
            log: ServerLog::default(),
            heard: None,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            to_send: Condvar::new(),
            cut: Notify::new(),
            options,
        };
        let conversation = Self { shared: Arc::new(shared) };
        threads::start(&conversation.shared, link);
        let begun = conversation.shared.wait_for(Until::Stop(stop), |state| state.client.server_version().map(drop));
        match begun {
            Ok(()) => Ok(conversation),
            Err(Broken::Lost(reason)) if conversation.shared.lock().is_command_missing => Err(Broken::NoServer(reason)),
            Err(broken) => Err(broken),
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
        self.shared.lock().heard = Some(VecDeque::new());
        let asked = self.request(call, until);
        let result = asked.and_then(|asked| {
            loop {
                // Told without the lock, for it may take long.
                let next = self.shared.wait_for(until, |state| {
                    let line = state.heard.as_mut().and_then(VecDeque::pop_front);
                    line.map(Err).or_else(|| state.answers.remove(&asked).map(Ok))
                })?;
                match next {
                    Err(line) => each(line),
                    Ok(outcome) => return Ok(outcome),
                }
            }
        });
        let rest = self.shared.lock().heard.take();
        rest.into_iter().flatten().for_each(each);
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
    pub(crate) fn read_ahead(&self, ids: &[ChunkId]) {
        self.shared.lock().ahead.want(ids);
        self.shared.pump();
    }

    /// Forgets an object that was read ahead: it is about to be another one, or gone.
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
            if state.lost.is_some() {
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until `look` sees what it looks for.
    fn wait_for<T>(&self, until: Until<'_>, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<T, Broken> {
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
    fn with_room(
        &self,
        call: &Call,
        until: Until<'_>,
        mut ask: impl FnMut(&mut Client) -> Result<MsgId, RequestError>,
    ) -> Result<MsgId, Broken> {
        self.wait_for(until, |state| {
            if state.lost.is_some() || !state.client.has_room(call) {
                return None;
            }
            Some(ask(&mut state.client).map_err(Broken::Refused))
        })?
    }

    /// Why a server that says nothing is taken for dead, if it is.
    ///
    /// One that replays, checks, compacts or waits for a lock is silent for minutes, and lives.
    fn too_silent(&self, state: &State) -> Option<String> {
        let limit = self.options.silence?;
        let silent = self.options.clock.monotonic().saturating_sub(state.moved);
        let oldest = state.client.unanswered().next()?;
        let is_short = !matches!(
            oldest.method,
            Method::Open | Method::Commit | Method::Check | Method::Rollback | Method::Destroy | Method::BreakLock
        );
        (is_short && silent > limit)
            .then(|| format!("nothing has come for {} s, although {} was asked", silent.as_secs(), oldest.method))
    }

    /// Asks for as much ahead as there is room for.
    fn pump(&self) {
        let mut state = self.lock();
        let State { client, ahead, lost, .. } = &mut *state;
        if lost.is_some() {
            return;
        }
        ahead.ask_more(client);
        drop(state);
        self.to_send.notify_one();
    }

    /// The link has ended; the first reason counts.
    fn end(&self, reason: String) {
        self.end_in(&mut self.lock(), reason);
    }

    fn end_in(&self, state: &mut State, reason: String) {
        if state.lost.is_none() {
            let words = state.log.last_words();
            state.lost = Some(if words.is_empty() { reason } else { format!("{reason}; it said: {words}") });
        }
        state.is_closing = true;
        self.changed.notify_all();
        self.to_send.notify_all();
    }

    /// The link has ended by itself.
    fn ended(&self, ended: &Ended) {
        self.lock().is_command_missing = matches!(ended, Ended::Exited(NOT_EXECUTABLE | NOT_FOUND));
        self.end(ended.to_string());
    }

    /// Takes in what the server has answered.
    fn receive(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.moved = self.options.clock.monotonic();
        let State { client, answers, ahead, refused, .. } = &mut *state;
        client.receive(bytes);
        let failed: Option<ProtocolError> = loop {
            match client.poll() {
                Ok(Some(Event::Answer(answer))) => {
                    if let Some(outcome) = ahead.arrived(answer.msgid, answer.result) {
                        answers.insert(answer.msgid, outcome);
                    }
                }
                Ok(Some(Event::PostFailed { error, .. })) => _ = refused.get_or_insert(error),
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        ahead.ask_more(client);
        self.changed.notify_all();
        self.to_send.notify_one();
        if let Some(error) = failed {
            // Before anybody can ask for more, who would be told that it is their question that is refused.
            self.end_in(&mut state, format!("what comes from there is no borg server: {error}"));
            drop(state);
            self.cut.notify_one();
        }
    }

    /// Takes in what the server has said.
    fn hear(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.moved = self.options.clock.monotonic();
        let State { log, heard, .. } = &mut *state;
        for line in log.lines(bytes) {
            match heard {
                Some(heard) if heard.len() < MAX_HEARD => heard.push_back(line),
                Some(_) => {}
                None => log.write(&line),
            }
        }
        self.changed.notify_all();
    }

    /// The next bytes to send; `None` when there will never be any.
    fn next_to_send(&self) -> Option<Bytes> {
        let mut state = self.lock();
        loop {
            if state.lost.is_some() {
                return None;
            }
            if let Some(bytes) = state.client.transmit() {
                return Some(bytes);
            }
            if state.is_closing {
                return None;
            }
            state = self.to_send.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Some bytes have gone out.
    fn sent(&self) {
        self.lock().moved = self.options.clock.monotonic();
    }
}
