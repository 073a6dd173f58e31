//! Room for output whose length only its end tells.

use crate::algorithm::Algorithm;
use crate::error::DecompressError;

/// Makes room for more output of unknown length: for what is expected first, then for twice as much each time.
///
/// One byte more than `limit` can come in, which proves that there is too much.
pub(crate) fn make_room(
    algorithm: Algorithm,
    out: &mut Vec<u8>,
    expected: usize,
    limit: usize,
) -> Result<(), DecompressError> {
    if out.len() > limit {
        return Err(DecompressError::TooLarge { algorithm, limit });
    }
    if out.len() == out.capacity() {
        let target = expected.max(out.len().saturating_mul(2)).max(FIRST_ROOM).min(limit);
        // One more than expected, so that an exact expectation needs no second allocation to see the end.
        out.reserve_exact(target.max(out.len()).saturating_add(1) - out.len());
    }
    Ok(())
}

/// What is allocated first for data of unknown length, in bytes.
pub(crate) const FIRST_ROOM: usize = 64 << 10;
