//! What ends a conversation: the other side does not speak the protocol.

use worldkeeper_core::escape::escape_bytes;
use worldkeeper_core::msgpack::DecodeError;

use crate::{Method, MsgId, Version};

/// The bytes that came are not what the protocol allows now. There is no going on after that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// More than what was asked for can be.
    #[error("the message that begins is at least {least} bytes long, {limit} are the most that can be meant")]
    TooLong {
        /// What is announced.
        least: u64,
        /// What is allowed.
        limit: usize,
    },
    /// No MessagePack, or not of the shape of a message. A login script that prints something does that.
    #[error("what came is no message of borg's protocol, it begins with \"{text}\"")]
    Malformed {
        /// How it begins.
        text: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A message without one of its parts.
    #[error("a message lacks its {0}")]
    Incomplete(&'static str),
    /// A message though nothing was asked.
    #[error("the server sent a reply though nothing is unanswered")]
    Unsolicited,
    /// A reply to something else than what was to be answered next: one that was answered, or never asked, or is not yet
    /// its turn.
    #[error("the server answered request {found}, the next to be answered is {expected}")]
    OutOfOrder {
        /// The oldest request without an answer.
        expected: MsgId,
        /// What the reply says.
        found: MsgId,
    },
    /// A result of another type than the method has.
    #[error("the server's answer to {method} is no result of it")]
    Result {
        /// What was asked.
        method: Method,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// An object that is longer than a repository can hold, or a list that is longer than it was to be.
    #[error("the server answered {method} with {found}, {limit} are the most there can be")]
    Excess {
        /// What was asked.
        method: Method,
        /// How many bytes or ids there are.
        found: usize,
        /// How many there can be.
        limit: usize,
    },
    /// A server of before 1.1, which does not say more.
    #[error("the server's borg is older than 1.1")]
    ServerTooOld,
    /// A version with another protocol.
    #[error("the server has borg {0}; 1.1 to 1.4 are supported")]
    UnsupportedServer(Version),
}

impl ProtocolError {
    pub(crate) fn malformed(bytes: &[u8], source: DecodeError) -> Self {
        const SHOWN: usize = 80;
        Self::Malformed { text: escape_bytes(&bytes[..bytes.len().min(SHOWN)]), source }
    }
}
