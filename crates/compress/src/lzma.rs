//! LZMA: an .xz stream, or the older .lzma, neither of which need say how long its data is.

use liblzma::stream::{Action, Check, Error, Filters, LzmaOptions, Status, Stream};

use crate::algorithm::Algorithm;
use crate::error::DecompressError;
use crate::room::make_room;

/// Compresses into memory that is kept; the library's own is given back after each chunk.
pub(crate) struct Encoder {
    level: u8,
    stream: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(level: u8) -> Self {
        Self { level, stream: Vec::new() }
    }

    /// The stream for `data`; `None` if the library fails.
    pub(crate) fn encode(&mut self, data: &[u8]) -> Option<&[u8]> {
        let mut options = LzmaOptions::new_preset(u32::from(self.level)).ok()?;
        // A dictionary larger than the data finds nothing more, and at level 9 would cost 674 MiB of memory.
        let needed = data.len().next_power_of_two().max(SMALLEST_DICTIONARY);
        if needed < DICTIONARIES[usize::from(self.level)] {
            options.dict_size(needed as u32);
        }
        let mut filters = Filters::new();
        filters.lzma2(&options);
        // Chunks have their own MAC, so borg leaves out the container's check.
        let mut stream = Stream::new_stream_encoder(&filters, Check::None).ok()?;
        self.stream.clear();
        loop {
            self.stream.reserve(data.len() + data.len() / 1024 + 1024);
            let rest = &data[stream.total_in() as usize..];
            if stream.process_vec(rest, &mut self.stream, Action::Finish).ok()? == Status::StreamEnd {
                return Some(&self.stream);
            }
        }
    }
}

/// Size of the dictionary at each level, in bytes.
const DICTIONARIES: [usize; 10] =
    [256 << 10, 1 << 20, 2 << 20, 4 << 20, 4 << 20, 8 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20];
/// The smallest dictionary the format has, in bytes.
const SMALLEST_DICTIONARY: usize = 4 << 10;

/// The data of `body`.
///
/// As in borg (and Python), streams one after the other are joined, and bytes behind a stream that are no stream are
/// ignored.
pub(crate) fn decode(body: &[u8], size_hint: Option<usize>, limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    let expected = size_hint.unwrap_or(body.len().saturating_mul(4));
    let mut rest = body;
    loop {
        let before = out.len();
        let mut stream = Stream::new_auto_decoder(DECODER_MEMORY, 0).map_err(damaged)?;
        loop {
            make_room(Algorithm::Lzma, &mut out, expected, limit)?;
            match stream.process_vec(&rest[stream.total_in() as usize..], &mut out, Action::Run) {
                Ok(Status::StreamEnd) => break,
                Ok(_) if out.len() < out.capacity() => return Err(damaged("the stream is cut off")),
                Ok(_) => {}
                Err(Error::Data | Error::Format | Error::Options) if rest.len() < body.len() => {
                    out.truncate(before);
                    return Ok(out);
                }
                Err(reason) => return Err(damaged(reason)),
            }
        }
        if out.len() > limit {
            return Err(DecompressError::TooLarge { algorithm: Algorithm::Lzma, limit });
        }
        rest = &rest[stream.total_in() as usize..];
        if rest.is_empty() {
            return Ok(out);
        }
    }
}

/// What the library may allocate: enough for the 64 MiB dictionary of level 9.
const DECODER_MEMORY: u64 = 80 << 20;

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecompressError {
    DecompressError::damaged(Algorithm::Lzma, reason)
}
