use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use worldkeeper_core::PIECE;
use worldkeeper_core::disk::Disk;
use worldkeeper_testkit::{fixtures, gate};

use super::*;
use crate::OsDisk;
use crate::integrity::Digester;

#[derive(Deserialize)]
struct Vectors {
    empty: Table,
    ns_20_inserted: Table,
    ns_collisions: Table,
    ns_collisions_reuse: Table,
    chunks_5: Table,
    growth: Vec<Growth>,
    sizes: Vec<u32>,
}

/// What stock's table looked like after some operations.
#[derive(Deserialize)]
struct Table {
    file_name_for_digest: String,
    header_hex: String,
    num_entries: usize,
    num_buckets: usize,
    size: usize,
    sha256: String,
    integrity: Digests,
    used_buckets: Vec<(usize, String, Vec<u32>)>,
    tombstones: Vec<(usize, String)>,
    #[serde(default)]
    keys_hex: Vec<String>,
}

#[derive(Deserialize)]
struct Digests {
    digests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Growth {
    entries_after_insert: Option<usize>,
    entries_after_delete: Option<usize>,
    num_buckets: usize,
}

fn vectors() -> Vectors {
    fixtures::json("vectors/hashindex.json")
}

/// The recipe of the vectors.
fn numbered(number: u32) -> ChunkId {
    ChunkId(Sha256::digest(format!("borg-vector:idx:{number}")).into())
}

fn at(segment: u32, offset: u32) -> Location {
    Location { segment, offset }
}

fn saved(index: &Index, name: &str) -> (Vec<u8>, crate::integrity::Digests) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let digests = index.save(&mut *OsDisk.create(&path).unwrap(), name).unwrap();
    (std::fs::read(&path).unwrap(), digests)
}

fn loaded(bytes: &[u8], name: &str, digests: Option<&crate::integrity::Digests>) -> Result<Index, file::IndexError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    std::fs::write(&path, bytes).unwrap();
    Index::load(&*OsDisk.open(&path).unwrap(), name, digests)
}

/// Requires that our table has become the very file that stock wrote.
fn check(index: &Index, expected: &Table) {
    let (bytes, digests) = saved(index, &expected.file_name_for_digest);
    assert_eq!(hex::encode(&bytes[..HEADER_LEN]), expected.header_hex);
    assert_eq!(bytes.len(), expected.size);
    assert_eq!(index.file_len(), expected.size as u64);
    for (bucket, key, value) in &expected.used_buckets {
        let found = &index.buckets[*bucket];
        assert_eq!(
            (hex::encode(&found[..32]), vec![mark(found), location(found).offset]),
            (key.clone(), value.clone())
        );
    }
    for (bucket, key) in &expected.tombstones {
        let found = &index.buckets[*bucket];
        assert_eq!((hex::encode(&found[..32]), mark(found)), (key.clone(), DELETED));
    }
    assert_eq!(hex::encode(Sha256::digest(&bytes)), expected.sha256);
    let json: crate::integrity::Digests = expected.integrity.digests.clone().into();
    assert_eq!(digests, json);

    let read = loaded(&bytes, &expected.file_name_for_digest, Some(&json)).unwrap();
    assert_eq!(read.buckets, index.buckets);
    assert_eq!((read.len(), read.buckets.len()), (expected.num_entries, expected.num_buckets));
    assert!(loaded(&bytes, "index.99", Some(&json)).is_err(), "a file of another name");
}

#[test]
fn tables_are_the_ones_stock_makes() {
    let vectors = vectors();
    check(&Index::new(), &vectors.empty);

    let mut index = Index::new();
    for number in 0..20 {
        index.insert(&numbered(number), at(number, 8 + 100 * number));
    }
    check(&index, &vectors.ns_20_inserted);

    let keys: Vec<ChunkId> = vectors.ns_collisions.keys_hex.iter().map(|key| key.parse().unwrap()).collect();
    let mut index = Index::new();
    for (number, key) in (0..).zip(&keys) {
        index.insert(key, at(number, number));
    }
    assert_eq!(index.remove(&keys[1]), Some(at(1, 1)));
    assert_eq!(index.remove(&keys[1]), None);
    check(&index, &vectors.ns_collisions);

    let mut key = [0xee; 32];
    key[..4].copy_from_slice(&[1, 0, 0, 0]);
    index.insert(&ChunkId(key), at(9, 9));
    check(&index, &vectors.ns_collisions_reuse);
}

