//! The name of an archive.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// An archive's name in its repository.
///
/// To borg it is text, but nothing on disk keeps it from being other bytes (stock carries them through as surrogates).
/// So it is kept as bytes, shown with replacement characters, and a name from outside that stock would not take for a
/// new archive is refused by [`FromStr`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveName(Vec<u8>);

/// The text cannot name a new archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name an archive: 1 to 255 bytes without \"/\", \"::\" or control characters can")]
pub struct InvalidName(pub String);

impl ArchiveName {
    /// A name as it was found in a repository, whatever it is.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }
}

impl FromStr for ArchiveName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let well_formed = !text.is_empty()
            && text.len() <= MAX_NAME_LEN
            && !text.contains('/')
            && !text.contains("::")
            && !text.contains(char::is_control);
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidName(text.into())) }
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// So that a map by name is asked with bytes at hand.
impl Borrow<[u8]> for ArchiveName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// What borg 1.1 and 1.2 can read.
pub(crate) const MAX_NAME_LEN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stock_would_not_take_are_refused() {
        for wrong in ["", "a/b", "a::b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert_eq!(wrong.parse::<ArchiveName>(), Err(InvalidName(wrong.into())));
        }
        for right in ["world-2026-11-06T12:00:00", "späce näme", "a:b", &"x".repeat(255)] {
            assert_eq!(right.parse::<ArchiveName>().unwrap().to_string(), right);
        }
    }

    #[test]
    fn names_of_any_bytes_are_kept_and_shown() {
        let name = ArchiveName::from_bytes(*b"bad-\xff");
        assert_eq!(name.as_bytes(), b"bad-\xff");
        assert_eq!(name.as_str(), None);
        assert_eq!(name.to_string(), "bad-\u{fffd}");
    }
}
