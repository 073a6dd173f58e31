//! Names and paths, copied by the hundred thousand.
//!
//! `memcpy` of a static binary (musl's) takes 12 to 28 ns for 1 to 200 bytes where glibc's takes 2 to 4 (Xeon, 2026-11),
//! and a backup that finds nothing new copies a dozen short byte strings for each file.

/// Appends bytes, of which there are few nearly always.
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_done = match bytes.len() {
        64..=128 => halves::<64>(out, bytes),
        32..64 => halves::<32>(out, bytes),
        16..32 => halves::<16>(out, bytes),
        8..16 => halves::<8>(out, bytes),
        4..8 => halves::<4>(out, bytes),
        2..4 => halves::<2>(out, bytes),
        1 => halves::<1>(out, bytes),
        _ => false,
    };
    if !is_done {
        out.extend_from_slice(bytes);
    }
}

/// A copy of bytes, of which there are few nearly always.
pub fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut copied = Vec::with_capacity(bytes.len());
    append(&mut copied, bytes);
    copied
}

/// Appends the first and the last `N` bytes, which overlap or meet: what has a fixed length is copied without a call.
#[inline]
fn halves<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else { return false };
    let end = out.len() + bytes.len();
    out.reserve(bytes.len());
    out.extend_from_slice(first);
    out.truncate(end - N);
    out.extend_from_slice(last);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_what_they_were() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=bytes.len() {
            let bytes = &bytes[..len];
            assert_eq!(copied(bytes), bytes);
            let mut out = b"before".to_vec();
            append(&mut out, bytes);
            append(&mut out, b"after");
            assert_eq!(out, [b"before", bytes, b"after"].concat(), "{len} bytes");
        }
    }
}