/// The chunk index of stock's cache has other values; it is none of ours, but its digests follow the same rule.
#[test]
fn digests_are_the_ones_stock_computes() {
    let table = vectors().chunks_5;
    let mut bytes = hex::decode(&table.header_hex).unwrap();
    let mut bucket = [0; 44];
    bucket[32..36].copy_from_slice(&EMPTY.to_le_bytes());
    let mut buckets = vec![bucket; table.num_buckets];
    for (at, key, values) in &table.used_buckets {
        buckets[*at][..32].copy_from_slice(&hex::decode(key).unwrap());
        for (place, value) in buckets[*at][32..].chunks_mut(4).zip(values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes.extend_from_slice(buckets.as_flattened());
    assert_eq!(hex::encode(Sha256::digest(&bytes)), table.sha256);

    let mut digester = Digester::new(&table.file_name_for_digest);
    digester.update(&bytes[..HEADER_LEN]);
    digester.finish_part("HashHeader");
    digester.update(&bytes[HEADER_LEN..]);
    assert_eq!(digester.finish(), table.integrity.digests.into());
    assert_eq!(
        loaded(&bytes, "chunks", None).map(drop).unwrap_err().to_string(),
        "the header is none of a repository index"
    );
}

#[test]
fn tables_grow_and_shrink_where_stocks_do() {
    let vectors = vectors();
    assert_eq!(vectors.sizes, SIZES);
    let mut index = Index::new();
    let (inserts, deletes): (Vec<_>, Vec<_>) =
        vectors.growth.iter().partition(|growth| growth.entries_after_insert.is_some());
    let last = inserts.last().unwrap().entries_after_insert.unwrap();
    let key = |number: usize| ChunkId(Sha256::digest(number.to_le_bytes()).into());
    let mut sizes = vec![];
    for number in 0..last {
        index.insert(&key(number), at(0, 8));
        if sizes.last().is_none_or(|(_, size)| *size != index.buckets.len()) {
            sizes.push((index.len(), index.buckets.len()));
        }
    }
    assert_eq!(
        sizes,
        inserts.iter().map(|growth| (growth.entries_after_insert.unwrap(), growth.num_buckets)).collect::<Vec<_>>()
    );

    let mut sizes = vec![(index.len(), index.buckets.len())];
    for number in 0..last {
        index.remove(&key(number)).unwrap();
        if sizes.last().is_none_or(|(_, size)| *size != index.buckets.len()) {
            sizes.push((index.len(), index.buckets.len()));
        }
    }
    let expected = deletes.iter().map(|growth| (growth.entries_after_delete.unwrap(), growth.num_buckets));
    assert_eq!(sizes[1..], expected.collect::<Vec<_>>());
}

#[test]
fn what_a_table_held_is_found_after_it_grew_or_shrank_where_it_stood() {
    // Keys that nearly all begin their search at the same few places, so that the entries displace one another.
    let id = |number: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&(number % 50 * 41).to_le_bytes());
        id[8..12].copy_from_slice(&number.to_le_bytes());
        ChunkId(id)
    };
    let mut index = Index::new();
    for number in 0..700 {
        index.insert(&id(number), at(number, 8));
    }
    for number in (0..700).step_by(3) {
        index.remove(&id(number)).unwrap();
    }
    for count in [1031, 4099, 2053, 600, 2053, 1031, 470, 8209] {
        index.resize(count);
        assert_eq!((index.buckets.len(), index.len(), index.empty), (count, 466, count - 466));
        for number in 0..700 {
            assert_eq!(index.get(&id(number)), (number % 3 != 0).then_some(at(number, 8)), "{count} buckets");
        }
    }
}

#[test]
fn a_full_table_of_any_size_is_read() {
    for buckets in [7, 8, 20, 64] {
        let mut table = Index::with_buckets(buckets);
        for number in 0..7u32 {
            let Slot::Free(Some(free)) = table.find(&numbered(number)) else { panic!() };
            table.buckets[free][..32].copy_from_slice(&numbered(number).0);
            table.buckets[free][32..36].copy_from_slice(&number.to_le_bytes());
            table.entries += 1;
        }
        let (bytes, digests) = saved(&table, "index.1");
        let mut index = loaded(&bytes, "index.1", Some(&digests)).unwrap();
        for number in 0..7 {
            assert_eq!(index.get(&numbered(number)), Some(at(number, 0)), "{buckets} buckets");
        }
        assert_eq!(index.get(&numbered(8)), None);
        for number in 0..3000 {
            index.insert(&numbered(number), at(number, 1));
        }
        assert_eq!(index.len(), 3000);
    }
}

