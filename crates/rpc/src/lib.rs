//! The `borg serve` conversation as pure state: client half and server half, as borg 1.1 to 1.4 speak it.
//!
//! No I/O, no thread, no clock. Bytes from the other side go in with `receive`, in pieces of any size; what they mean comes
//! out of `poll`; bytes for the other side come out of `transmit`. Whoever drives a half owns the pipe and decides when
//! to read and to write.
//!
//! [`Client`] numbers the requests, holds every answer against the request it must be for, and knows what is unanswered when
//! the connection is lost. [`Server`] hands out one [`Call`] at a time and sends its [`Reply`] or [`RemoteError`] back. What
//! a server writes to its error stream is read by [`stderr`].
//!
//! The other side is not trusted: how long a message can be is known before it comes, what it announces is believed as
//! far as there are bytes, and no text of it reaches a terminal unescaped through a `Display` of this crate.
//!
//! The protocol itself is described in `docs/formats/rpc.md`.
//!
//! Source: borg 1.4 `remote.py`.

mod call;
mod client;
mod envelope;
mod frame;
mod fuzz;
mod message;
mod method;
mod msg_id;
mod protocol_error;
mod remote_error;
mod reply;
mod server;
pub mod stderr;
mod version;

pub use call::{Call, Check, Commit, Open, Page};
pub use client::{Answer, Client, Event, RequestError, Unanswered, Window};
pub use fuzz::{fuzz_client, fuzz_server, fuzz_stderr};
pub use message::Payload;
pub use method::Method;
pub use msg_id::MsgId;
pub use protocol_error::ProtocolError;
pub use remote_error::{Arg, AsSeen, Class, RemoteError, format_size};
pub use reply::{Outcome, Reply};
pub use server::Server;
pub use version::Version;
