//! Which keys a host may show: OpenSSH's `known_hosts`, in full, read without any I/O.
//!
//! Everything that was read counts together, whichever file it comes from. What cannot be read may only ever lead to less
//! trust: see [`KnownHosts::read`].
//!
//! Source: OpenSSH `hostfile.c`; `sshd(8)`, "SSH_KNOWN_HOSTS FILE FORMAT".

mod hosts;
mod line;
mod pins;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

pub use hosts::{DEFAULT_PORT, HostName};
use line::{Line, Marker};
pub use pins::{pin, unpin};

pub(crate) use hosts::matches;

/// The entries of some files.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

/// A line, and where it stands.
#[derive(Clone, Debug)]
struct Entry {
    line: Line,
    place: Place,
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name its file was read under.
    pub file: Arc<str>,
    /// The number of its line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {}", self.line, self.file)
    }
}

/// Why a file says nothing that could be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} begins with a mark but is no entry that could be understood")]
pub struct KnownHostsError {
    /// The line.
    pub place: Place,
}

/// What the files say of a key that a host has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's.
    Known,
    /// They name no key of this host.
    Unknown,
    /// They name others, perhaps of other types.
    Changed(Vec<KnownKey>),
    /// They say that it must not be accepted any more.
    Revoked(Place),
}

/// A key as the files name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Its type, like `ssh-ed25519`.
    pub key_type: String,
    /// Its bytes, as SSH sends them.
    pub key: Vec<u8>,
    /// Where it stands.
    pub place: Place,
}

impl KnownKey {
    /// What people compare: `SHA256:` and 43 characters.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.key)))
    }
}

impl KnownHosts {
    /// Adds what stands in a file of this name.
    ///
    /// A line that is no entry is left out, as OpenSSH does: without it, there is one key less to be trusted. One that
    /// begins with a mark is an error, because what it revokes would be trusted without it.
    pub fn read(&mut self, file: &str, text: &[u8]) -> Result<(), KnownHostsError> {
        let file: Arc<str> = file.into();
        for (index, text) in text.split(|byte| *byte == b'\n').enumerate() {
            let place = Place { file: Arc::clone(&file), line: index + 1 };
            match Line::parse(text) {
                Some(Ok(line)) => self.entries.push(Entry { line, place }),
                Some(Err(line::NoEntry { is_marked: true })) => return Err(KnownHostsError { place }),
                Some(Err(line::NoEntry { is_marked: false })) | None => {}
            }
        }
        Ok(())
    }

    /// Says what is known of a key that `host` has shown, in the bytes that SSH sends.
    pub fn judge(&self, host: &HostName, key: &[u8]) -> Verdict {
        if let Some(place) = self.revokes(host, key) {
            return Verdict::Revoked(place.clone());
        }
        let known: Vec<_> = self.keys(host).collect();
        match known.iter().find(|known| known.key == key) {
            Some(_) => Verdict::Known,
            None if known.is_empty() => Verdict::Unknown,
            None => Verdict::Changed(known),
        }
    }

    /// The keys that a host may show.
    pub fn keys(&self, host: &HostName) -> impl Iterator<Item = KnownKey> {
        self.of(host, Marker::None).map(|entry| KnownKey {
            key_type: entry.line.key_type.clone(),
            key: entry.line.key.clone(),
            place: entry.place.clone(),
        })
    }

    /// Where it is said that a key must not be accepted from this host: as its own, or as an authority's.
    pub fn revokes(&self, host: &HostName, key: &[u8]) -> Option<&Place> {
        self.of(host, Marker::Revoked).find(|entry| entry.line.key == key).map(|entry| &entry.place)
    }

    /// The keys whose owners may vouch for this host with a certificate.
    pub fn authorities(&self, host: &HostName) -> impl Iterator<Item = &[u8]> {
        self.of(host, Marker::CertAuthority).map(|entry| &*entry.line.key)
    }

    fn of(&self, host: &HostName, marker: Marker) -> impl Iterator<Item = &Entry> {
        let host = host.lookup();
        self.entries.iter().filter(move |entry| entry.line.marker == marker && entry.line.hosts.contain(&host))
    }
}

#[cfg(test)]
mod tests;
