//! The seam between a conversation and what carries it.

use std::fmt;

use bytes::Bytes;
use tokio::sync::mpsc;
use worldkeeper_core::Stop;

/// Starts `borg serve` somewhere.
pub trait Connect: Send + Sync {
    /// Connects, and starts the server there. Returns as soon as something can be sent; gives up when `stop` is requested.
    fn connect(&self, stop: &Stop) -> Result<Link, ConnectError>;
}

/// A running `borg serve`.
///
/// Whoever holds it sends and receives at the same time, from two threads: a server that cannot get rid of its answers reads
/// no more requests.
#[derive(Debug)]
pub struct Link {
    /// To the server's standard input. Dropping it is the end of that stream, on which a server gives its lock back
    /// and goes; [`Incoming::Ended`] tells when it has.
    pub input: mpsc::Sender<Bytes>,
    /// What comes back, bounded. Dropping it ends the server, however busy it is, and frees what the link took.
    pub output: mpsc::Receiver<Incoming>,
}

/// How many pieces wait to be sent. A piece is at most an object and its head.
pub(crate) const QUEUED_INPUTS: usize = 4;

/// How many pieces of at most 64 KiB wait to be looked at.
pub(crate) const QUEUED_OUTPUTS: usize = 64;

/// What comes from a server. Nothing follows [`Ended`](Self::Ended).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// From its standard output.
    Output(Bytes),
    /// From its standard error.
    Errors(Bytes),
    /// It is gone.
    Ended(Ended),
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The command ended with this exit code.
    Exited(u32),
    /// The command was killed by a signal of this name.
    Killed(String),
    /// The connection is gone, and what became of the command is not known.
    Lost(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "the server ended with exit code {code}"),
            Self::Killed(signal) => write!(f, "the server was killed by {signal}"),
            Self::Lost(reason) => f.write_str(reason),
        }
    }
}

/// Why there is no link. All text from the other side is escaped.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What happened to what, and why.
    pub message: String,
    /// What to do about it, if there is something to be done; a command stands in backticks.
    pub remedy: Option<String>,
    /// Trying again later may help.
    pub may_pass: bool,
}
