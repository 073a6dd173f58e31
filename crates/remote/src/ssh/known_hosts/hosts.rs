//! Whom an entry is about: patterns, or the hash of one name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A host as its keys are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// The name or address that was asked for, in lower case; one of IPv6 without brackets.
    name: String,
    port: u16,
}

/// The port that needs no mention.
pub const DEFAULT_PORT: u16 = 22;

impl HostName {
    /// The host of this name or address, at a port.
    pub fn new(name: &str, port: u16) -> Self {
        Self { name: name.to_ascii_lowercase(), port }
    }

    /// The name alone, for which certificates are made.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it stands in a file: `name`, or `[name]:port` where the port is not SSH's own.
    pub fn lookup(&self) -> String {
        if self.port == DEFAULT_PORT { self.name.clone() } else { format!("[{}]:{}", self.name, self.port) }
    }

    /// How it is typed in: `name`, `name:port`, with brackets around an address of IPv6.
    pub fn typed(&self) -> String {
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        if self.port == DEFAULT_PORT { name } else { format!("{name}:{}", self.port) }
    }
}

/// The second word of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// With commas between.
    Patterns(Vec<u8>),
    /// `|1|SALT|HASH`.
    Hashed {
        /// What the hash is keyed with.
        salt: Vec<u8>,
        /// HMAC-SHA1 of the name.
        hash: Vec<u8>,
    },
}

impl Hosts {
    /// Reads the word; `None` if it is of a hash we do not know.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let Some(hashed) = word.strip_prefix(b"|") else { return Some(Self::Patterns(word.to_owned())) };
        let mut parts = hashed.strip_prefix(b"1|")?.split(|byte| *byte == b'|');
        let salt = STANDARD.decode(parts.next()?).ok()?;
        let hash = STANDARD.decode(parts.next()?).ok()?;
        parts.next().is_none().then_some(Self::Hashed { salt, hash })
    }

    /// Returns whether they mean the host of this [lookup](HostName::lookup).
    pub(super) fn contain(&self, host: &str) -> bool {
        match self {
            Self::Patterns(patterns) => is_in(patterns, host.as_bytes()),
            Self::Hashed { salt, hash } => {
                let mut mac = Hmac::<Sha1>::new_from_slice(salt).expect("a salt may have any length");
                mac.update(host.as_bytes());
                mac.finalize().into_bytes()[..] == hash[..]
            }
        }
    }
}

/// A list is met where one of its patterns is, and none with a `!`.
///
/// Source: OpenSSH `match.c`, `match_pattern_list`.
fn is_in(patterns: &[u8], host: &[u8]) -> bool {
    let mut is_met = false;
    for pattern in patterns.split(|byte| *byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(pattern) if matches(pattern, host) => return false,
            Some(_) => {}
            None => is_met |= matches(pattern, host),
        }
    }
    is_met
}

/// Compares with a pattern in which `*` stands for any text and `?` for any character. Capital letters are not told apart.
///
/// Takes at most as many steps as the product of both lengths, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stood, and up to where it was taken to reach.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte.eq_ignore_ascii_case(&text[from]) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((position, reach)) => {
                    star = Some((position, reach + 1));
                    at = position + 1;
                    from = reach + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
