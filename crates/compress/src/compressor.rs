//! Compresses chunks the way a user asked for.

use crate::algorithm::Algorithm;
use crate::spec::Compression;
use crate::{lz4, lzma, zlib, zstd};

/// Compresses chunks. Made to be kept, one per thread: its algorithm allocates once.
pub struct Compressor {
    encoder: Encoder,
}

/// The algorithm with what it keeps from chunk to chunk.
enum Encoder {
    None,
    Lz4(lz4::Encoder),
    Zstd(zstd::Encoder),
    Zlib(zlib::Encoder),
    Lzma(lzma::Encoder),
}

impl Compressor {
    /// A compressor for this way to compress.
    pub fn new(compression: Compression) -> Self {
        let encoder = match compression {
            Compression::None => Encoder::None,
            Compression::Lz4 => Encoder::Lz4(lz4::Encoder::new()),
            Compression::Zstd(level) => Encoder::Zstd(zstd::Encoder::new(level)),
            Compression::Zlib(level) => Encoder::Zlib(zlib::Encoder::new(level)),
            Compression::Lzma(level) => Encoder::Lzma(lzma::Encoder::new(level)),
        };
        Self { encoder }
    }

    /// Appends `data` to `out` as a payload: header and body. What `out` holds already stays.
    ///
    /// As in borg, data that lz4, zstd or lzma cannot make smaller is stored as it is, and zlib always stays zlib. An
    /// algorithm that fails (for want of memory) also leaves the data as it is.
    pub fn compress(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let (algorithm, body) = match &mut self.encoder {
            Encoder::None => (Algorithm::None, None),
            Encoder::Lz4(encoder) => (Algorithm::Lz4, encoder.encode(data)),
            Encoder::Zstd(encoder) => (Algorithm::Zstd, encoder.encode(data)),
            Encoder::Zlib(encoder) => (Algorithm::Zlib, encoder.encode(data)),
            Encoder::Lzma(encoder) => (Algorithm::Lzma, encoder.encode(data)),
        };
        let (algorithm, body) = match body {
            Some(body) if body.len() < data.len() || algorithm == Algorithm::Zlib => (algorithm, body),
            _ => (Algorithm::None, data),
        };
        let header = algorithm.header();
        out.reserve(header.len() + body.len());
        out.extend_from_slice(header);
        out.extend_from_slice(body);
    }
}
