//! What a user asks for: borg's compression option and its limits.

use std::fmt;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

/// How new chunks are to be compressed. A value of this type is always within borg's limits.
///
/// The text form is borg's `--compression`: `none`, `lz4`, `zstd[,LEVEL]`, `zlib[,LEVEL]`, `lzma[,LEVEL]`.
///
/// Source: borg 1.4 `compress.pyx`, `CompressionSpec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast, and borg's default.
    #[default]
    Lz4,
    /// With a level from 1 to 22, 3 by default.
    #[non_exhaustive]
    Zstd(u8),
    /// With a level from 0 to 9, 6 by default.
    #[non_exhaustive]
    Zlib(u8),
    /// With a level from 0 to 9, 6 by default.
    #[non_exhaustive]
    Lzma(u8),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Zstd(level) => write!(f, "zstd,{level}"),
            Self::Zlib(level) => write!(f, "zlib,{level}"),
            Self::Lzma(level) => write!(f, "lzma,{level}"),
        }
    }
}

impl FromStr for Compression {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, values) = match text.split_once(',') {
            Some((name, values)) => (name, Some(values)),
            None => (text, None),
        };
        match name {
            // Borg takes and ignores values here.
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd(level(values, 3, 1..=22)?)),
            "zlib" => Ok(Self::Zlib(level(values, 6, 0..=9)?)),
            "lzma" => Ok(Self::Lzma(level(values, 6, 0..=9)?)),
            "auto" | "obfuscate" => Err(SpecError::Later(name.to_owned())),
            _ => Err(SpecError::Unknown(text.to_owned())),
        }
    }
}

/// Reads the level behind an algorithm's name, if there is one.
fn level(values: Option<&str>, default: u8, allowed: RangeInclusive<u8>) -> Result<u8, SpecError> {
    let Some(word) = values else { return Ok(default) };
    let level = word.trim().parse().map_err(|source| SpecError::Level { word: word.to_owned(), source })?;
    if !allowed.contains(&level) {
        return Err(SpecError::LevelOutOfRange { level, lowest: *allowed.start(), highest: *allowed.end() });
    }
    Ok(level)
}

/// Why a compression is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No algorithm of borg's.
    #[error("`{0}` is not a compression, expected none, lz4, zstd[,LEVEL], zlib[,LEVEL] or lzma[,LEVEL]")]
    Unknown(String),
    /// One that borg can write and we can only read.
    #[error("writing with compression `{0}` is not supported yet")]
    Later(String),
    /// The level is no number.
    #[error("`{word}` is not a compression level")]
    Level {
        /// What stands there instead.
        word: String,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// The algorithm has no such level.
    #[error("compression level {level} is not within {lowest} to {highest}")]
    LevelOutOfRange {
        /// The level that was asked for.
        level: u8,
        /// The lowest the algorithm has.
        lowest: u8,
        /// The highest the algorithm has.
        highest: u8,
    },
}

/// Parses any text and checks that what is accepted survives its own text form; for fuzzing.
pub fn fuzz_compression(text: &str) {
    if let Ok(compression) = text.parse::<Compression>() {
        assert_eq!(compression.to_string().parse(), Ok(compression));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `text` is accepted and written as `expected`.
    #[track_caller]
    fn accepts(text: &str, expected: &str) {
        assert_eq!(text.parse::<Compression>().unwrap().to_string(), expected);
    }

    /// Checks that `text` is refused with this message.
    #[track_caller]
    fn refuses(text: &str, reason: &str) {
        let message = text.parse::<Compression>().unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }

    #[test]
    fn borgs_option_text() {
        // Each accepted by borg 1.4.5 with this result.
        accepts("none", "none");
        accepts("none,3", "none");
        accepts("lz4", "lz4");
        accepts("lz4,9", "lz4");
        accepts("zstd", "zstd,3");
        accepts("zstd,1", "zstd,1");
        accepts("zstd, 22", "zstd,22");
        accepts("zlib", "zlib,6");
        accepts("zlib,0", "zlib,0");
        accepts("lzma", "lzma,6");
        accepts("lzma,9", "lzma,9");
        assert_eq!(Compression::default().to_string(), "lz4");
    }

    #[test]
    fn borgs_limits() {
        for text in ["", "bzip2", "ZSTD", " zstd", "zstd3"] {
            refuses(text, "is not a compression,");
        }
        for text in ["zstd,", "zstd,x", "zstd,-1", "zstd,3,4", "zlib,256"] {
            refuses(text, "is not a compression level");
        }
        refuses("zstd,0", "level 0 is not within 1 to 22");
        refuses("zstd,23", "level 23 is not within 1 to 22");
        refuses("zlib,10", "level 10 is not within 0 to 9");
        refuses("lzma,10", "level 10 is not within 0 to 9");
    }

    #[test]
    fn what_comes_later_is_named() {
        refuses("auto,zstd,3", "writing with compression `auto` is not supported yet");
        refuses("obfuscate,250,lz4", "writing with compression `obfuscate` is not supported yet");
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "(none|lz4|zstd|zlib|lzma|auto)(,-?[0-9]{1,4}){0,2}|\\PC{0,20}") {
            fuzz_compression(&text);
        }
    }
}
