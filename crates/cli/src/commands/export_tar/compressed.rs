//! A stream that is compressed as a file's name says.
//!
//! Source: borg 1.4 `helpers/misc.py`, `get_tar_filter`; the levels are those of the programs that stock runs.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;
use lz4_flex::frame::FrameEncoder;

/// How a tar is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    None,
    Gzip,
    Xz,
    Zstd,
    Lz4,
}

impl Format {
    /// What a file's name says; `None` if that is bzip2.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.as_os_str().as_encoded_bytes();
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix.as_bytes()));
        match () {
            () if ends(&[".tar.gz", ".tgz"]) => Some(Self::Gzip),
            () if ends(&[".tar.bz2", ".tbz"]) => None,
            () if ends(&[".tar.xz", ".txz"]) => Some(Self::Xz),
            () if ends(&[".tar.zst", ".tar.zstd"]) => Some(Self::Zstd),
            () if ends(&[".tar.lz4"]) => Some(Self::Lz4),
            () => Some(Self::None),
        }
    }
}

/// Compresses what is written to it.
pub(super) enum Compressed<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Xz(XzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
    Lz4(Box<FrameEncoder<W>>),
}

impl<W: Write> Compressed<W> {
    pub(super) fn new(format: Format, output: W) -> io::Result<Self> {
        Ok(match format {
            Format::None => Self::None(output),
            Format::Gzip => Self::Gzip(GzEncoder::new(output, flate2::Compression::default())),
            Format::Xz => Self::Xz(XzEncoder::new(output, 6)),
            Format::Zstd => {
                let mut encoder = zstd::Encoder::new(output, 3)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Format::Lz4 => Self::Lz4(Box::new(FrameEncoder::new(output))),
        })
    }

    /// Ends the compressed stream; returns what it went to.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
        }
    }

    fn output(&mut self) -> &mut dyn Write {
        match self {
            Self::None(output) => output,
            Self::Gzip(encoder) => encoder,
            Self::Xz(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
            Self::Lz4(encoder) => encoder,
        }
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output().flush()
    }
}
