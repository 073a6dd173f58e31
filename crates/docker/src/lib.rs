//! Which containers exist, what state they are in, what happens to them.
//!
//! A [`Watcher`] follows the containers a user named and says so whenever what is known of them changes: running, not
//! running, missing, or not to be known because the daemon does not answer. [`inspect`] asks once. What a container's
//! state means for backups is decided elsewhere; this crate only ever reads, it starts, stops and wakes nothing. Of what
//! containers have mounted, [`is_elsewhere`] tells whether they can share it.
//!
//! Everything said by the daemon is bounded: a request has a time limit, a connection a byte budget.

mod backoff;
mod client;
mod endpoint;
mod mount;
mod name;
mod shared;
mod state;
mod transport;
mod watcher;

pub use client::{DockerError, inspect};
pub use endpoint::{Endpoint, EndpointError};
pub use mount::{Mount, MountKind};
pub use name::{ContainerName, NameError};
pub use shared::{OwnMount, is_elsewhere};
pub use state::{Container, State, Watch};
pub use watcher::{Pace, Watcher};