#[test]
fn damage_is_noticed() {
    let mut index = Index::new();
    for number in 0..5 {
        index.insert(&numbered(number), at(number, 8));
    }
    let (bytes, digests) = saved(&index, "index.1");
    for len in [0, 17, 18, 19, bytes.len() - 1] {
        assert!(loaded(&bytes[..len], "index.1", None).is_err(), "{len} bytes");
    }
    assert!(loaded(&[&bytes[..], b"x"].concat(), "index.1", None).is_err());
    for (position, value) in [(0, b'b'), (8, 6), (8, 4), (11, 0x80), (15, 0x80), (12, 8), (16, 33), (17, 12)] {
        let mut wrong = bytes.clone();
        wrong[position] = value;
        assert!(loaded(&wrong, "index.1", None).is_err(), "byte {position}");
    }
    let mut flipped = bytes.clone();
    for byte in [18, 5000, bytes.len() - 1] {
        flipped[byte] ^= 1;
        assert!(loaded(&flipped, "index.1", Some(&digests)).is_err(), "byte {byte}");
        flipped[byte] ^= 1;
    }
    assert!(loaded(&bytes, "index.1", Some(&digests)).is_ok());
}

#[test]
fn damage_far_into_a_large_index_is_noticed() {
    let index = Index::with_buckets(SIZES[6] as usize);
    let (bytes, digests) = saved(&index, "index.1");
    assert!(index.buckets.len() > 3 * PIECE);
    for byte in [18, 18 + PIECE * BUCKET_LEN, 18 + 3 * PIECE * BUCKET_LEN + 5, bytes.len() - 1] {
        let mut wrong = bytes.clone();
        wrong[byte] ^= 1;
        assert!(matches!(loaded(&wrong, "index.1", Some(&digests)), Err(file::IndexError::Digest(_))), "byte {byte}");
        let hole = (byte - 18) / BUCKET_LEN * BUCKET_LEN + 18;
        wrong[hole..hole + BUCKET_LEN].fill(0);
        assert!(matches!(loaded(&wrong, "index.1", None), Err(file::IndexError::Hole)), "byte {byte}");
    }
    assert!(loaded(&bytes, "index.1", Some(&digests)).unwrap().buckets == index.buckets);
}

#[test]
fn a_hole_in_the_file_takes_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.1");
    let count = i32::MAX - 1;
    let mut header = b"BORG_IDX\0\0\0\0\0\0\0\0\x20\x08".to_vec();
    header[12..16].copy_from_slice(&count.to_le_bytes());
    std::fs::write(&path, header).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(18 + 40 * count as u64).unwrap();
    let error = Index::load(&*OsDisk.open(&path).unwrap(), "index.1", None).map(drop).unwrap_err();
    assert!(matches!(error, file::IndexError::Hole), "{error}");
}

