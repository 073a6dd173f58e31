//! What is kept in the state directory only to save time.
//!
//! Both caches can be made anew from the repository, and are whenever there is any doubt about them. Doubt is cheap
//! to have: a cache file ends with the id hash of the rest under the repository's key, so a torn, rotten or planted
//! one is as good as missing.
//!
//! Both know of millions of things beside a game that wants the memory: they lie in lists that grow where they stand,
//! found by tables of numbers, and are written and read piece by piece.

mod chunk_index;
mod chunk_table;
mod files;
mod found_files;
mod id_hasher;
mod next;
mod stored;

pub(crate) use chunk_index::ChunkIndex;
pub(crate) use files::{Bare, FilesCache, Look, PathKey};
pub(crate) use found_files::FoundFiles;
pub(crate) use id_hasher::IdHasher;
pub(crate) use next::Next;
