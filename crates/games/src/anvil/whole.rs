//! Whether a chunk of a region file is whole: whether what it holds can be inflated, to its end.

use flate2::{Decompress, FlushDecompress, Status};

use super::header::{HEAD_LEN, Head};
use super::lz4;

/// Returns whether the chunk in this room is whole. What is compressed in a way that is not known here, or lies in a file
/// beside this one, counts as whole.
pub(super) fn is_whole(room: &[u8]) -> bool {
    let Some((head, rest)) = room.split_first_chunk::<HEAD_LEN>() else { return false };
    let head = Head::of(*head);
    if head.is_elsewhere {
        return true;
    }
    // The kind is counted in the length.
    let Some(payload) = (head.len as usize).checked_sub(1).and_then(|len| rest.get(..len)) else { return false };
    match head.kind {
        1 => inflates(Decompress::new_gzip(WINDOW_BITS), payload),
        2 => inflates(Decompress::new(true), payload),
        4 => lz4::is_whole(payload, MAX_INFLATED),
        _ => true,
    }
}

/// Returns whether a stream ends as it should, with the right checksum. Of what is endless the front has to do.
fn inflates(mut inflate: Decompress, payload: &[u8]) -> bool {
    let mut bin = vec![0; BIN_LEN];
    loop {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        if written > MAX_INFLATED {
            return true;
        }
        let rest = payload.get(read as usize..).unwrap_or_default();
        match inflate.decompress(rest, &mut bin, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if (inflate.total_in(), inflate.total_out()) != (read, written) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

/// The largest window there is: 32 KiB.
const WINDOW_BITS: u8 = 15;
const BIN_LEN: usize = 64 * 1024;
/// Far more than any chunk holds, in bytes: a small file can make terabytes.
const MAX_INFLATED: u64 = 64 << 20;
