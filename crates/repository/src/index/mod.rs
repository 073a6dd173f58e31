//! The index: where each object lies.
//!
//! Borg's open-addressing hash table, kept in memory exactly as it is on disk, so that loading and saving are plain
//! copies and a table of ours is a table stock would have made: same sizes, same growth, same probing. Only how it grows
//! is our own: where it stands, for two tables of millions of objects at once are what a small machine has no room for.
//!
//! Source: borg 1.4 `_hashindex.c`.

mod file;

use worldkeeper_core::{ChunkId, Pieces};

use crate::segment::{Location, MAX_SEGMENT};

use file::HEADER_LEN;

/// One slot.
///
/// | bytes  | field   | encoding | meaning                                                    |
/// |--------|---------|----------|------------------------------------------------------------|
/// | 0..32  | key     | 32 bytes | the object's id                                            |
/// | 32..36 | segment | u32 LE   | at most [`MAX_SEGMENT`]; or [`EMPTY`], or [`DELETED`]      |
/// | 36..40 | offset  | u32 LE   | where in the segment the PUT entry begins                  |
type Bucket = [u8; BUCKET_LEN];

const BUCKET_LEN: usize = 40;

/// Stands for the segment in a bucket that was never used.
const EMPTY: u32 = u32::MAX;
/// Stands for the segment in a bucket whose entry was deleted. Searches go on behind it.
const DELETED: u32 = u32::MAX - 1;

const _: () = assert!(MAX_SEGMENT < DELETED);

/// A bucket as stock fills a new table with.
const EMPTY_BUCKET: Bucket = {
    let mut bucket = [0; BUCKET_LEN];
    let mark = EMPTY.to_le_bytes();
    (bucket[32], bucket[33], bucket[34], bucket[35]) = (mark[0], mark[1], mark[2], mark[3]);
    bucket
};

/// The sizes a table grows and shrinks through, in buckets.
const SIZES: [u32; 58] = [
    1031,
    2053,
    4099,
    8209,
    16411,
    32771,
    65537,
    131_101,
    262_147,
    445_649,
    757_607,
    1_287_917,
    2_189_459,
    3_065_243,
    4_291_319,
    6_007_867,
    8_410_991,
    11_775_359,
    16_485_527,
    23_079_703,
    27_695_653,
    33_234_787,
    39_881_729,
    47_858_071,
    57_429_683,
    68_915_617,
    82_698_751,
    99_238_507,
    119_086_189,
    144_378_011,
    157_223_263,
    173_476_439,
    190_253_911,
    209_915_011,
    230_493_629,
    253_169_431,
    278_728_861,
    306_647_623,
    337_318_939,
    370_742_809,
    408_229_973,
    449_387_209,
    493_428_073,
    543_105_119,
    596_976_533,
    657_794_869,
    722_676_499,
    795_815_791,
    874_066_969,
    962_279_771,
    1_057_701_643,
    1_164_002_657,
    1_280_003_147,
    1_407_800_297,
    1_548_442_699,
    1_703_765_389,
    1_873_768_367,
    2_062_383_853,
];

/// Maps object ids to the locations of their PUT entries.
#[derive(Clone)]
pub(crate) struct Index {
    buckets: Pieces<Bucket>,
    /// Buckets that hold an entry.
    entries: usize,
    /// Buckets that were never used.
    empty: usize,
}

/// What a search came upon.
enum Slot {
    /// The key is here.
    Found(usize),
    /// The key is nowhere; this is where it would go. `None` if the table is full.
    Free(Option<usize>),
}

impl Index {
    /// An index without entries.
    pub(crate) fn new() -> Self {
        Self::with_buckets(SIZES[0] as usize)
    }

    fn with_buckets(count: usize) -> Self {
        Self { buckets: Pieces::filled(EMPTY_BUCKET, count), entries: 0, empty: count }
    }

