//! Which archives are meant by a glob.

use regex::Regex;

use super::error::PatternError;
use super::glob::{self, Wildcards};
use super::text;

/// A glob for names of archives: that of `sh`, matched as a whole.
///
/// Source: borg 1.4 `helpers/manifest.py`, `Archives.list`.
#[derive(Clone, Debug)]
pub struct NameGlob(Regex);

impl NameGlob {
    /// Makes sense of a glob.
    pub fn new(glob: &str) -> Result<Self, PatternError> {
        let invalid = |reason| PatternError::Invalid { pattern: glob.to_owned(), reason };
        let expression = glob::translate(glob, Wildcards::StopAtSlashes).map_err(|error| invalid(error.into()))?;
        Ok(Self(Regex::new(&expression).map_err(|error| invalid(error.into()))?))
    }

    /// Returns whether a name matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.is_match(&text::decode(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_the_whole_name() {
        let glob = NameGlob::new("mc-[0-9]*").unwrap();
        for (name, expected) in [(&b"mc-1"[..], true), (b"mc-", false), (b"a-mc-1", false), (b"mc-2\xff", true)] {
            assert_eq!(glob.matches(name), expected, "{name:?}");
        }
        assert!(NameGlob::new("[z-a]").is_err());
    }
}
