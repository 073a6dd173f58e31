//! Gives back what any borg 1.x compressed.

use std::ops::DerefMut;

use crate::algorithm::{Algorithm, HEADER_LEN};
use crate::error::DecompressError;
use crate::{lz4, lzma, zlib, zstd};

/// Decompresses payloads of every kind. Made to be kept, one per thread: its algorithms allocate once.
#[derive(Default)]
pub struct Decompressor {
    lz4: lz4::Decoder,
    zstd: zstd::Decoder,
    zlib: zlib::Decoder,
}

impl Decompressor {
    /// A decompressor for every algorithm; each allocates when it is first met.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the data in `payload`, which must not be more than `limit` bytes.
    ///
    /// `size_hint` is the length that the data should have, as an item or the chunk index knows it: a right one saves
    /// the search for it, a wrong one costs time and changes nothing.
    pub fn decompress(
        &mut self,
        payload: &[u8],
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<Vec<u8>, DecompressError> {
        let mut data = Vec::new();
        self.decompress_into(payload, &mut data, size_hint, limit)?;
        Ok(data)
    }

    /// Puts the data in `payload` into `out`, whose content is replaced and whose memory is used again.
    ///
    /// Otherwise as [`decompress`](Self::decompress); after an error `out` is empty.
    pub fn decompress_into(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<(), DecompressError> {
        let hint = size_hint.filter(|&size| size <= limit);
        let result = self.dispatch(payload, out, hint, limit);
        if result.is_err() {
            out.clear();
        }
        result
    }

    /// Puts the data in `payload` where there is room for it: `room` is asked for as many bytes as they are, whatever those
    /// hold, perhaps more than once. Otherwise as [`decompress`](Self::decompress).
    pub fn decompress_to<R>(
        &mut self,
        payload: &[u8],
        size_hint: Option<usize>,
        limit: usize,
        mut room: impl FnMut(usize) -> R,
    ) -> Result<R, DecompressError>
    where
        R: DerefMut<Target = [u8]>,
    {
        let hint = size_hint.filter(|&size| size <= limit);
        let Innermost { algorithm, payload, body } = Innermost::of(payload)?;
        match algorithm {
            Algorithm::Lz4 => self.lz4.decode(body, hint, limit, room),
            Algorithm::Zstd => self.zstd.decode(body, limit, room),
            // The others tell only at the end how much it was.
            _ => {
                let data = self.decompress(payload, hint, limit)?;
                let mut out = room(data.len());
                out.copy_from_slice(&data);
                Ok(out)
            }
        }
    }

    /// Returns whether a payload that lz4 made gives `data`; `None` for any other payload. If it takes that to tell, they are
    /// made again, in `room` of their length.
    pub fn lz4_gives<R>(payload: &[u8], data: &[u8], room: impl FnOnce() -> R) -> Option<bool>
    where
        R: DerefMut<Target = [u8]>,
    {
        let (header, block) = payload.split_first_chunk::<HEADER_LEN>()?;
        (header == Algorithm::Lz4.header()).then(|| lz4::gives(block, data, room))
    }

    /// The data of a payload that is not compressed, without a copy; `None` for any other.
    pub fn uncompressed(payload: &[u8]) -> Option<&[u8]> {
        payload.strip_prefix(Algorithm::None.header())
    }

    /// May leave anything in `out` when it fails.
    fn dispatch(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<(), DecompressError> {
        let Innermost { algorithm, payload, body } = Innermost::of(payload)?;
        let mut room = |len| {
            let mut room = std::mem::take(out);
            room.resize(len, 0);
            room
        };
        match algorithm {
            Algorithm::Obfuscate => unreachable!("it is the innermost payload"),
            Algorithm::None if body.len() > limit => {
                return Err(DecompressError::TooLarge { algorithm: Algorithm::None, limit });
            }
            Algorithm::None => {
                out.clear();
                out.extend_from_slice(body);
            }
            Algorithm::Lz4 => *out = self.lz4.decode(body, size_hint, limit, room)?,
            Algorithm::Zstd => *out = self.zstd.decode(body, limit, &mut room)?,
            Algorithm::Zlib => self.zlib.decode(payload, out, size_hint, limit)?,
            Algorithm::Lzma => lzma::decode(body, out, size_hint, limit)?,
        }
        Ok(())
    }
}

/// A payload that is not obfuscated, or what an obfuscated one holds.
struct Innermost<'a> {
    algorithm: Algorithm,
    payload: &'a [u8],
    /// The payload without its header.
    body: &'a [u8],
}

impl<'a> Innermost<'a> {
    fn of(mut payload: &'a [u8]) -> Result<Self, DecompressError> {
        loop {
            let Some((header, body)) = payload.split_first_chunk::<HEADER_LEN>() else {
                return Err(DecompressError::TooShort(payload.len()));
            };
            match Algorithm::detect(payload).ok_or(DecompressError::UnknownHeader(*header))? {
                // Borg lets obfuscation be nested. Each layer takes bytes away, so this ends.
                Algorithm::Obfuscate => payload = unpad(body)?,
                algorithm => return Ok(Self { algorithm, payload, body }),
            }
        }
    }
}

/// The inner payload of an obfuscated one.
fn unpad(body: &[u8]) -> Result<&[u8], DecompressError> {
    let damaged = |reason: &str| DecompressError::damaged(Algorithm::Obfuscate, reason);
    let (len, padded) = body.split_first_chunk().ok_or_else(|| damaged("the length is cut off"))?;
    padded.get(..u32::from_be_bytes(*len) as usize).ok_or_else(|| damaged("the inner payload is cut off"))
}

/// Decompresses any bytes and checks the limit, and that hint, reused memory and given room change nothing; for fuzzing.
pub fn fuzz_decompress(bytes: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let mut decompressor = Decompressor::new();
    let first = decompressor.decompress(bytes, None, LIMIT);
    let mut again = vec![0xa5; 1000];
    for hint in [Some(0), Some(900), first.as_ref().ok().map(Vec::len), Some(LIMIT + 1)] {
        let result = decompressor.decompress_into(bytes, &mut again, hint, LIMIT);
        assert_eq!(result.is_ok(), first.is_ok());
        assert_eq!(first.as_deref().unwrap_or_default(), again);
        let given = decompressor.decompress_to(bytes, hint, LIMIT, |len| vec![0xa5; len]);
        assert_eq!(given.ok().as_ref(), first.as_ref().ok());
    }
    assert!(again.len() <= LIMIT);
}