    /// How many objects it knows.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Length of the file it is saved to, in bytes.
    pub(crate) fn file_len(&self) -> u64 {
        (HEADER_LEN + self.buckets.len() * BUCKET_LEN) as u64
    }

    /// Where an object lies.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Location> {
        match self.find(id) {
            Slot::Found(at) => Some(location(&self.buckets[at])),
            Slot::Free(_) => None,
        }
    }

    /// Notes where an object lies now.
    pub(crate) fn insert(&mut self, id: &ChunkId, location: Location) {
        debug_assert!(location.segment <= MAX_SEGMENT, "higher numbers are marks");
        let at = match self.find(id) {
            Slot::Found(at) => at,
            Slot::Free(free) => {
                let at = self.make_room(id, free);
                self.empty -= usize::from(mark(&self.buckets[at]) == EMPTY);
                self.entries += usize::from(!is_used(&self.buckets[at]));
                at
            }
        };
        let bucket = &mut self.buckets[at];
        bucket[..32].copy_from_slice(&id.0);
        bucket[32..36].copy_from_slice(&location.segment.to_le_bytes());
        bucket[36..].copy_from_slice(&location.offset.to_le_bytes());
    }

    /// Forgets an object; returns where it was.
    pub(crate) fn remove(&mut self, id: &ChunkId) -> Option<Location> {
        let Slot::Found(at) = self.find(id) else { return None };
        let found = location(&self.buckets[at]);
        self.buckets[at][32..36].copy_from_slice(&DELETED.to_le_bytes());
        self.entries -= 1;
        if self.entries < lower_limit(self.buckets.len()) {
            self.resize(size_before(self.buckets.len()));
        }
        Some(found)
    }

    /// All objects, in the order of the table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChunkId, Location)> + '_ {
        self.buckets.iter().filter(|bucket| is_used(bucket)).map(|bucket| (key(bucket), location(bucket)))
    }

    /// The objects behind one in the order of the table, or all of them; `None` if that one is not there.
    pub(crate) fn iter_behind(&self, id: Option<&ChunkId>) -> Option<impl Iterator<Item = (ChunkId, Location)> + '_> {
        let skipped = match id.map(|id| self.find(id)) {
            None => 0,
            Some(Slot::Found(at)) => at + 1,
            Some(Slot::Free(_)) => return None,
        };
        let behind = self.buckets.iter().skip(skipped).filter(|bucket| is_used(bucket));
        Some(behind.map(|bucket| (key(bucket), location(bucket))))
    }

    /// Returns a free bucket for a key that was not found; the table may be another one afterwards. It is the key's
    /// own bucket, if somebody else wrote the table with the key where no search looks for it, and it was rebuilt.
    fn make_room(&mut self, id: &ChunkId, free: Option<usize>) -> usize {
        if self.entries > upper_limit(self.buckets.len()) || free.is_none() {
            self.resize(size_after(self.buckets.len()));
        } else if let Some(at) = free
            && mark(&self.buckets[at]) == EMPTY
            && self.empty <= least_empty(self.buckets.len())
        {
            // Deleted buckets have crowded out the empty ones, which alone end a search.
            self.resize(self.buckets.len());
        } else if let Some(at) = free {
            return at;
        }
        match self.find(id) {
            Slot::Free(Some(at)) | Slot::Found(at) => at,
            Slot::Free(None) => unreachable!("a table that was just rebuilt has free buckets"),
        }
    }

    /// Gives the table another number of buckets, or takes deleted ones out of it.
    ///
    /// Every entry is taken up once and put where a search for it ends; whatever stands there and was not taken up yet
    /// is the next. So an entry is passed over only when it is in its place for good, and no search will end too early.
    fn resize(&mut self, count: usize) {
        let old = self.buckets.len();
        let mut waiting: Vec<bool> = self.buckets.iter().map(is_used).collect();
        for (at, _) in waiting.iter().enumerate().filter(|(_, waits)| !**waits) {
            self.buckets[at] = EMPTY_BUCKET;
        }
        let both = old.max(count);
        waiting.resize(both, false);
        self.buckets.resize(both, EMPTY_BUCKET);
        self.entries = 0;
        for first in 0..old {
            let waits = std::mem::take(&mut waiting[first]);
            let mut moving = waits.then(|| std::mem::replace(&mut self.buckets[first], EMPTY_BUCKET));
            while let Some(bucket) = moving {
                moving = self.settle(bucket, count, &mut waiting);
            }
        }
        self.buckets.resize(count, EMPTY_BUCKET);
        self.empty = count - self.entries;
    }

    /// Puts an entry into its place among the first `count` buckets; returns what stood there `waiting` for a place.
    fn settle(&mut self, bucket: Bucket, count: usize, waiting: &mut [bool]) -> Option<Bucket> {
        let start = first_place(&bucket, count);
        for at in (start..count).chain(0..start) {
            let found = &mut self.buckets[at];
            let waited = std::mem::take(&mut waiting[at]);
            if waited || mark(found) == EMPTY {
                let displaced = std::mem::replace(found, bucket);
                self.entries += 1;
                return waited.then_some(displaced);
            }
            if found[..32] == bucket[..32] {
                // Somebody else wrote the table with the key in it twice.
                return None;
            }
        }
        unreachable!("the table has more buckets than entries")
    }

    fn find(&self, id: &ChunkId) -> Slot {
        let start = first_place(&id.0, self.buckets.len());
        let mut free = None;
        for at in (start..self.buckets.len()).chain(0..start) {
            let bucket = &self.buckets[at];
            match mark(bucket) {
                EMPTY => return Slot::Free(free.or(Some(at))),
                DELETED => free = free.or(Some(at)),
                _ if bucket[..32] == id.0 => return Slot::Found(at),
                _ => {}
            }
        }
        Slot::Free(free)
    }
}