/// One long life: the table fills beyond 65,536 entries, empties again, and changes while it keeps its size, so that
/// deleted buckets crowd it and it is swept where it stands.
#[test]
fn gate_index_is_a_map() {
    /// Steps of a phase, and of each phase how many of a hundred of them insert: it grows, shrinks, stays, grows, and
    /// shrinks to nothing.
    const PHASE: usize = 200_000;
    const PHASES: [usize; 5] = [90, 25, 54, 80, 5];
    const LOOK: usize = 250_000;
    // One key in 64 begins its search at the same few places, so that these displace one another and all others there.
    let drawn = |random: &mut gate::Random| {
        let (start, number) = (random.below(1 << 32) as u32, random.below(1 << 32) as u32);
        let start = if number.is_multiple_of(64) { number / 64 % 50 * 41 } else { start };
        let mut id = [0; 32];
        id[..4].copy_from_slice(&start.to_le_bytes());
        id[8..12].copy_from_slice(&number.to_le_bytes());
        ChunkId(id)
    };
    let steps = gate::amount(1_000_000, 100_000_000);
    let (mut random, mut index, mut map) = (gate::Random::of(0), Index::new(), HashMap::new());
    let mut known = Vec::new();
    let (mut most, mut grown, mut shrunk, mut swept) = (0, 0, 0, 0);
    for step in 0..steps {
        let case = || format!("step {step} under seed {}", gate::seed());
        let (buckets, empty) = (index.buckets.len(), index.empty);
        let inserts = random.below(100) < PHASES[step / PHASE % PHASES.len()];
        // Some are inserted that are there, and some removed that are not.
        let is_new = known.is_empty() || random.below(8) < if inserts { 6 } else { 1 };
        let place = random.below(known.len());
        let id = if is_new { drawn(&mut random) } else { known[place] };
        if inserts {
            let location = at(step as u32, random.below(1 << 32) as u32);
            index.insert(&id, location);
            if map.insert(id, location).is_none() {
                known.push(id);
            }
        } else {
            assert_eq!(index.remove(&id), map.remove(&id), "{}", case());
            if !is_new {
                known.swap_remove(place);
            }
        }
        assert_eq!(index.get(&id), map.get(&id).copied(), "{}", case());
        assert_eq!(index.len(), map.len(), "{}", case());
        most = most.max(map.len());
        grown += usize::from(index.buckets.len() > buckets);
        shrunk += usize::from(index.buckets.len() < buckets);
        swept += usize::from(index.buckets.len() == buckets && index.empty > empty);
        if (step + 1) % LOOK == 0 {
            assert_eq!(index.iter().count(), map.len(), "{}", case());
            assert!(index.iter().all(|(id, location)| map.get(&id) == Some(&location)), "{}", case());
            assert!(map.iter().all(|(id, location)| index.get(id) == Some(*location)), "{}", case());
            let never_used = index.buckets.iter().filter(|bucket| mark(bucket) == EMPTY).count();
            assert_eq!(index.empty, never_used, "{}", case());
        }
    }
    println!(
        "{steps} steps, {most} entries at most; it grew {grown} times, shrank {shrunk} times, was swept {swept} times"
    );
    assert!(most > 65_536 && grown > 6 && shrunk > 1 && swept > 0, "some of it was not tried");
}

proptest! {
    /// Keys come from a small set that collides, so that buckets are deleted, reused and crowded.
    #[test]
    fn an_index_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0u16..1500, 0u8..4), 0..4000)) {
        let mut index = Index::new();
        let mut map = BTreeMap::new();
        for (step, (insert, key, bits)) in (0u32..).zip(steps) {
            let mut id = [0; 32];
            id[0] = bits;
            id[8..10].copy_from_slice(&key.to_le_bytes());
            let id = ChunkId(id);
            if insert {
                index.insert(&id, at(step, step));
                map.insert(id, at(step, step));
            } else {
                prop_assert_eq!(index.remove(&id), map.remove(&id));
            }
            prop_assert_eq!(index.get(&id), map.get(&id).copied());
            prop_assert_eq!(index.len(), map.len());
        }
        prop_assert_eq!(index.iter().collect::<BTreeMap<_, _>>(), map);
        prop_assert_eq!(index.empty, index.buckets.iter().filter(|bucket| mark(bucket) == EMPTY).count());
    }

    /// Nothing says that a file without digests is a table: keys may stand twice, or where no search finds them.
    #[test]
    fn any_buckets_are_survived(
        buckets in proptest::collection::vec((1u8..40, prop_oneof![0u32..4, DELETED..=EMPTY]), 1..1100),
        inserted in 0u8..200,
    ) {
        let id = |number: u8| ChunkId([number; 32]);
        let mut table = Index::with_buckets(buckets.len());
        for (at, (key, segment)) in buckets.iter().enumerate() {
            let bucket = &mut table.buckets[at];
            bucket[..32].copy_from_slice(&id(*key).0);
            bucket[32..36].copy_from_slice(&segment.to_le_bytes());
        }
        table.entries = table.buckets.iter().filter(|bucket| is_used(bucket)).count();
        let (bytes, _) = saved(&table, "index.1");
        let mut index = loaded(&bytes, "index.1", None).unwrap();
        for number in 0..inserted {
            index.insert(&id(number), at(9, number.into()));
            prop_assert_eq!(index.get(&id(number)), Some(at(9, number.into())));
        }
        for number in 0..=u8::MAX {
            index.remove(&id(number));
            prop_assert_eq!(index.entries, index.buckets.iter().filter(|bucket| is_used(bucket)).count());
        }
    }
}
