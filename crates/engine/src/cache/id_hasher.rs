//! The hash of what is a hash already.

use std::hash::Hasher;

/// Ids are hashes; eight bytes of them spread as well as any hash of them would.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // An array's length is written too, as a usize; the bytes themselves come in one piece.
        if let Some(word) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*word);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

/// The same for a table that is told its hashes.
pub(super) fn hash(id: &[u8]) -> u64 {
    let mut hasher = IdHasher::default();
    hasher.write(id);
    hasher.finish()
}
