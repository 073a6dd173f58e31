//! The server half: one call at a time, and its answer back in the form in which it was asked.
//!
//! What stock answers by itself is answered here: negotiation, methods and arguments that are not there, calls before a
//! repository is open, the errors that upstream's tests ask for. All else is handed out as a [`Call`].

mod session;

use bytes::Bytes;
use worldkeeper_core::MAX_DATA_SIZE;

use crate::call::Call;
use crate::envelope::{Form, Request, encode_response};
use crate::frame::Frames;
use crate::message::Outbox;
use crate::{Method, MsgId, Outcome, ProtocolError, Version};

/// The server's side of a session with a borg client.
///
/// Requests wait, unread, until the one before is answered and its answer handed out: so a client that asks without end
/// gets no more memory than one that waits. Whoever drives this goes round [`transmit`](Self::transmit) and
/// [`poll`](Self::poll) until both have nothing, and then [receives](Self::receive) more.
#[derive(Debug)]
pub struct Server {
    version: Version,
    frames: Frames,
    outbox: Outbox,
    asked: Option<Asked>,
    client: Client,
    is_open: bool,
    failed: Option<ProtocolError>,
}

/// The request that is to be answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    form: Form,
    msgid: MsgId,
    method: Method,
}

/// What is known of the client.
#[derive(Debug)]
enum Client {
    Unknown,
    /// 1.0 or older.
    Legacy,
    Negotiated(Version),
}

/// The longest request: a PUT that is somewhat too long is still to be answered, with borg's error.
const MAX_REQUEST_BYTES: usize = MAX_DATA_SIZE + (1 << 20);

impl Server {
    /// Waits for a client, as a borg of this version.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            frames: Frames::default(),
            outbox: Outbox::default(),
            asked: None,
            client: Client::Unknown,
            is_open: false,
            failed: None,
        }
    }

    /// Takes bytes from the client, in pieces of any size.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.frames.receive(bytes);
        }
    }

    /// The next bytes for the client, if there are any.
    pub fn transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// The next call, which is to be [answered](Self::answer). `None` until more bytes have come, or as long as the one
    /// before is not answered or its answer not handed out.
    ///
    /// # Errors
    ///
    /// The client does not speak the protocol; stock's server ends then, and so must whoever drives this.
    pub fn poll(&mut self) -> Result<Option<Call>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while self.asked.is_none() && self.outbox.is_empty() {
            let message = self.frames.next(MAX_REQUEST_BYTES);
            let Some(message) = message.inspect_err(|error| self.failed = Some(error.clone()))? else { break };
            let request = Request::decode(&message).inspect_err(|error| self.failed = Some(error.clone()))?;
            match self.understand(&request, &message) {
                Ok((method, call)) => {
                    self.asked = Some(Asked { form: request.form, msgid: request.msgid, method });
                    return Ok(Some(call));
                }
                Err(answer) => self.send(request.form, request.msgid, &answer),
            }
        }
        Ok(None)
    }

    /// Answers the call that was handed out last.
    ///
    /// # Panics
    ///
    /// If it was answered already.
    pub fn answer(&mut self, result: &Outcome) {
        let asked = self.asked.take().expect("a call is answered once");
        self.is_open |= asked.method == Method::Open && result.is_ok();
        self.send(asked.form, asked.msgid, result);
    }

    /// Returns whether reading more makes sense: nothing is to be answered or handed out first.
    pub fn wants_bytes(&self) -> bool {
        self.asked.is_none() && self.outbox.is_empty() && self.failed.is_none()
    }

    /// The client's version, if it said it; those of 1.1 and newer do.
    pub fn client_version(&self) -> Option<&Version> {
        match &self.client {
            Client::Negotiated(version) => Some(version),
            Client::Unknown | Client::Legacy => None,
        }
    }

    /// Returns whether the client understands JSON on the error stream; others get the form of before 1.1.
    pub fn logs_json(&self) -> bool {
        matches!(self.client, Client::Negotiated(_))
    }

    fn send(&mut self, form: Form, msgid: MsgId, result: &Outcome) {
        self.outbox.push(encode_response(form, msgid, result));
    }
}
