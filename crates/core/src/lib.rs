//! The words every other crate shares.
//!
//! Here are the ids, borg's dialect of MessagePack, borg's way to write time, and the seams through which the
//! outside is reached: [`Repository`] and [`Transaction`], [`Disk`], [`Clock`], and [`FileFormat`] for what is known of
//! games. This crate does no I/O and starts no thread; who owns a file, a socket or a clock implements a trait from here.

mod append;
pub mod clock;
pub mod disk;
mod equal;
mod error_text;
pub mod escape;
pub mod format;
mod id;
pub mod lock;
pub mod msgpack;
mod pieces;
pub mod repository;
pub mod reserve;
pub mod shell;
mod stop;
pub mod time;

pub use append::{append, copied};
pub use clock::{Clock, Moment};
pub use disk::{Disk, DiskError};
pub use equal::is_equal;
pub use error_text::error_text;
pub use format::{Defects, FileFormat, Judge, Known, Last, Plan, RangeReader};
pub use id::{ChunkId, RepositoryId};
pub use lock::LockIdentity;
pub use pieces::{PIECE, Pieces};
pub use repository::{Repository, RepositoryError, Transaction};
pub use reserve::Reserve;
pub use stop::Stop;

/// Largest object a repository stores, in bytes: type byte, MAC and nonce included.
///
/// Source: borg 1.4 `constants.py`, `MAX_DATA_SIZE`.
pub const MAX_DATA_SIZE: usize = 20_971_479;
