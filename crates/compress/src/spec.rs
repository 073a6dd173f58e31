//! What a user asks for: borg's compression option and its limits.

use std::fmt;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::obfuscation::Obfuscation;

/// How new chunks are to be compressed. A value of this type is always within borg's limits.
///
/// The text form is borg's `--compression`:
///
/// | text                  | meaning                                                                          |
/// |-----------------------|----------------------------------------------------------------------------------|
/// | `none`                | not at all                                                                       |
/// | `lz4`                 | fast, and borg's default                                                         |
/// | `zstd[,1-22]`         | level 3 by default                                                               |
/// | `zlib[,0-9]`          | level 6 by default                                                               |
/// | `lzma[,0-9]`          | level 6 by default                                                               |
/// | `auto,C`              | by lz4, and by C, one of the above, where lz4 finds something and C finds more   |
/// | `obfuscate,S,C`       | by C, any of the above, then padded to hide the size; S is 1-6, 110-123 or 250   |
///
/// Borg also takes an `obfuscate` in an `obfuscate`; that hides nothing more, and is refused.
///
/// Source: borg 1.4 `compress.pyx`, `CompressionSpec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Compression {
    pub(crate) method: Method,
    /// Whether the method is used only where it is better than lz4.
    pub(crate) is_auto: bool,
    pub(crate) obfuscation: Option<Obfuscation>,
}

impl Compression {
    /// Returns whether the processor has more to do with this than with all the rest, whatever the data is.
    pub fn is_laborious(&self) -> bool {
        !matches!(self.method, Method::None | Method::Lz4)
    }
}

/// An algorithm and its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    None,
    #[default]
    Lz4,
    Zstd(u8),
    Zlib(u8),
    Lzma(u8),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(obfuscation) = self.obfuscation {
            write!(f, "obfuscate,{obfuscation},")?;
        }
        if self.is_auto {
            f.write_str("auto,")?;
        }
        match self.method {
            Method::None => f.write_str("none"),
            Method::Lz4 => f.write_str("lz4"),
            Method::Zstd(level) => write!(f, "zstd,{level}"),
            Method::Zlib(level) => write!(f, "zlib,{level}"),
            Method::Lzma(level) => write!(f, "lzma,{level}"),
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
        let method = match name {
            // Borg takes and ignores values here.
            "none" => Method::None,
            "lz4" => Method::Lz4,
            "zstd" => Method::Zstd(level(values, 3, 1..=22)?),
            "zlib" => Method::Zlib(level(values, 6, 0..=9)?),
            "lzma" => Method::Lzma(level(values, 6, 0..=9)?),
            "auto" => return auto(text, values),
            "obfuscate" => return obfuscate(text, values),
            _ => return Err(SpecError::Unknown(text.to_owned())),
        };
        Ok(Self { method, is_auto: false, obfuscation: None })
    }
}

/// Reads what stands behind `auto`. Another `auto` there decides the same again.
fn auto(text: &str, values: Option<&str>) -> Result<Compression, SpecError> {
    // Borg counts the commas, so there is never an `obfuscate` in an `auto`.
    let inner = values.filter(|values| values.split(',').count() <= 2);
    let inner: Compression = inner.ok_or_else(|| SpecError::Shape(text.to_owned()))?.parse()?;
    Ok(Compression { is_auto: true, ..inner })
}

/// Reads what stands behind `obfuscate`.
fn obfuscate(text: &str, values: Option<&str>) -> Result<Compression, SpecError> {
    let values = values.and_then(|values| values.split_once(',')).filter(|(_, inner)| inner.split(',').count() <= 3);
    let (word, inner) = values.ok_or_else(|| SpecError::Shape(text.to_owned()))?;
    let level = number(word)?;
    let obfuscation = Obfuscation::from_level(level).ok_or(SpecError::ObfuscationLevel(level))?;
    let inner: Compression = inner.parse()?;
    if inner.obfuscation.is_some() {
        return Err(SpecError::Shape(text.to_owned()));
    }
    Ok(Compression { obfuscation: Some(obfuscation), ..inner })
}

/// Reads the level behind an algorithm's name, if there is one.
fn level(values: Option<&str>, default: u8, allowed: RangeInclusive<u8>) -> Result<u8, SpecError> {
    let Some(word) = values else { return Ok(default) };
    let level = number(word)?;
    if !allowed.contains(&level) {
        return Err(SpecError::LevelOutOfRange { level, lowest: *allowed.start(), highest: *allowed.end() });
    }
    Ok(level)
}

/// Reads a level of any kind. As in borg, there may be spaces around it.
fn number(word: &str) -> Result<u8, SpecError> {
    word.trim().parse().map_err(|source| SpecError::Level { word: word.to_owned(), source })
}

/// Why a compression is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No algorithm of borg's.
    #[error(
        "`{0}` is not a compression, expected none, lz4, zstd[,LEVEL], zlib[,LEVEL], lzma[,LEVEL], auto,COMPRESSION or \
         obfuscate,LEVEL,COMPRESSION"
    )]
    Unknown(String),
    /// An `auto` or `obfuscate` without what belongs to it, or with too much.
    #[error("`{0}` is neither auto,COMPRESSION nor obfuscate,LEVEL,COMPRESSION")]
    Shape(String),
    /// Borg has no such obfuscation.
    #[error("obfuscation level {0} is not 1 to 6, 110 to 123 or 250")]
    ObfuscationLevel(u8),
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
    fn one_in_another() {
        // Each accepted by borg 1.4.5 with this meaning.
        accepts("auto,zstd", "auto,zstd,3");
        accepts("auto,lzma,0", "auto,lzma,0");
        accepts("auto,none,5", "auto,none");
        accepts("auto,auto,lz4", "auto,lz4");
        accepts("obfuscate,1,none", "obfuscate,1,none");
        accepts("obfuscate, 3 ,lz4", "obfuscate,3,lz4");
        accepts("obfuscate,110,zstd", "obfuscate,110,zstd,3");
        accepts("obfuscate,123,auto,zstd,7", "obfuscate,123,auto,zstd,7");
        accepts("obfuscate,250,auto,auto,lz4", "obfuscate,250,auto,lz4");
    }

    #[test]
    fn borgs_limits_of_one_in_another() {
        let shape = "is neither auto,COMPRESSION nor obfuscate,LEVEL,COMPRESSION";
        for text in
            ["auto", "auto,lz4,1,2", "auto,auto,zstd,3", "auto,auto", "auto,obfuscate,1,lz4", "auto,obfuscate,1"]
        {
            refuses(text, shape);
        }
        for text in ["obfuscate", "obfuscate,1", "obfuscate,1,auto", "obfuscate,1,lz4,1,2,3"] {
            refuses(text, shape);
        }
        for text in ["auto,", "auto, zstd", "auto,bzip2", "obfuscate,1,", "obfuscate,1,bzip2"] {
            refuses(text, "is not a compression,");
        }
        refuses("auto,zstd,23", "level 23 is not within 1 to 22");
        refuses("obfuscate,x,lz4", "`x` is not a compression level");
        for level in [0, 7, 109, 124, 249, 251] {
            refuses(&format!("obfuscate,{level},lz4"), "is not 1 to 6, 110 to 123 or 250");
        }
    }

    #[test]
    fn twice_obfuscated_is_refused() {
        // Borg would do it.
        refuses("obfuscate,250,obfuscate,1,lz4", "is neither");
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "(obfuscate,[0-9]{1,3},)?(auto,){0,2}(none|lz4|zstd|zlib|lzma)?(,-?[0-9]{1,4}){0,2}|\\PC{0,20}") {
            fuzz_compression(&text);
        }
    }
}
