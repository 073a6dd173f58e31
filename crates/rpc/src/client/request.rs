//! What may be asked when.

use super::{Client, window};
use crate::reply::Expected;
use crate::{Call, Method, MsgId};

/// Why something cannot be asked now. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server has not said who it is.
    #[error("the server has not introduced itself yet")]
    NotNegotiated,
    /// No repository was opened.
    #[error("no repository is open on the server")]
    NotOpen,
    /// Too much is unanswered.
    #[error("the window of unanswered requests is full")]
    WindowFull,
    /// Something that was posted is not known to be stored.
    #[error("{0} objects are not known to be stored yet, so nothing can be committed")]
    PostsUnanswered(usize),
    /// Something that was posted is known not to be stored.
    #[error("an object was not stored, so nothing can be committed but rolled back")]
    Doomed,
    /// An old server would ignore what matters.
    #[error("the server's borg is too old for {argument}, which {since} and newer have")]
    ServerOutdated {
        /// Name of the argument.
        argument: &'static str,
        /// The first version that has it.
        since: &'static str,
    },
    /// The conversation has ended with an error.
    #[error("the conversation with the server has ended")]
    Ended,
}

impl Client {
    /// Asks for something; the answer will carry the number that is returned.
    ///
    /// A commit must wait until everything that was [posted](Self::post) is known to be stored: the server would commit
    /// the rest.
    pub fn request(&mut self, call: &Call) -> Result<MsgId, RequestError> {
        self.may_ask(call)?;
        if call.method() == Method::Commit {
            match self.unanswered_posts() {
                _ if self.is_doomed => return Err(RequestError::Doomed),
                0 => {}
                posts => return Err(RequestError::PostsUnanswered(posts)),
            }
        }
        Ok(self.ask(call, false))
    }

    /// Asks for a PUT or a DELETE whose answer nobody waits for: [`Event::PostFailed`](super::Event::PostFailed) tells if
    /// it fails, nothing tells if it does not.
    ///
    /// # Panics
    ///
    /// If it is something else.
    pub fn post(&mut self, call: &Call) -> Result<MsgId, RequestError> {
        assert!(matches!(call.method(), Method::Put | Method::Delete), "{} has an answer that matters", call.method());
        self.may_ask(call)?;
        Ok(self.ask(call, true))
    }

    /// Returns whether the window has room for it.
    pub fn has_room(&self, call: &Call) -> bool {
        self.unanswered.is_empty()
            || self.unanswered.len() < self.window.requests && self.weight + window::weight(call) <= self.window.bytes
    }

    fn may_ask(&self, call: &Call) -> Result<(), RequestError> {
        if self.failed.is_some() {
            return Err(RequestError::Ended);
        }
        let server = self.server.as_ref().ok_or(RequestError::NotNegotiated)?;
        if !self.is_open && call.method() != Method::Open {
            return Err(RequestError::NotOpen);
        }
        if let Some((argument, since)) = call.needs_newer(server) {
            return Err(RequestError::ServerOutdated { argument, since });
        }
        if self.has_room(call) { Ok(()) } else { Err(RequestError::WindowFull) }
    }

    fn ask(&mut self, call: &Call, posted: bool) -> MsgId {
        // What follows may go out before it is known that it worked: that saves a round trip.
        self.is_open |= call.method() == Method::Open;
        let message = call.encode(MsgId(self.last + 1));
        self.queue(message, Expected::of(call), window::weight(call), posted)
    }
}
