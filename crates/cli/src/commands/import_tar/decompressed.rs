//! A stream that is decompressed as its first bytes say: those cannot be wrong, as a file's name can, and standard input
//! has no name.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use lz4_flex::frame::FrameDecoder;

/// What some way of compression cannot undo.
#[derive(Debug, thiserror::Error)]
#[error("it is compressed with bzip2, which Worldkeeper cannot undo")]
pub(super) struct Bzip2;

/// Memory that undoing xz may take, in bytes; `xz -9` asks for 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// What comes out of a stream.
pub(super) fn decompressed<'a>(mut input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let start = input.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(input)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(XzDecoder::new_stream(input, Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?))
        }
        // The second is a frame to be skipped, which some put first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::Decoder::with_buffer(input)?)
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Box::new(FrameDecoder::new(input)),
        // Behind the letters stands a digit, then the first block.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => return Err(io::Error::other(Bzip2)),
        _ => Box::new(input),
    })
}
