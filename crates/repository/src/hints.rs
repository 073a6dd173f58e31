//! What the next writer must know besides the index, kept in `hints.<T>`: how much of each segment is still needed,
//! and where superseded objects still lie.
//!
//! Source: borg 1.4 `repository.py`, `write_index`, `prepare_txn`.

use std::collections::BTreeMap;

use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};

const VERSION: u64 = 2;

/// The bookkeeping of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// How many PUTs of each segment the index points to. Signed: hints that somebody else wrote may be wrong.
    pub(crate) segments: BTreeMap<u32, i64>,
    /// How many bytes compaction can free in a segment.
    pub(crate) compact: BTreeMap<u32, u64>,
    /// What all PUTs that are still on the disk take, headers included, superseded ones too.
    pub(crate) storage_quota_use: u64,
    /// Segments that hold superseded PUTs of an object. As long as there is one that is older than a DELETE, the
    /// DELETE must stay: a replay would bring the object back. An empty list says that there is none.
    pub(crate) shadow_index: BTreeMap<ChunkId, Vec<u32>>,
}

/// Why bytes are no hints.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HintsError {
    #[error(transparent)]
    Packed(#[from] DecodeError),
    #[error("they have version {0}, expected {VERSION}")]
    Version(i128),
    #[error("their version is missing")]
    NoVersion,
}

impl Hints {
    /// Notes that a PUT of `size` bytes, header included, was written.
    pub(crate) fn put(&mut self, segment: u32, size: u32) {
        self.count(segment, 1);
        self.storage_quota_use = self.storage_quota_use.saturating_add(size.into());
    }

    /// Notes that a PUT of `size` bytes, header included, is no longer what the index points to.
    pub(crate) fn supersede(&mut self, id: ChunkId, segment: u32, size: u32) {
        self.count(segment, -1);
        self.shadow_index.entry(id).or_default().push(segment);
        self.add_freeable(segment, size.into());
    }

    /// Notes an entry that is of no use once it is old: a DELETE or a COMMIT.
    pub(crate) fn disposable(&mut self, segment: u32, size: u32) {
        self.count(segment, 0);
        self.add_freeable(segment, size.into());
    }

    /// Notes that a PUT was copied to another segment.
    pub(crate) fn move_put(&mut self, from: u32, to: u32) {
        self.count(from, -1);
        self.count(to, 1);
    }

    /// Notes that a superseded PUT of `size` bytes was not copied, and so will be gone with its segment.
    pub(crate) fn drop_put(&mut self, id: &ChunkId, segment: u32, size: u32) {
        self.uncount(size.into());
        if let Some(segments) = self.shadow_index.get_mut(id)
            && let Some(at) = segments.iter().position(|shadowed| *shadowed == segment)
        {
            // An empty list stays: it says that nothing is shadowed, a missing one says nothing.
            segments.remove(at);
        }
    }

    /// Notes that PUTs of so many bytes are gone from the disk.
    pub(crate) fn uncount(&mut self, bytes: u64) {
        self.storage_quota_use = self.storage_quota_use.saturating_sub(bytes);
    }

    /// Forgets that an object has no superseded PUTs, when the DELETE that made it worth knowing is gone.
    pub(crate) fn forget_unshadowed(&mut self, id: &ChunkId) {
        if self.shadow_index.get(id).is_some_and(Vec::is_empty) {
            self.shadow_index.remove(id);
        }
    }

    /// Forgets a segment that is gone.
    pub(crate) fn remove_segment(&mut self, segment: u32) {
        self.segments.remove(&segment);
        self.compact.remove(&segment);
    }

    fn count(&mut self, segment: u32, change: i64) {
        // What was read may be anything.
        let count = self.segments.entry(segment).or_default();
        *count = count.saturating_add(change);
    }

    fn add_freeable(&mut self, segment: u32, bytes: u64) {
        let freeable = self.compact.entry(segment).or_default();
        *freeable = freeable.saturating_add(bytes);
    }

