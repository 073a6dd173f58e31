//! Borg's compression headers and algorithms.
//!
//! Every payload says in its first two bytes how it is compressed ([`Algorithm`]). [`Compression`] is what a user asks
//! for, a [`Compressor`] does it, a [`Decompressor`] undoes whatever any borg 1.x did. Both are made to be kept, one
//! per thread: what the algorithms need to allocate is allocated once. Two of borg's compressions are no algorithms:
//! `auto` decides between two for each chunk, and `obfuscate` wraps a payload to hide its size.

mod algorithm;
mod compressor;
mod decompressor;
mod error;
mod lz4;
mod lzma;
mod obfuscation;
mod padded;
mod repeats;
mod room;
mod sequences;
mod spec;
mod zlib;
mod zstd;

pub use algorithm::Algorithm;
pub use compressor::{Compressor, Payload};
pub use decompressor::{Decompressor, fuzz_decompress};
pub use error::DecompressError;
pub use spec::{Compression, SpecError, fuzz_compression};
