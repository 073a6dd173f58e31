//! One line of the file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hosts::Hosts;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    /// Like `ssh-ed25519`; the key says the same of itself.
    pub(super) key_type: String,
    /// As SSH sends it. One of a type that we do not know is as good as any: it only has to be the same.
    pub(super) key: Vec<u8>,
}

/// What an entry says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the host's.
    None,
    /// Its owner vouches for the host's.
    CertAuthority,
    /// It must not be accepted.
    Revoked,
}

/// What is no entry, and no comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoEntry {
    /// It begins with a mark, or was meant to.
    pub(super) is_marked: bool,
}

impl Line {
    /// Reads a line; `None` if nothing is on it.
    pub(super) fn parse(text: &[u8]) -> Option<Result<Self, NoEntry>> {
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let first = words.next()?;
        if first.starts_with(b"#") {
            return None;
        }
        let is_marked = first.starts_with(b"@");
        let (marker, hosts) = match first {
            b"@cert-authority" => (Some(Marker::CertAuthority), words.next()),
            b"@revoked" => (Some(Marker::Revoked), words.next()),
            _ if is_marked => (None, None),
            hosts => (Some(Marker::None), Some(hosts)),
        };
        let mut entry = || {
            let (marker, hosts) = (marker?, Hosts::parse(hosts?)?);
            let key_type = str::from_utf8(words.next()?).ok()?;
            let key = STANDARD.decode(words.next()?).ok()?;
            let is_said = own_type(&key)? == key_type.as_bytes();
            is_said.then_some(Self { marker, hosts, key_type: key_type.to_owned(), key })
        };
        Some(entry().ok_or(NoEntry { is_marked }))
    }
}

/// The type a key names itself, with which its bytes begin.
fn own_type(key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = key.split_first_chunk()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
