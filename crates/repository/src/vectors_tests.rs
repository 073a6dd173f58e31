//! The repositories that stock made, read down to every log entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use worldkeeper_core::ChunkId;
use worldkeeper_testkit::{fixtures, repositories};

use crate::OsDisk;
use crate::hints::Hints;
use crate::index::Index;
use crate::replay::Replay;
use crate::segment::{Body, Location, Segments};
use crate::state_files::StateFiles;

const TRANSACTION: u32 = 25;

#[derive(Deserialize)]
struct Recorded {
    hints: RecordedHints,
    index: BTreeMap<String, (u32, u32)>,
    segments: Vec<RecordedSegment>,
}

#[derive(Deserialize)]
struct RecordedHints {
    segments: BTreeMap<u32, i64>,
    compact: BTreeMap<u32, u64>,
    storage_quota_use: u64,
    shadow_index: BTreeMap<String, Vec<u32>>,
}

#[derive(Deserialize)]
struct RecordedSegment {
    segment: u32,
    size: u64,
    entries: Vec<RecordedEntry>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct RecordedEntry {
    offset: u32,
    crc: String,
    size: u32,
    tag: String,
    #[serde(default)]
    id: Option<String>,
}

fn recorded(name: &str) -> Recorded {
    fixtures::json(&format!("vectors/repos/{name}.json"))
}

fn id(text: &str) -> ChunkId {
    text.parse().unwrap()
}

fn hints(recorded: &RecordedHints) -> Hints {
    Hints {
        segments: recorded.segments.clone(),
        compact: recorded.compact.clone(),
        storage_quota_use: recorded.storage_quota_use,
        shadow_index: recorded.shadow_index.iter().map(|(key, segments)| (id(key), segments.clone())).collect(),
    }
}

fn locations(index: &Index) -> BTreeMap<ChunkId, Location> {
    index.iter().collect()
}

fn recorded_locations(recorded: &Recorded) -> BTreeMap<ChunkId, Location> {
    let place =
        |(key, (segment, offset)): (&String, &(u32, u32))| (id(key), Location { segment: *segment, offset: *offset });
    recorded.index.iter().map(place).collect()
}

#[test]
fn every_log_entry_is_read() {
    for name in repositories::NAMES {
        let repository = repositories::Copy::of(name);
        let segments = Segments::new(Arc::new(OsDisk), &repository.path(), 1000);
        let recorded = recorded(name);
        assert_eq!(
            segments.list().unwrap(),
            recorded.segments.iter().map(|segment| segment.segment).collect::<Vec<_>>()
        );
        for segment in recorded.segments {
            assert_eq!(segments.len(segment.segment).unwrap(), Some(segment.size));
            let mut reader = segments.read(segment.segment).unwrap();
            let mut entries = Vec::new();
            while let Some(entry) = reader.next().unwrap() {
                let (tag, id) = match entry.body {
                    Body::Put(id) => ("PUT", Some(id.to_string())),
                    Body::Delete(id) => ("DELETE", Some(id.to_string())),
                    Body::Commit => ("COMMIT", None),
                };
                entries.push(RecordedEntry {
                    offset: entry.offset,
                    crc: hex::encode(u32::from_le_bytes(*entry.bytes.first_chunk().unwrap()).to_be_bytes()),
                    size: entry.bytes.len() as u32,
                    tag: tag.into(),
                    id,
                });
            }
            assert_eq!(entries, segment.entries, "{name}, segment {}", segment.segment);
            let ends_with_commit = entries.last().unwrap().tag == "COMMIT";
            assert_eq!(segments.is_committed(segment.segment).unwrap(), ends_with_commit);
        }
    }
}

#[test]
fn index_hints_and_integrity_are_read_and_written_alike() {
    for name in repositories::NAMES {
        let repository = repositories::Copy::of(name);
        let path = repository.path();
        let recorded = recorded(name);
        let files = StateFiles::new(Arc::new(OsDisk), &path);
        assert_eq!(files.transaction().unwrap(), Some(TRANSACTION));
        let index = files.load_index(TRANSACTION).unwrap();
        assert_eq!(locations(&index), recorded_locations(&recorded), "{name}");
        let found = files.load_hints(TRANSACTION).unwrap();
        assert_eq!(found, hints(&recorded.hints), "{name}");

        // Written anew, all three are the files that stock wrote, byte for byte; but stock does not sort its
        // shadow index, so that those bytes may differ, and with them the digest of the hints.
        let read = |file: &str| std::fs::read(path.join(format!("{file}.{TRANSACTION}"))).unwrap();
        let before = ["index", "hints", "integrity"].map(read);
        files.save(TRANSACTION, &index, &found).unwrap();
        let after = ["index", "hints", "integrity"].map(read);
        assert_eq!(after[0], before[0], "{name}");
        assert_eq!(after[1].len(), before[1].len(), "{name}");
        assert_eq!(after[2].len(), before[2].len(), "{name}");
        assert_eq!(files.load_hints(TRANSACTION).unwrap(), found, "{name}");
        if after[1] == before[1] {
            assert_eq!(after[2], before[2], "{name}");
        }
    }
}

#[test]
fn a_replay_finds_what_stock_noted() {
    for name in repositories::NAMES {
        let repository = repositories::Copy::of(name);
        let recorded = recorded(name);
        let segments = Segments::new(Arc::new(OsDisk), &repository.path(), 1000);
        let existing = segments.list().unwrap();
        let mut replay = Replay::new(&segments, &existing, None);
        for segment in &existing {
            replay.segment(*segment).unwrap();
        }
        let (index, mut found) = replay.finish();
        assert_eq!(locations(&index), recorded_locations(&recorded), "{name}");

        let mut expected = hints(&recorded.hints);
        // Of a segment without objects in use a replay says that all of it can go, its magic included.
        for (segment, freeable) in &mut found.compact {
            if found.segments[segment] == 0 && expected.compact[segment] + 8 == *freeable {
                *freeable -= 8;
            }
        }
        // Borg 1.2 does not note which PUTs were overwritten; those of the manifest are.
        if name.ends_with("1.2.4") {
            let overwritten = found.shadow_index.remove(&ChunkId::MANIFEST);
            expected.shadow_index.remove(&ChunkId::MANIFEST);
            assert_eq!(overwritten, Some(vec![0, 4, 8, 12, 16, 20]));
        }
        assert_eq!(found, expected, "{name}");
    }
}
