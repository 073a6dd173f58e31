//! What must survive a repair, found out without any code of ours: a search of all segments for entries whose checksum
//! matches, byte by byte.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::{ChunkId, Disk};

const COMMIT: &[u8] = b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02";

/// The objects that a repository still holds: stored, not deleted since, and committed as far as anything tells.
pub(crate) fn survivors(disk: &dyn Disk, repository: &Path) -> BTreeMap<ChunkId, Bytes> {
    let segments = segments(disk, repository);
    let committed = segments.iter().filter(|(_, bytes)| is_committed(bytes)).map(|(number, _)| *number).max();
    let counts = committed.max(witnessed(disk, repository)).or(segments.keys().next_back().copied());
    let mut objects = BTreeMap::new();
    for (number, bytes) in segments {
        if Some(number) > counts {
            break;
        }
        for entry in entries(&bytes) {
            let id = || ChunkId(entry[9..41].try_into().unwrap());
            match entry[8] {
                0 => drop(objects.insert(id(), Bytes::copy_from_slice(&entry[41..]))),
                1 => drop(objects.remove(&id())),
                _ => {}
            }
        }
    }
    objects
}

/// Number and content of each segment that is not empty.
pub(crate) fn segments(disk: &dyn Disk, repository: &Path) -> BTreeMap<u32, Vec<u8>> {
    let mut segments = BTreeMap::new();
    let data = repository.join("data");
    for (directory, kind) in disk.list(&data).unwrap_or_default() {
        if kind != EntryKind::Directory {
            continue;
        }
        for (name, _) in disk.list(&data.join(&directory)).unwrap() {
            let bytes = disk::read(disk, &data.join(&directory).join(&name), 1 << 30).unwrap();
            if let (Ok(number), false) = (name.to_str().unwrap().parse(), bytes.is_empty()) {
                segments.insert(number, bytes);
            }
        }
    }
    segments
}

/// The latest transaction there are state files of, which are written when the commit is durable.
fn witnessed(disk: &dyn Disk, repository: &Path) -> Option<u32> {
    let names = disk.list(repository).unwrap().into_iter().map(|(name, _)| name.into_string().unwrap());
    let is_there = |name: &String| disk.metadata(&repository.join(name)).unwrap().len > 0;
    let prefixes = ["index.", "hints.", "integrity."];
    let number = |name: String| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?.parse().ok();
    names.filter(is_there).filter_map(number).max()
}

/// Every entry that verifies, wherever it stands.
fn entries(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match entry(&bytes[at..]) {
            Some(entry) => {
                found.push(entry);
                at += entry.len();
            }
            None => at += 1,
        }
    }
    found
}

fn entry(bytes: &[u8]) -> Option<&[u8]> {
    let size = u32::from_le_bytes(bytes.get(4..8)?.try_into().unwrap()) as usize;
    let fits = match bytes.get(8)? {
        0 => size >= 41,
        1 => size == 41,
        2 => size == 9,
        _ => false,
    };
    let entry = bytes.get(..size).filter(|_| fits)?;
    (crc32fast::hash(&entry[4..]).to_le_bytes() == entry[..4]).then_some(entry)
}

fn is_committed(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(b"BORG_SEG") else { return false };
    let mut seen = false;
    while let Some(entry) = entry(rest) {
        if seen && entry != COMMIT {
            return false;
        }
        seen |= entry == COMMIT;
        rest = &rest[entry.len()..];
    }
    seen && rest.is_empty()
}
