//! Gives back what any borg 1.x compressed.

use std::ops::DerefMut;

use crate::algorithm::{Algorithm, HEADER_LEN};
use crate::error::DecompressError;
use crate::room::FIRST_ROOM;
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
        self.decompress_to(payload, size_hint, limit, |len| vec![0; len])
    }

    /// Puts the data in `payload` into `out`, whose content is replaced and whose memory is used again where its length is known before.
    ///
    /// Otherwise as [`decompress`](Self::decompress); after an error `out` is empty.
    pub fn decompress_into(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<(), DecompressError> {
        let mut used = std::mem::take(out);
        let room = |len| {
            let mut room = std::mem::take(&mut used);
            room.resize(len, 0);
            room
        };
        *out = self.decompress_to(payload, size_hint, limit, room)?;
        Ok(())
    }

    /// Puts the data in `payload` where there is room for them: `room` is asked for as many bytes as they are, whatever those
    /// hold, perhaps more than once. It is not asked where only the end tells that they are many; they come as they are then.
    ///
    /// Otherwise as [`decompress`](Self::decompress).
    pub fn decompress_to<R>(
        &mut self,
        mut payload: &[u8],
        size_hint: Option<usize>,
        limit: usize,
        mut room: impl FnMut(usize) -> R,
    ) -> Result<R, DecompressError>
    where
        R: DerefMut<Target = [u8]> + From<Vec<u8>>,
    {
        let hint = size_hint.filter(|&size| size <= limit);
        loop {
            let Some((header, body)) = payload.split_first_chunk::<HEADER_LEN>() else {
                return Err(DecompressError::TooShort(payload.len()));
            };
            match Algorithm::detect(payload).ok_or(DecompressError::UnknownHeader(*header))? {
                // Borg lets obfuscation be nested. Each layer takes bytes away, so this ends.
                Algorithm::Obfuscate => payload = unpad(body)?,
                Algorithm::None if body.len() > limit => {
                    return Err(DecompressError::TooLarge { algorithm: Algorithm::None, limit });
                }
                Algorithm::None => {
                    let mut data = room(body.len());
                    data.copy_from_slice(body);
                    return Ok(data);
                }
                Algorithm::Lz4 => return self.lz4.decode(body, hint, limit, room),
                Algorithm::Zstd => return self.zstd.decode(body, limit, room),
                Algorithm::Zlib => return Ok(placed(self.zlib.decode(payload, hint, limit)?, room)),
                Algorithm::Lzma => return Ok(placed(lzma::decode(body, hint, limit)?, room)),
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
}

/// Data that had to be made before it was known how many they are.
fn placed<R: DerefMut<Target = [u8]> + From<Vec<u8>>>(data: Vec<u8>, mut room: impl FnMut(usize) -> R) -> R {
    if data.len() >= FIRST_ROOM {
        return data.into();
    }
    // They lie in more than they need.
    let mut out = room(data.len());
    out.copy_from_slice(&data);
    out
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
