//! A borg repository on a disk: segments, index, hints, integrity, locks, compaction.
//!
//! A repository is a log. Its segments hold PUTs, DELETEs and COMMITs in the order in which they happened; everything
//! else (the index, the hints, the digests of both) is derived from them and can be lost. [`LocalRepository`] reads
//! and writes that log through [`Disk`](worldkeeper_core::Disk), so that every call to the disk can be made to fail
//! in tests; [`OsDisk`] is the disk of this machine. Objects are opaque here: what they mean, and how they are
//! encrypted, is known above.

mod check;
mod compact;
mod config;
mod create;
mod destroy;
mod earlier;
pub mod fuzz;
mod headroom;
mod hints;
mod index;
mod integrity;
mod limits;
mod listing;
mod load;
mod lock;
mod lost_commit;
mod nonce;
mod options;
mod os_disk;
mod own_disks;
mod ownership;
mod place;
mod replay;
mod repository;
mod reserves;
mod segment;
mod space;
mod state_files;
mod sync;
mod transaction;
#[cfg(test)]
mod vectors_tests;

pub use config::{MIN_QUOTA, SettingError, parse_size};
pub use limits::Limits;
pub use lock::{break_lock, identity_in};
pub use options::{CreateOptions, Holder, Mode, OnWait, OpenOptions};
pub use os_disk::OsDisk;
pub use own_disks::is_on_own_disk;
pub use repository::LocalRepository;
pub use space::Space;
