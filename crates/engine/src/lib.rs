//! Create, extract, list, prune, delete, compact: the only place where the pieces meet.
//!
//! Everything begins with a [`Session`]: a repository that somebody opened, its key, its manifest, and the judgement
//! whether it is the one we left. The operations are functions over it. They are blocking code on threads of their own
//! with bounded queues between them; where an object lies they do not know.

mod attributes;
mod cache;
mod compact;
mod create;
mod delete;
mod extract;
mod monitor;
mod nonces;
mod objects;
mod paths;
mod pipeline;
pub mod prune;
mod random;
mod restore;
pub mod series;
mod session;
mod source;
mod state;

pub use compact::{DEFAULT_THRESHOLD_PERCENT, compact};
pub use create::{CreateError, CreateOptions, CreateStats, Created, create};
pub use delete::{DeleteError, DeleteStats, delete};
pub use extract::{ExtractError, ExtractOptions, ExtractStats, extract};
pub use monitor::{Monitor, Notice, Progress, Silent};
pub use objects::{ObjectError, ObjectProblem};
pub use restore::RestoreError;
pub use session::{
    ArchiveInfo, BrokenArchive, Items, OpenArchive, Session, SessionError, SessionOptions, Suspicion, Trust,
};
pub use source::{Action, RootError, SourceError, SourceRoot};
pub use state::{Known, RepositoryState, StateDir, StateError};
