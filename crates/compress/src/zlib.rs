//! Zlib: a deflate stream with its own header and checksum, and no size.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use crate::algorithm::Algorithm;
use crate::error::DecompressError;
use crate::room::make_room;

/// Compresses with a state that is kept.
pub(crate) struct Encoder {
    state: Compress,
    stream: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(level: u8) -> Self {
        // The library's level 1 knows no Huffman codes but the fixed ones: it makes noise 5 % larger, and text nearly
        // twice as large as zlib's level 1 would. Its level 2 is what borg's users mean by 1.
        let level = if level == 1 { 2 } else { level };
        Self { state: Compress::new(flate2::Compression::new(u32::from(level)), true), stream: Vec::new() }
    }

    /// The stream for `data`; `None` if the library fails.
    pub(crate) fn encode(&mut self, data: &[u8]) -> Option<&[u8]> {
        self.state.reset();
        self.stream.clear();
        loop {
            // Enough for data that does not shrink: five bytes for each stored block of 16 KiB, and header and trailer.
            self.stream.reserve(data.len() + data.len() / 1024 + 64);
            let rest = &data[self.state.total_in() as usize..];
            if self.state.compress_vec(rest, &mut self.stream, FlushCompress::Finish).ok()? == Status::StreamEnd {
                return Some(&self.stream);
            }
        }
    }
}

/// Decompresses with a state that is kept.
#[derive(Default)]
pub(crate) struct Decoder {
    state: Option<Decompress>,
}

impl Decoder {
    /// The data of `stream`. Bytes behind the stream's end are ignored, as in borg.
    pub(crate) fn decode(
        &mut self,
        stream: &[u8],
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<Vec<u8>, DecompressError> {
        let damaged = |reason| DecompressError::Damaged { algorithm: Algorithm::Zlib, source: reason };
        let state = self.state.get_or_insert_with(|| Decompress::new(true));
        state.reset(true);
        let mut out = Vec::new();
        let expected = size_hint.unwrap_or(stream.len().saturating_mul(3));
        loop {
            make_room(Algorithm::Zlib, &mut out, expected, limit)?;
            let rest = &stream[state.total_in() as usize..];
            let status = state.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|e| damaged(e.into()))?;
            if status == Status::StreamEnd {
                break;
            }
            if out.len() < out.capacity() {
                return Err(damaged("the stream is cut off".into()));
            }
        }
        if out.len() > limit { Err(DecompressError::TooLarge { algorithm: Algorithm::Zlib, limit }) } else { Ok(out) }
    }
}
