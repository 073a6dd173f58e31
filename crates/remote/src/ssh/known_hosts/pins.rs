//! The file that we write ourselves: one plain line for each key that somebody has trusted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::HostName;
use super::line::{Line, Marker};

/// Adds a key of `host` to the text of a file.
pub fn pin(text: &[u8], host: &HostName, key_type: &str, key: &[u8]) -> Vec<u8> {
    let mut pinned = text.to_vec();
    if !(pinned.is_empty() || pinned.ends_with(b"\n")) {
        pinned.push(b'\n');
    }
    pinned.extend(format!("{} {key_type} {}\n", host.lookup(), STANDARD.encode(key)).into_bytes());
    pinned
}

/// Removes every line that names a key of `host`. What is revoked stays so.
pub fn unpin(text: &[u8], host: &HostName) -> Vec<u8> {
    let host = host.lookup();
    let is_pin = |text: &[u8]| match Line::parse(text) {
        Some(Ok(line)) => line.marker == Marker::None && line.hosts.contain(&host),
        _ => false,
    };
    text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_pin(line)).flatten().copied().collect()
}
