//! The rolling form, byte by byte: what every machine can do, and what the other paths are held against.

/// Moves the window along until the hash is a hit: `Ok` is the number of bytes moved, `Err` the hash after all of
/// `entering` came in without one.
///
/// It takes four bytes a step, so that the next step waits for one rotation and not for four: that is a quarter
/// faster than two bytes a step, which is a third faster than one. More than four gain nothing.
pub(super) fn roll(
    entering_table: &[u32; 256],
    leaving_table: &[u32; 256],
    mask: u32,
    mut hash: u32,
    leaving: &[u8],
    entering: &[u8],
) -> Result<usize, u32> {
    const STEP: usize = 4;
    let change = |out: u8, into: u8| leaving_table[usize::from(out)] ^ entering_table[usize::from(into)];
    let (leaving_steps, leaving_rest) = leaving[..entering.len()].as_chunks::<STEP>();
    let (entering_steps, entering_rest) = entering.as_chunks::<STEP>();
    for (step, (out, into)) in leaving_steps.iter().zip(entering_steps).enumerate() {
        // What this step's bytes alone make of a hash of zero.
        let mut changes = 0_u32;
        for byte in 0..STEP {
            changes = changes.rotate_left(1) ^ change(out[byte], into[byte]);
            if (hash.rotate_left(byte as u32 + 1) ^ changes) & mask == 0 {
                return Ok(STEP * step + byte + 1);
            }
        }
        hash = hash.rotate_left(STEP as u32) ^ changes;
    }
    let done = entering.len() - entering_rest.len();
    for (byte, (&out, &into)) in leaving_rest.iter().zip(entering_rest).enumerate() {
        hash = hash.rotate_left(1) ^ change(out, into);
        if hash & mask == 0 {
            return Ok(done + byte + 1);
        }
    }
    Err(hash)
}
