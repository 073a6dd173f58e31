//! The client half: what was asked, what was answered, what may be asked next.
//!
//! Stock's server works on one request after the other and answers in their order, and so does ours. So every answer is held
//! against the oldest request that has none: another number, another type, or more than was asked for ends the
//! conversation.

mod request;
mod window;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::envelope::Response;
use crate::frame::Frames;
use crate::message::{Message, Outbox};
use crate::reply::Expected;
use crate::{Method, MsgId, Outcome, ProtocolError, RemoteError, Reply, Version};

pub use request::RequestError;
pub use window::Window;

/// The client's side of a session with `borg serve`.
///
/// It begins by negotiating; [`Event::Negotiated`] says that requests can be made. Requests go out in the order in which
/// they are made and are answered in that order. Reading ahead is making a request before its answer is needed.
#[derive(Debug)]
pub struct Client {
    frames: Frames,
    outbox: Outbox,
    /// Oldest first.
    unanswered: VecDeque<Asked>,
    /// Number of the last request.
    last: u64,
    window: Window,
    weight: usize,
    server: Option<Version>,
    /// A repository is open, if nothing of what is under way fails.
    is_open: bool,
    /// Something that was posted has failed, and nothing was rolled back since.
    is_doomed: bool,
    failed: Option<ProtocolError>,
}

/// A request without an answer.
#[derive(Debug)]
struct Asked {
    msgid: MsgId,
    expected: Expected,
    /// What it takes of the window.
    weight: usize,
    /// Nobody waits for the answer.
    posted: bool,
}

/// What has come from the server.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server has introduced itself.
    Negotiated(Version),
    /// A request was answered.
    Answer(Answer),
    /// A PUT or DELETE that was [posted](Client::post) has failed. Nothing can be committed until a rollback.
    PostFailed {
        /// Which.
        msgid: MsgId,
        /// What was posted.
        method: Method,
        /// Why.
        error: RemoteError,
    },
}

/// The answer to a request.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Which request.
    pub msgid: MsgId,
    /// What was asked.
    pub method: Method,
    /// What was answered.
    pub result: Outcome,
}

/// A request that has no answer: what a lost connection leaves in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Which.
    pub msgid: MsgId,
    /// What was asked.
    pub method: Method,
    /// Some of its bytes were handed out. If not, the server cannot have done it.
    pub sent: bool,
}

impl Client {
    /// Begins a session as a borg of this version.
    pub fn new(version: &Version, window: Window) -> Self {
        let mut client = Self {
            frames: Frames::default(),
            outbox: Outbox::default(),
            unanswered: VecDeque::new(),
            last: 0,
            window,
            weight: 0,
            server: None,
            is_open: false,
            is_doomed: false,
            failed: None,
        };
        client.negotiate(version);
        client
    }

    /// The next bytes for the server, if there are any. They must be sent in this order.
    pub fn transmit(&mut self) -> Option<Bytes> {
        if self.failed.is_some() { None } else { self.outbox.pop() }
    }

    /// Takes bytes from the server.
    ///
    /// They are kept until [`poll`](Self::poll) has taken the messages in them, so it is to be asked until it has no more
    /// before more is read.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.frames.receive(bytes);
        }
    }

    /// What has come; `None` until more bytes have.
    ///
    /// # Errors
    ///
    /// The server does not speak the protocol. From then on this is all that is answered.
    pub fn poll(&mut self) -> Result<Option<Event>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while let Some((asked, result)) = self.next_answer().inspect_err(|error| self.failed = Some(error.clone()))? {
            let event = self.take_in(&asked, result).inspect_err(|error| self.failed = Some(error.clone()))?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The server's version, once it is known.
    pub fn server_version(&self) -> Option<&Version> {
        self.server.as_ref()
    }

    /// What has no answer, oldest first.
    pub fn unanswered(&self) -> impl Iterator<Item = Unanswered> {
        let begun = self.outbox.begun();
        self.unanswered.iter().map(move |asked| Unanswered {
            msgid: asked.msgid,
            method: asked.expected.method,
            sent: asked.msgid.0 <= begun,
        })
    }

    /// How many bytes the requests have that have no answer.
    pub fn unanswered_bytes(&self) -> usize {
        self.weight
    }

    /// How many posts have no answer.
    pub fn unanswered_posts(&self) -> usize {
        self.unanswered.iter().filter(|asked| asked.posted).count()
    }

    /// Returns whether everything was handed out and answered.
    pub fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.outbox.is_empty()
    }

    fn next_answer(&mut self) -> Result<Option<(Asked, Outcome)>, ProtocolError> {
        // The oldest request that the server can know of.
        let Some(asked) = self.unanswered.front().filter(|asked| asked.msgid.0 <= self.outbox.begun()) else {
            return if self.frames.len() == 0 { Ok(None) } else { Err(ProtocolError::Unsolicited) };
        };
        let Some(message) = self.frames.next(asked.expected.limit_bytes())? else { return Ok(None) };
        let response = Response::decode(&message)?;
        if response.msgid != asked.msgid {
            return Err(ProtocolError::OutOfOrder { expected: asked.msgid, found: response.msgid });
        }
        let result = match response.result {
            Ok(packed) => Ok(asked.expected.decode(packed, &message)?),
            Err(error) => Err(error),
        };
        let asked = self.unanswered.pop_front().expect("it is at the front");
        self.weight -= asked.weight;
        Ok(Some((asked, result)))
    }

    /// What the answer changes, and what is to be told of it.
    fn take_in(&mut self, asked: &Asked, result: Outcome) -> Result<Option<Event>, ProtocolError> {
        let (msgid, method) = (asked.msgid, asked.expected.method);
        match (&result, method) {
            (Ok(Reply::Negotiated(version)), _) if version.is_supported() => {
                self.server = Some(version.clone());
                return Ok(Some(Event::Negotiated(version.clone())));
            }
            (Ok(Reply::Negotiated(version)), _) => return Err(ProtocolError::UnsupportedServer(version.clone())),
            (Ok(Reply::LegacyProtocol), _) => return Err(ProtocolError::ServerTooOld),
            (Ok(_), Method::Rollback) => self.is_doomed = false,
            (Err(_), Method::Open) => self.is_open = false,
            _ => {}
        }
        Ok(match result {
            Ok(_) if asked.posted => None,
            Err(error) if asked.posted => {
                self.is_doomed = true;
                Some(Event::PostFailed { msgid, method, error })
            }
            result => Some(Event::Answer(Answer { msgid, method, result })),
        })
    }

    /// In the old form, as every stock client does: the server may be of before the new one.
    fn negotiate(&mut self, version: &Version) {
        let mut message = Message::default();
        let encoder = message.encoder();
        encoder.array(4).uint(1).uint(1).raw(Method::Negotiate.name()).array(1).map(1).raw("client_version");
        version.encode(encoder);
        self.queue(message, Expected::negotiation(), 0, false);
    }

    fn queue(&mut self, message: Message, expected: Expected, weight: usize, posted: bool) -> MsgId {
        self.last += 1;
        let msgid = MsgId(self.last);
        self.outbox.push(message);
        self.weight += weight;
        self.unanswered.push_back(Asked { msgid, expected, weight, posted });
        msgid
    }
}
