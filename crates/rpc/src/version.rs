//! Borg's versions as they go over the wire: numbers that compare as Python's tuples do.

use std::fmt;

use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};

/// A version of borg.
///
/// Three numbers, then −1 for a release, or −9 (dev), −4 (alpha), −3 (beta), −2 (release candidate) and its number: so that
/// comparing them member by member is comparing versions.
///
/// Source: borg 1.4 `version.py`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Vec<i32>);

const RELEASE: i32 = -1;
/// More than any version has.
const MAX_NUMBERS: usize = 8;

impl Version {
    /// A release.
    pub fn release(major: i32, minor: i32, patch: i32) -> Self {
        Self(vec![major, minor, patch, RELEASE])
    }

    /// Returns whether this is `other` or newer, given as its numbers.
    pub fn is_at_least(&self, other: &[i32]) -> bool {
        self.0.as_slice() >= other
    }

    /// Returns whether the protocol of this version is the one that is spoken here: that of borg 1.1 to 1.4.
    pub fn is_supported(&self) -> bool {
        self.is_at_least(&[1, 1]) && !self.is_at_least(&[2])
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = decoder.position();
        let len = decoder.array()?;
        if len == 0 || len > MAX_NUMBERS {
            return Err(DecodeError::OutOfRange { at });
        }
        Ok(Self((0..len).map(|_| decoder.int_as()).collect::<Result<_, _>>()?))
    }

    /// Decodes the map in which either side says its own, under `key`.
    pub(crate) fn decode_said(decoder: &mut Decoder<'_>, key: &[u8]) -> Result<Self, DecodeError> {
        let at = decoder.position();
        let mut version = None;
        for _ in 0..decoder.map()? {
            if decoder.raw()? == key {
                version = Some(Self::decode(decoder)?);
            } else {
                decoder.skip()?;
            }
        }
        version.ok_or(DecodeError::OutOfRange { at })
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.array(self.0.len());
        for number in &self.0 {
            encoder.int((*number).into());
        }
    }
}

/// As borg writes it: `1.4.5`, `1.2.0b3`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.0.iter();
        let mut dot = "";
        while let Some(number) = numbers.next() {
            let kind = match *number {
                RELEASE => break,
                -2 => "rc",
                -3 => "b",
                -4 => "a",
                -9 => ".dev",
                number => {
                    write!(f, "{dot}{number}")?;
                    dot = ".";
                    continue;
                }
            };
            return write!(f, "{kind}{}", numbers.next().unwrap_or(&0));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_a_release_is_older_than_it() {
        let ordered = ["1.1.18", "1.2.0.dev3", "1.2.0a4", "1.2.0b3", "1.2.0rc1", "1.2.0", "1.2.1", "1.10.0", "2.0.0"];
        let versions = [
            Version::release(1, 1, 18),
            Version(vec![1, 2, 0, -9, 3]),
            Version(vec![1, 2, 0, -4, 4]),
            Version(vec![1, 2, 0, -3, 3]),
            Version(vec![1, 2, 0, -2, 1]),
            Version::release(1, 2, 0),
            Version::release(1, 2, 1),
            Version::release(1, 10, 0),
            Version::release(2, 0, 0),
        ];
        assert!(versions.is_sorted());
        assert_eq!(versions.map(|version| version.to_string()), ordered);
    }

    #[test]
    fn borg_1_1_to_1_4_are_supported() {
        for (version, supported) in [
            (Version::release(1, 0, 13), false),
            (Version(vec![1, 1, 0, -3, 6]), true),
            (Version::release(1, 4, 5), true),
            (Version(vec![2, 0, 0, -3, 14]), false),
        ] {
            assert_eq!(version.is_supported(), supported, "{version}");
        }
    }

    #[test]
    fn a_version_is_a_short_list_of_numbers() {
        let packed = b"\x94\x01\x04\x05\xff";
        let version = Version::decode(&mut Decoder::new(packed)).unwrap();
        assert_eq!(version, Version::release(1, 4, 5));
        let mut encoder = Encoder::new();
        version.encode(&mut encoder);
        assert_eq!(encoder.finish(), packed);
        for wrong in [&b"\x90"[..], b"\x99\x00\x00\x00\x00\x00\x00\x00\x00\x00", b"\x91\xc0", b"\xa11"] {
            assert!(Version::decode(&mut Decoder::new(wrong)).is_err(), "{wrong:02x?}");
        }
    }
}