/// Where among `count` buckets a search for a key begins; of the bucket or the key only the beginning counts.
fn first_place(key: &[u8], count: usize) -> usize {
    u32::from_le_bytes([key[0], key[1], key[2], key[3]]) as usize % count
}

fn key(bucket: &Bucket) -> ChunkId {
    ChunkId(*bucket.first_chunk().expect("a bucket is longer than a key"))
}

fn mark(bucket: &Bucket) -> u32 {
    u32::from_le_bytes([bucket[32], bucket[33], bucket[34], bucket[35]])
}

fn is_used(bucket: &Bucket) -> bool {
    !matches!(mark(bucket), EMPTY | DELETED)
}

fn location(bucket: &Bucket) -> Location {
    let offset = u32::from_le_bytes([bucket[36], bucket[37], bucket[38], bucket[39]]);
    Location { segment: mark(bucket), offset }
}

/// With more entries than this, the next one makes the table grow.
fn upper_limit(buckets: usize) -> usize {
    (buckets as f64 * 0.75) as usize
}

/// With fewer entries than this, the table shrinks.
fn lower_limit(buckets: usize) -> usize {
    if buckets <= SIZES[0] as usize { 0 } else { (buckets as f64 * 0.25) as usize }
}

/// With this many empty buckets or fewer, the table is rebuilt at its size.
fn least_empty(buckets: usize) -> usize {
    1 + (buckets as f64 * (1.0 - 0.93)) as usize
}

/// Position of the first size that is not below `buckets`.
fn size_position(buckets: usize) -> usize {
    SIZES.partition_point(|size| (*size as usize) < buckets)
}

fn size_after(buckets: usize) -> usize {
    SIZES.get(size_position(buckets) + 1).map_or(buckets * 2, |size| *size as usize)
}

fn size_before(buckets: usize) -> usize {
    SIZES[size_position(buckets).saturating_sub(1)] as usize
}

#[cfg(test)]
mod tests;
