//! Recorded bytes under `protocol-fixtures/`, and the recipe its inputs are made from.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The path of a fixture, given relative to `protocol-fixtures/`.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures").join(relative)
}

/// Reads a JSON fixture.
///
/// # Panics
///
/// If it is missing or of another shape.
pub fn json<T: DeserializeOwned>(relative: &str) -> T {
    let path = path(relative);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{} has another shape: {error}", path.display()))
}

/// The first `len` bytes of SHA256(name:0) ‖ SHA256(name:1) ‖ …, which the vectors call `["sha", name, len]`.
pub fn sha_stream(name: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    for counter in 0.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(&Sha256::digest(format!("{name}:{counter}")));
    }
    bytes.truncate(len);
    bytes
}
