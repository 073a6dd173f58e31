//! The two bytes in front of every payload that name its algorithm.

use std::fmt;

/// How a payload is compressed, or otherwise wrapped, as its first two bytes say.
///
/// | bytes     | algorithm | what follows                                                          |
/// |-----------|-----------|-----------------------------------------------------------------------|
/// | `00 00`   | none      | the data                                                              |
/// | `01 00`   | lz4       | one LZ4 block, without its size                                       |
/// | `02 00`   | lzma      | an .xz stream                                                         |
/// | `03 00`   | zstd      | one zstd frame that says the size of its content                      |
/// | `04 00`   | obfuscate | u32 BE n, n bytes that are a payload of their own, padding            |
/// | see below | zlib      | these two bytes belong to the zlib stream already                     |
///
/// A zlib stream begins with a byte whose low half is 8, and its first two bytes, read as a big-endian number, are a
/// multiple of 31.
///
/// Source: borg 1.4 `compress.pyx`, `ID` and `detect` of each compressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Not compressed.
    None,
    /// LZ4 block format.
    Lz4,
    /// LZMA2 in an .xz container.
    Lzma,
    /// Zstandard.
    Zstd,
    /// Another payload, padded to hide its size.
    Obfuscate,
    /// Deflate in a zlib stream.
    Zlib,
}

/// Length of a payload's header, in bytes.
pub(crate) const HEADER_LEN: usize = 2;

impl Algorithm {
    /// Reads the header of a payload; `None` if it names no algorithm of borg's.
    pub fn detect(payload: &[u8]) -> Option<Self> {
        match *payload.first_chunk::<HEADER_LEN>()? {
            [0, 0] => Some(Self::None),
            [1, 0] => Some(Self::Lz4),
            [2, 0] => Some(Self::Lzma),
            [3, 0] => Some(Self::Zstd),
            [4, 0] => Some(Self::Obfuscate),
            header if header[0] & 0x0f == 8 && u16::from_be_bytes(header) % 31 == 0 => Some(Self::Zlib),
            _ => None,
        }
    }

    /// What borg puts in front of the algorithm's own output.
    pub(crate) fn header(self) -> &'static [u8] {
        match self {
            Self::None => &[0, 0],
            Self::Lz4 => &[1, 0],
            Self::Lzma => &[2, 0],
            Self::Zstd => &[3, 0],
            Self::Obfuscate => &[4, 0],
            Self::Zlib => &[],
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Obfuscate => "obfuscate",
            Self::Zlib => "zlib",
        })
    }
}
