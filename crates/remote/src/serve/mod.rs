//! The other end: a server for the clients of borg 1.1 to 1.4.
//!
//! [`serve`] drives the server half of [`worldkeeper_rpc`] over a repository that a [`Host`] opens; what the repository is
//! made of is none of its business. Bytes come and go through [`Pipes`], which [`Stdio`] fills from this process's own
//! streams; what a client is told beside its answers goes through an [`ErrorStream`]. Where a client may go is settled by
//! [`Paths`].
//!
//! A session has three levels, each a loop that runs within the one before: no repository, a repository, a transaction.
//! A call that a level has nothing to do with ends it, and so gives back what it held.

mod answer;
mod conversation;
mod error_stream;
mod host;
mod open_error;
mod paths;
mod pipes;
mod session;

pub use conversation::{Pipes, ServeError};
pub use error_stream::ErrorStream;
pub use host::{Host, Hosted};
pub use open_error::OpenError;
pub use paths::Paths;
pub use pipes::Stdio;
pub use session::serve;
pub use worldkeeper_rpc::stderr::Level;
pub use worldkeeper_rpc::{Open, Page, Version};
