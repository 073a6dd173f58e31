//! Zstandard: one frame, which says how long its data is.

use std::ops::DerefMut;

use zstd::bulk;
use zstd::zstd_safe::{compress_bound, get_frame_content_size};

use crate::algorithm::Algorithm;
use crate::error::DecompressError;

/// Compresses with a context that is kept.
pub(crate) struct Encoder {
    level: i32,
    /// `None` before the first use, and after a failure, which leaves a context unusable.
    context: Option<bulk::Compressor<'static>>,
    frame: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(level: u8) -> Self {
        Self { level: i32::from(level), context: None, frame: Vec::new() }
    }

    /// The frame for `data`; `None` if the library fails.
    pub(crate) fn encode(&mut self, data: &[u8]) -> Option<&[u8]> {
        let mut context = match self.context.take() {
            Some(context) => context,
            None => bulk::Compressor::new(self.level).ok()?,
        };
        self.frame.clear();
        self.frame.reserve(compress_bound(data.len()));
        // Compressing in one call is what writes the content size, without which borg refuses the frame.
        context.compress_to_buffer(data, &mut self.frame).ok()?;
        self.context = Some(context);
        Some(&self.frame)
    }
}

/// Decompresses with a context that is kept.
#[derive(Default)]
pub(crate) struct Decoder {
    /// `None` before the first use, and after a failure, which leaves a context unusable.
    context: Option<bulk::Decompressor<'static>>,
}

impl Decoder {
    /// Puts the data of `frame` into what `room` gives for as many bytes.
    pub(crate) fn decode<R: DerefMut<Target = [u8]>>(
        &mut self,
        frame: &[u8],
        limit: usize,
        room: impl FnOnce(usize) -> R,
    ) -> Result<R, DecompressError> {
        let size = get_frame_content_size(frame)
            .map_err(|_| damaged("it has no frame header"))?
            .ok_or_else(|| damaged("the frame does not say the size of its content"))?;
        let size = usize::try_from(size)
            .ok()
            .filter(|&size| size <= limit)
            .ok_or(DecompressError::TooLarge { algorithm: Algorithm::Zstd, limit })?;
        let mut data = room(size);
        let mut context = match self.context.take() {
            Some(context) => context,
            None => bulk::Decompressor::new().map_err(damaged)?,
        };
        let len = context.decompress_to_buffer(frame, &mut data[..]).map_err(damaged)?;
        self.context = Some(context);
        // More frames may follow in the same payload; borg takes them only if they add nothing.
        if len == size { Ok(data) } else { Err(damaged("the data has another size than its frame says")) }
    }
}

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecompressError {
    DecompressError::damaged(Algorithm::Zstd, reason)
}
