//! Create, extract, list, find, compare, change, check, prune, delete, undelete, compact: the only place where the
//! pieces meet.
//!
//! Everything begins with a [`Session`]: a repository that somebody opened, its key, its manifest, and the judgement
//! whether it is the one we left ([`Trust`]). The operations are functions over it: [`create()`], [`extract()`],
//! [`check()`], [`delete()`], [`prune()`](prune::prune()), [`compact()`]; [`Session::archives`] and [`Session::items`] list. They
//! block, work on threads of their own with bounded queues between them, tell a [`Monitor`] what happens, and end early
//! when their session's [`Stop`](worldkeeper_core::Stop) is requested. Where an object lies they do not know; what
//! survives a restart is kept in a [`StateDir`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use worldkeeper_core::{Clock, Repository, Stop};
//! use worldkeeper_engine::{CreateOptions, NoKeyFiles, Session, SessionOptions, Silent, StateDir, create};
//!
//! fn back_up(
//!     repository: Box<dyn Repository>,
//!     state: &StateDir,
//!     clock: Arc<dyn Clock>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let passphrase = Some("correct horse");
//!     let options = SessionOptions { state, key_store: &NoKeyFiles, passphrase, clock, stop: Stop::default() };
//!     let mut session = Session::open(repository, &options)?;
//!     let created = create(&mut session, &CreateOptions::new("survival", ["/data"]), &Silent)?;
//!     println!("{} holds {} files", created.name, created.stats.files());
//!     Ok(())
//! }
//! ```
//!
//! A file that cannot be read is a [`Notice`], and the archive is made without it; a repository that fails ends the
//! operation, and nothing is changed.

mod attributes;
mod cache;
pub mod check;
mod compact;
mod create;
mod cuts;
mod delete;
mod diff;
mod edit;
mod extent;
mod extract;
mod find;
mod info;
mod key_store;
mod monitor;
mod nonces;
mod objects;
mod paths;
mod patterns;
mod pipeline;
pub mod prune;
mod random;
mod restore;
pub mod series;
mod session;
mod source;
mod state;
mod tar;
mod undelete;
mod verify;

pub use attributes::username;
pub use check::{ArchivesCheck, CheckOptions, check, check_stored};
pub use compact::{DEFAULT_THRESHOLD_PERCENT, compact};
pub use create::{
    CreateError, CreateOptions, CreateStats, Created, OldCheckpoints, SourceFiles, ask, ask_about, create,
};
pub use delete::{DeleteError, DeleteStats, delete, force_delete};
pub use diff::{Change, DiffError, DiffOptions, Difference, Finding, OwnerName, are_cut_alike, diff};
pub use edit::{EditError, Recompress, RecreateOptions, RecreateStats, Recreater, is_temporary, rename};
pub use extent::Extent;
pub use extract::{Destination, ExtractError, ExtractOptions, ExtractStats, Wanted, extract};
pub use find::{FindError, Found, Version, find};
pub use info::{ArchiveStats, RepositoryStats, archive_stats, repository_stats};
pub use key_store::{KeyStore, KeyStoreError, NoKeyFiles};
pub use monitor::{Monitor, Notice, Progress, Rebuilding, Silent};
pub use objects::{ObjectError, ObjectProblem};
pub use patterns::fuzz_patterns;
pub use patterns::{NameGlob, PatternError, PatternTooSlow, Patterns, Selection, Verdict};
pub use restore::{RestoreError, RestoreOptions};
pub use session::{
    ArchiveInfo, ArchiveProblem, BrokenArchive, Escrow, ImportedKey, Items, ManifestLoss, OpenArchive, Proofs, Session,
    SessionError, SessionOptions, Suspicion, Trust, WrongFingerprint, export_key, import_key,
};
pub use source::{Action, ExcludeTags, RootError, SourceError, SourceRoot, TagName, TagNameError};
pub use state::{RepositoryState, StateDir, StateError};
pub use tar::{ImportError, ImportOptions, TarError, export_tar, import_tar};
pub use undelete::{
    DeletedArchive, DeletedArchives, Missing, UndeleteError, UndeleteStats, deleted_archives, undelete,
};
pub use verify::{EncodingProblem, Verify, VerifyError};
