//! Every object that was ever given to the disk, and that no two of them share a counter block.

use std::collections::BTreeMap;

use worldkeeper_testkit::disk::MemoryDisk;

/// The objects by their first counter value.
#[derive(Clone, Default)]
pub(crate) struct Counters(BTreeMap<u64, Vec<u8>>);

impl Counters {
    /// Adds what was written to a disk, into files that are still there and files that are not.
    ///
    /// The same object may stand in several segments: a compaction moves it.
    pub(crate) fn add(&mut self, disk: &MemoryDisk, context: &str) {
        for file in disk.every_file() {
            for object in objects(&file) {
                let nonce = u64::from_be_bytes(object[33..41].try_into().unwrap());
                let known = self.0.entry(nonce).or_insert_with(|| object.to_vec());
                assert_eq!(known, object, "{context}: counter {nonce:#x} was used twice");
            }
        }
    }

    /// Requires that no block was used twice.
    pub(crate) fn assert_disjoint(&self, context: &str) {
        let ends = self.0.iter().map(|(nonce, object)| nonce + (object.len() as u64 - 41).div_ceil(16));
        for (end, next) in ends.zip(self.0.keys().skip(1)) {
            assert!(end <= *next, "{context}: what was sealed up to {end:#x} overlaps what begins at {next:#x}");
        }
    }
}

/// The encrypted objects in a segment, up to where it is torn.
fn objects(file: &[u8]) -> Vec<&[u8]> {
    let mut objects = Vec::new();
    let Some(mut rest) = file.strip_prefix(b"BORG_SEG") else { return objects };
    while let Some((crc, body)) = rest.split_first_chunk::<4>() {
        let Some(size) = body.first_chunk::<4>() else { break };
        let Some(entry) = body.get(..(u32::from_le_bytes(*size) as usize).saturating_sub(4)) else { break };
        if entry.is_empty() || crc32fast::hash(entry) != u32::from_le_bytes(*crc) {
            break;
        }
        // A PUT: size, tag and id, then type byte, MAC and counter.
        if entry.get(4) == Some(&0) && entry.len() > 37 + 41 {
            objects.push(&entry[37..]);
        }
        rest = &body[entry.len()..];
    }
    objects
}
