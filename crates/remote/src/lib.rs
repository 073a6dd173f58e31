//! Both ends of a pipe: a repository on another machine, and the server that answers there.
//!
//! A [`Link`] is a running `borg serve` with its three streams; what makes one is a [`Connect`]: SSH in this process, a
//! spawned command, or a test. Everything else is told of a link and of nothing beneath it.

pub mod command;
mod conversation;
mod fuzz;
mod limited;
mod link;
mod location;
mod rate;
mod repository;
mod runtime;
pub mod serve;
mod serve_command;
pub mod ssh;

pub use fuzz::fuzz_known_hosts;
pub use limited::limited;
pub use link::{Connect, ConnectError, Ended, Incoming, Link};
pub use location::{LocationError, RemoteLocation};
pub use rate::UploadLimit;
pub use repository::{NO_PARENT, OnWait, RemoteMode, RemoteOptions, RemoteRepository};
pub use serve_command::ServeCommand;
pub use worldkeeper_rpc::Window;
