//! LZ4: one bare block, which does not say how long its data is.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use crate::algorithm::Algorithm;
use crate::error::DecompressError;
use crate::repeats::Repeats;

/// Compresses into memory that is kept.
pub(crate) struct Encoder {
    repeats: Repeats,
    table: CompressTable,
    block: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { repeats: Repeats::new(), table: CompressTable::large(), block: Vec::new() }
    }

    /// The block for `data`; `None` if it would not be smaller, or the library fails.
    pub(crate) fn encode(&mut self, data: &[u8]) -> Option<&[u8]> {
        if !self.repeats.are_in(data) {
            return None;
        }
        let is_worth_it = data.len() <= PIECE || data.chunks(PIECE).any(|piece| self.compress(piece).is_some());
        let len = if is_worth_it { self.compress(data)? } else { return None };
        Some(&self.block[..len])
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
    /// Puts the data of `block` into `out`.
    ///
    /// Borg guesses the size with ever larger buffers. We try the caller's, or a place that is enough for most, then walk
    /// the block to learn the real one.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        out: &mut Vec<u8>,
        size_hint: Option<usize>,
        limit: usize,
    ) -> Result<(), DecompressError> {
        let too_large = || DecompressError::TooLarge { algorithm: Algorithm::Lz4, limit };
        if let Some(size) = size_hint {
            out.resize(size, 0);
            if let Ok(len) = decompress_into(block, out) {
                out.truncate(len);
                return Ok(());
            }
        } else if block.len() <= ROOM {
            self.room.resize(ROOM, 0);
            if let Ok(len) = decompress_into(block, &mut self.room) {
                if len > limit {
                    return Err(too_large());
                }
                out.clear();
                out.extend_from_slice(&self.room[..len]);
                return Ok(());
            }
        }
        let size = data_size(block).ok_or_else(|| DecompressError::damaged(Algorithm::Lz4, "a sequence is cut off"))?;
        if size > limit {
            return Err(too_large());
        }
        out.resize(size, 0);
        let len = decompress_into(block, out).map_err(|reason| DecompressError::damaged(Algorithm::Lz4, reason))?;
        out.truncate(len);
        Ok(())
    }
}

/// Puts the data of `block` into a place that is as long as the data should be; how long it is.
pub(crate) fn decode_to(block: &[u8], out: &mut [u8]) -> Result<usize, DecompressError> {
    decompress_into(block, out).map_err(|reason| DecompressError::damaged(Algorithm::Lz4, reason))
}

/// How long the data of `block` is, without making it; `None` if a sequence is cut off.
///
/// A block is a row of sequences: a token with two lengths of 4 bits, more bytes of the first length, that many
/// literals, a 2-byte offset, more bytes of the second length. The last sequence ends after its literals.
fn data_size(block: &[u8]) -> Option<usize> {
    let mut rest = block;
    let mut size = 0;
    loop {
        let (&token, behind) = rest.split_first()?;
        rest = behind;
        let literals = length(usize::from(token >> 4), &mut rest)?;
        rest = rest.get(literals..)?;
        size += literals;
        if rest.is_empty() {
            return Some(size);
        }
        rest = rest.get(2..)?;
        size += 4 + length(usize::from(token & 15), &mut rest)?;
    }
}

/// Completes a length of 4 bits: 15 means that bytes to add follow, as long as they are 255.
fn length(start: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = start;
    if start == 15 {
        loop {
            let (&more, behind) = rest.split_first()?;
            *rest = behind;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;

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
            let block = encoder.encode(&data).expect("ten thousand zeros take less").to_vec();
            let mut back = Vec::new();
            Decoder::default().decode(&block, &mut back, Some(data.len()), data.len()).unwrap();
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
                let mut back = b"something else".to_vec();
                decoder.decode(&block, &mut back, hint, usize::MAX).unwrap();
                assert!(back == data, "{len} bytes, {hint:?}");
            }
            let mut back = Vec::new();
            assert!(matches!(decoder.decode(&block, &mut back, None, len - 1), Err(DecompressError::TooLarge { .. })));
            decoder.decode(&block, &mut back, None, len).unwrap();
            assert!(back == data, "{len} bytes, all that is allowed");
        }
    }
}