    /// Encodes the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.map(5);
        encoder.raw("version").uint(VERSION);
        encoder.raw("segments").map(self.segments.len());
        for (segment, count) in &self.segments {
            encoder.uint((*segment).into()).int(*count);
        }
        encoder.raw("compact").map(self.compact.len());
        for (segment, bytes) in &self.compact {
            encoder.uint((*segment).into()).uint(*bytes);
        }
        encoder.raw("storage_quota_use").uint(self.storage_quota_use);
        encoder.raw("shadow_index").map(self.shadow_index.len());
        for (id, segments) in &self.shadow_index {
            encoder.raw(id.0).array(segments.len());
            for segment in segments {
                encoder.uint((*segment).into());
            }
        }
        encoder.finish()
    }

    /// Decodes the file. Borg 1.1 wrote no shadow index; hints older than that are not read, but replayed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HintsError> {
        let mut decoder = Decoder::new(bytes);
        let (mut has_version, mut hints) = (false, Self::default());
        for _ in 0..decoder.map()? {
            match decoder.raw()? {
                b"version" => match decoder.int()? {
                    found if found == VERSION.into() => has_version = true,
                    found => return Err(HintsError::Version(found)),
                },
                b"segments" => {
                    for _ in 0..decoder.map()? {
                        hints.segments.insert(decoder.int_as()?, decoder.int_as()?);
                    }
                }
                b"compact" => {
                    for _ in 0..decoder.map()? {
                        // Stock's counts can fall below zero when it has lost track; there is nothing to free then.
                        hints.compact.insert(decoder.int_as()?, decoder.int_as::<i64>()?.max(0) as u64);
                    }
                }
                b"storage_quota_use" => hints.storage_quota_use = decoder.int_as::<i64>()?.max(0) as u64,
                b"shadow_index" => {
                    for _ in 0..decoder.map()? {
                        let id = ChunkId(decoder.raw_array()?);
                        let mut segments = Vec::new();
                        for _ in 0..decoder.array()? {
                            segments.push(decoder.int_as()?);
                        }
                        hints.shadow_index.insert(id, segments);
                    }
                }
                _ => _ = decoder.skip()?,
            }
        }
        decoder.finish()?;
        if has_version { Ok(hints) } else { Err(HintsError::NoVersion) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Hints {
        Hints {
            segments: [(0, 3), (7, -1), (70_000, 0)].into(),
            compact: [(0, 0), (7, u64::from(u32::MAX) + 1)].into(),
            storage_quota_use: 1 << 40,
            shadow_index: [(ChunkId([1; 32]), vec![0, 70_000]), (ChunkId([2; 32]), vec![])].into(),
        }
    }

    #[test]
    fn hints_read_back_and_torn_ones_are_an_error() {
        let bytes = sample().encode();
        assert_eq!(Hints::decode(&bytes).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(Hints::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(Hints::decode(&[&bytes[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn counts_at_the_limit_stay_there() {
        let limits = Hints {
            segments: [(0, i64::MAX), (1, i64::MIN)].into(),
            compact: [(1, u64::MAX)].into(),
            storage_quota_use: u64::MAX,
            ..Hints::default()
        };
        let mut hints = limits.clone();
        hints.put(0, 50);
        hints.supersede(ChunkId([1; 32]), 1, 50);
        hints.move_put(1, 0);
        hints.drop_put(&ChunkId([1; 32]), 1, 0);
        assert_eq!(hints.shadow_index.remove(&ChunkId([1; 32])), Some(vec![]));
        assert_eq!(hints, limits);
    }

    #[test]
    fn borg_1_1_kept_no_shadow_index_and_older_hints_are_not_read() {
        let old = b"\x84\xa7version\x02\xa8segments\x81\x00\x01\xa7compact\x80\xb1storage_quota_use\x05";
        let hints = Hints::decode(old).unwrap();
        assert_eq!((hints.segments.len(), hints.storage_quota_use, hints.shadow_index.len()), (1, 5, 0));
        let older = b"\x83\xa7version\x01\xa8segments\x80\xa7compact\x90";
        assert!(matches!(Hints::decode(older), Err(HintsError::Version(1))));
        assert!(matches!(Hints::decode(b"\x80"), Err(HintsError::NoVersion)));
        let negative = b"\x82\xa7version\x02\xa7compact\x81\x03\xff";
        assert_eq!(Hints::decode(negative).unwrap().compact[&3], 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..200) {
            let _ = Hints::decode(&bytes);
            let mut damaged = sample().encode();
            let at = at % damaged.len();
            damaged.splice(at.., bytes);
            let _ = Hints::decode(&damaged);
        }
    }
}
