//! What is kept in the state directory only to save time.
//!
//! Both caches can be made anew from the repository, and are whenever there is any doubt about them. Doubt is cheap
//! to have: a cache file begins with the id hash of the rest under the repository's key, so a torn, rotten or planted
//! one is as good as missing.

mod chunk_index;
mod files;

pub(crate) use chunk_index::{ChunkIndex, IdHasher};
pub(crate) use files::{CachedFile, FilesCache, PathKey};

use worldkeeper_core::{ChunkId, disk};
use worldkeeper_crypto::Key;

use crate::state::{RepositoryState, StateError};

/// A cache of more than this many bytes is not loaded; 10^7 chunks need half of it.
const MAX_LEN: u64 = 1 << 30;

/// Stores a cache durably.
fn store(state: &RepositoryState, name: &str, key: &Key, body: &[u8]) -> Result<(), StateError> {
    let mut file = Vec::with_capacity(32 + body.len());
    file.extend_from_slice(&key.id_hash(body).0);
    file.extend_from_slice(body);
    state.write_cache(name, &file)
}

/// Loads a cache; `Err` says why it cannot be used, `Ok(None)` that there is none.
fn load(state: &RepositoryState, name: &str, key: &Key) -> Result<Option<Vec<u8>>, String> {
    let file = disk::read_if_there(state.disk(), &state.file(name), MAX_LEN);
    let Some(mut file) = file.map_err(|error| worldkeeper_core::error_text(&error))? else { return Ok(None) };
    let Some((digest, body)) = file.split_first_chunk::<32>() else { return Err("it is cut short".into()) };
    if key.id_hash(body) != ChunkId(*digest) {
        return Err("its content does not match its digest".into());
    }
    file.drain(..32);
    Ok(Some(file))
}
