//! Paths in messages.

use std::fmt;

/// A path for people: readable where it is text, escaped where it would disturb a terminal or a log.
pub(crate) struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                // What is not printable (controls, direction marks) is escaped; quotes are left as they are.
                if matches!(character, '\'' | '"') {
                    write!(f, "{character}")?;
                } else {
                    write!(f, "{}", character.escape_debug())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(Escaped("wörld's/r.0.0.mca".as_bytes()).to_string(), "wörld's/r.0.0.mca");
        assert_eq!(Escaped(b"a\x1b[2J\n\xff\\").to_string(), "a\\u{1b}[2J\\n\\xff\\\\");
        assert_eq!(Escaped("\u{202e}".as_bytes()).to_string(), "\\u{202e}");
    }
}
