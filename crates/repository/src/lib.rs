//! A borg repository on a disk: segments, index, hints, integrity, locks, compaction.

mod options;
mod os_disk;
mod repository;

pub use options::{CreateOptions, Holder, Mode, OnWait, OpenOptions};
pub use os_disk::OsDisk;
pub use repository::{LocalRepository, break_lock};
