//! What whoever asks shares with the two threads: the client half, the answers that have come, and why no more will.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use worldkeeper_rpc::{Client, Event, Method, MsgId, Outcome, ProtocolError, RemoteError, Version};

use super::ConversationOptions;
use super::ahead::ReadAhead;
use super::heard::Heard;
use super::log::ServerLog;
use super::waiting::QUIET;
use crate::Ended;

/// What whoever asks shares with the two threads.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something has come, or was sent, or the link has ended.
    pub(super) changed: Condvar,
    /// There is something to send, or nothing ever will be.
    pub(super) to_send: Condvar,
    /// The link is to be cut.
    pub(super) cut: Notify,
    pub(super) options: ConversationOptions,
}

/// What is looked at and changed by one at a time.
pub(super) struct State {
    pub(super) client: Client,
    /// What was answered, for those who wait for it.
    pub(super) answers: HashMap<MsgId, Outcome>,
    pub(super) ahead: ReadAhead,
    /// The first PUT or DELETE that failed since the last rollback.
    pub(super) refused: Option<RemoteError>,
    /// Why nothing comes any more.
    pub(super) lost: Option<String>,
    /// No such command was found there.
    pub(super) is_command_missing: bool,
    /// Nothing more is to be sent.
    pub(super) is_closing: bool,
    /// When a byte moved last, in either direction.
    pub(super) moved: Duration,
    /// After how long a silence somebody is told.
    pub(super) tell_after: Duration,
    pub(super) stage: Stage,
    log: ServerLog,
    /// Lines of the server, for somebody who listens.
    pub(super) heard: Option<Heard>,
}

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Begun,
    /// It has the lock, or works without one.
    Open,
    /// It was asked for an object, and has replayed what there was to replay.
    Loaded,
}

impl Stage {
    fn after(method: Method, went_well: bool) -> Self {
        match method {
            Method::Open if went_well => Self::Open,
            Method::Get => Self::Loaded,
            _ => Self::Begun,
        }
    }
}

impl Shared {
    pub(super) fn new(version: &Version, options: ConversationOptions) -> Self {
        let state = State {
            client: Client::new(version, options.window),
            answers: HashMap::new(),
            ahead: ReadAhead::default(),
            refused: None,
            lost: None,
            is_command_missing: false,
            is_closing: false,
            moved: options.clock.monotonic(),
            tell_after: QUIET,
            stage: Stage::Begun,
            log: ServerLog::default(),
            heard: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), to_send: Condvar::new(), cut: Notify::new(), options }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for as much ahead as there is room for.
    pub(super) fn pump(&self) {
        let mut state = self.lock();
        if state.lost.is_some() {
            return;
        }
        state.is_asked(self.options.clock.monotonic());
        let State { client, ahead, .. } = &mut *state;
        ahead.ask_more(client);
        drop(state);
        self.to_send.notify_one();
    }

    /// The link has ended; the first reason counts.
    pub(super) fn end(&self, reason: String) {
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
    pub(super) fn ended(&self, ended: &Ended) {
        self.lock().is_command_missing = matches!(ended, Ended::Exited(NOT_EXECUTABLE | NOT_FOUND));
        self.end(ended.to_string());
    }

    /// Takes in what the server has answered.
    pub(super) fn receive(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.moves(self.options.clock.monotonic());
        let State { client, answers, ahead, refused, stage, .. } = &mut *state;
        client.receive(bytes);
        let failed: Option<ProtocolError> = loop {
            match client.poll() {
                Ok(Some(Event::Answer(answer))) => {
                    *stage = (*stage).max(Stage::after(answer.method, answer.result.is_ok()));
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
    pub(super) fn hear(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.moves(self.options.clock.monotonic());
        let State { log, heard, .. } = &mut *state;
        for line in log.lines(bytes) {
            match heard {
                Some(heard) => heard.push(line),
                None => log.write(&line),
            }
        }
        self.changed.notify_all();
    }

    /// The next bytes to send; `None` when there will never be any.
    pub(super) fn next_to_send(&self) -> Option<Bytes> {
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
    pub(super) fn sent(&self) {
        self.lock().moves(self.options.clock.monotonic());
    }
}

impl State {
    /// Somebody asks now: a server that has had nothing to answer was not silent.
    pub(super) fn is_asked(&mut self, now: Duration) {
        if self.client.unanswered().next().is_none() {
            self.moves(now);
        }
    }

    /// Something moves now.
    pub(super) fn moves(&mut self, now: Duration) {
        (self.moved, self.tell_after) = (now, QUIET);
    }
}

/// What a shell ends with that cannot run a command.
const NOT_EXECUTABLE: u32 = 126;
const NOT_FOUND: u32 = 127;
