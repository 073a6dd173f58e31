//! LZ4: one bare block, which does not say how long its data is.

use std::ops::DerefMut;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use worldkeeper_core::is_equal;

use crate::algorithm::Algorithm;
use crate::compressor::{Body, in_one};
use crate::error::DecompressError;
use crate::padded::{self, zeros_behind};
use crate::repeats::Repeats;
use crate::sequences::{self, data_size};

/// Compresses into memory that is kept.
pub(crate) struct Encoder {
    repeats: Repeats,
    table: CompressTable,
    block: Vec<u8>,
    /// What of a block is not its data.
    frame: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { repeats: Repeats::new(), table: CompressTable::large(), block: Vec::new(), frame: Vec::new() }
    }

    /// The block for `data`; `None` if it would not be smaller, or the library fails.
    pub(crate) fn encode<'a>(&'a mut self, data: &'a [u8]) -> Option<Body<'a>> {
        let zeros = Some(zeros_behind(data)).filter(|zeros| *zeros >= padded::FEWEST);
        if !self.repeats.are_in(&data[..data.len() - zeros.unwrap_or(0)]) {
            return padded::encode(data, zeros?, &mut self.frame);
        }
        let is_worth_it = data.len() <= PIECE || data.chunks(PIECE).any(|piece| self.compress(piece).is_some());
        let len = if is_worth_it { self.compress(data)? } else { return None };
        Some(in_one(&self.block[..len]))
    }

    /// Compresses into the block; how long it is, if it is smaller.
    fn compress(&mut self, data: &[u8]) -> Option<usize> {
        // The library wants room for the worst case, in zeros. Those that come fresh from the system cost no memory
        // where nothing is written, so most of the room costs none: do not fill it, and do not compress into the
        // caller's buffer, which would have to be filled.
        let room = get_maximum_output_size(data.len());
        if self.block.len() < room {
            self.block = Vec::new();
            self.block = vec![0; room];
        }
        compress_into_with_table(data, &mut self.block, &mut self.table).ok().filter(|len| *len < data.len())
    }
}

/// What is longer, in bytes, and repeats something is first tried in pieces: where none becomes smaller, as with what is
/// compressed already, the library would copy all of it into the block just to show that. What is lost is a gain from
/// nothing but repetitions across the borders of pieces.
const PIECE: usize = 256 * 1024;

/// Gives back data, however long they are.
#[derive(Default)]
pub(crate) struct Decoder {
    /// Of [`ROOM`], once it was needed.
    room: Vec<u8>,
}

/// Data of so many bytes are made in a place that is kept, and copied: that takes a fraction of what it takes to walk the
/// block.
const ROOM: usize = 1 << 20;

impl Decoder {
    /// Puts the data of `block` into what `room` gives for as many bytes.
    ///
    /// Borg guesses the size with ever larger buffers. We try the caller's, or a place that is enough for most, then walk
    /// the block to learn the real one.
    pub(crate) fn decode<R: DerefMut<Target = [u8]>>(
        &mut self,
        block: &[u8],
        size_hint: Option<usize>,
        limit: usize,
        mut room: impl FnMut(usize) -> R,
    ) -> Result<R, DecompressError> {
        let too_large = || DecompressError::TooLarge { algorithm: Algorithm::Lz4, limit };
        if let Some(size) = size_hint {
            let mut data = room(size);
            if decompress_into(block, &mut data).is_ok_and(|len| len == size) {
                return Ok(data);
            }
        } else if block.len() <= ROOM {
            self.room.resize(ROOM, 0);
            if let Ok(len) = decompress_into(block, &mut self.room) {
                if len > limit {
                    return Err(too_large());
                }
                let mut data = room(len);
                data.copy_from_slice(&self.room[..len]);
                return Ok(data);
            }
        }
        let size = data_size(block).ok_or_else(|| damaged("a sequence is cut off"))?;
        if size > limit {
            return Err(too_large());
        }
        let mut data = room(size);
        match decompress_into(block, &mut data) {
            Ok(len) if len == size => Ok(data),
            Ok(len) => Err(damaged(format!("its sequences are {size} bytes long, and give {len}"))),
            Err(reason) => Err(damaged(reason)),
        }
    }
}

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecompressError {
    DecompressError::damaged(Algorithm::Lz4, reason)
}

/// Returns whether `data` is what `block` gives. If it takes that to tell, it is made again, in `room` of its length.
pub(crate) fn gives<R: DerefMut<Target = [u8]>>(block: &[u8], data: &[u8], room: impl FnOnce() -> R) -> bool {
    sequences::give(block, data).unwrap_or_else(|| {
        let mut room = room();
        decompress_into(block, &mut room).is_ok_and(|len| is_equal(&room[..len], data))
    })
}

#[cfg(test)]
mod tests {
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;

    /// Not empty.
    fn room(len: usize) -> Vec<u8> {
        vec![0xa5; len]
    }

    #[test]
    fn what_is_long_is_compressed_if_any_piece_of_it_can_be() {
        let mut noise = sha_stream("noise", 3 * PIECE + 100);
        let mut encoder = Encoder::new();
        assert!(encoder.encode(&noise).is_none());
        assert!(encoder.block.is_empty(), "it was not even tried");
        // Too little to make it smaller.
        noise.copy_within(..6, 16);
        assert!(encoder.repeats.are_in(&noise) && encoder.encode(&noise).is_none());
        assert!((PIECE..2 * PIECE).contains(&encoder.block.len()), "nothing was copied that does not compress");
        for at in [0, PIECE, 2 * PIECE - 500, 3 * PIECE - 10_000] {
            let mut data = noise.clone();
            data[at..][..10_000].fill(0);
            let block = encoder.encode(&data).expect("ten thousand zeros take less").concat();
            let back = Decoder::default().decode(&block, Some(data.len()), data.len(), room).unwrap();
            assert!(back == data, "zeros at {at}");
        }
    }

    #[test]
    fn data_of_any_length_come_back_whatever_is_known_of_it_and_no_more_than_allowed() {
        let mut decoder = Decoder::default();
        let data = sha_stream("data", 1000).repeat(2 * ROOM / 1000);
        for len in [1, 100_000, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM - 1000] {
            let data = &data[..len];
            let block = lz4_flex::block::compress(data);
            for hint in [None, Some(len), Some(len + 1), Some(len - 1), Some(0)] {
                let back = decoder.decode(&block, hint, usize::MAX, room).unwrap();
                assert!(back == data, "{len} bytes, {hint:?}");
            }
            let too_large = decoder.decode(&block, None, len - 1, room);
            assert!(matches!(too_large, Err(DecompressError::TooLarge { .. })));
            let back = decoder.decode(&block, None, len, room).unwrap();
            assert!(back == data, "{len} bytes, all that is allowed");
        }
    }
}
