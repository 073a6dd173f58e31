//! A repository's segments, read by a second reader that shares nothing with ours: what the log says is held against
//! what the index says, and whatever was ever written is found, committed or not.
//!
//! Source: borg 1.4 `repository.py`, `LoggedIO`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// An object's id.
pub type Id = [u8; 32];

/// One entry of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The object under an id; of a torn one, as much as is there.
    Put(Id, &'a [u8]),
    /// An id is gone.
    Delete(Id),
    /// What came before it counts.
    Commit,
}

/// Segments begin with this.
const MAGIC: &[u8] = b"BORG_SEG";
/// The one form of a COMMIT.
const COMMIT: [u8; 9] = [0x40, 0xf4, 0x3c, 0x25, 9, 0, 0, 0, 2];
/// CRC, size and tag.
const HEADER: usize = 9;
/// Header and id.
const PUT_HEADER: usize = HEADER + 32;

/// The segments of a repository with their bytes, in order. Empty where no repository is.
pub fn read(repository: &Path) -> BTreeMap<u32, Vec<u8>> {
    let mut segments = BTreeMap::new();
    for folder in names(&repository.join("data")) {
        let folder = repository.join("data").join(folder);
        for name in names(&folder) {
            if let Ok(number) = name.parse() {
                segments.insert(number, fs::read(folder.join(&name)).expect("segments can be read"));
            }
        }
    }
    segments
}

/// The entries of a segment with their offsets, and where those that are whole end: one that is torn may come behind.
pub fn entries(segment: &[u8]) -> (Vec<(u32, Entry<'_>)>, usize) {
    let mut found = Vec::new();
    let mut rest = segment.strip_prefix(MAGIC).unwrap_or_default();
    while rest.len() >= HEADER {
        let end = segment.len() - rest.len();
        let offset = end as u32;
        let size = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
        let entry = &rest[..size.clamp(HEADER, rest.len())];
        let whole = size == entry.len() && crc(&entry[4..]) == rest[..4];
        match (entry[8], entry.get(HEADER..PUT_HEADER)) {
            (0, Some(id)) => found.push((offset, Entry::Put(id.try_into().expect("32 bytes"), &entry[PUT_HEADER..]))),
            (1, Some(id)) if whole => found.push((offset, Entry::Delete(id.try_into().expect("32 bytes")))),
            (2, _) if entry == COMMIT => found.push((offset, Entry::Commit)),
            _ => return (found, end),
        }
        if !whole {
            return (found, end);
        }
        rest = &rest[entry.len()..];
    }
    (found, segment.len() - rest.len())
}

/// Returns whether a segment ends with a commit.
pub fn is_committed(segment: &[u8]) -> bool {
    let (entries, end) = entries(segment);
    end == segment.len() && matches!(entries.last(), Some((_, Entry::Commit)))
}

/// Where each object lies that the committed part of the log leaves alive: segment and offset.
pub fn replayed(repository: &Path) -> BTreeMap<Id, (u32, u32)> {
    let segments = read(repository);
    let last = segments.iter().rfind(|(_, bytes)| is_committed(bytes)).map(|(number, _)| *number);
    let mut live = BTreeMap::new();
    for (number, bytes) in segments.iter().filter(|(number, _)| last.is_some_and(|last| **number <= last)) {
        for (offset, entry) in entries(bytes).0 {
            match entry {
                Entry::Put(id, _) => drop(live.insert(id, (*number, offset))),
                Entry::Delete(id) => drop(live.remove(&id)),
                Entry::Commit => {}
            }
        }
    }
    live
}

/// What the newest index says; `None` if there is none.
pub fn indexed(repository: &Path) -> Option<BTreeMap<Id, (u32, u32)>> {
    let names = names(repository);
    let transactions = names.iter().filter_map(|name| name.strip_prefix("index.")?.parse::<u32>().ok());
    let bytes = fs::read(repository.join(format!("index.{}", transactions.max()?))).expect("an index can be read");
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let buckets = bytes.get(18..).expect("an index has a header").chunks_exact(40);
    let used = buckets.filter(|bucket| word(&bucket[32..36]) < 0xffff_fffe);
    let place = |bucket: &[u8]| (word(&bucket[32..36]), word(&bucket[36..40]));
    Some(used.map(|bucket| (bucket[..32].try_into().expect("32 bytes"), place(bucket))).collect())
}

/// Asserts that the index says what the log says. One that is missing says nothing.
///
/// # Panics
///
/// If they differ.
#[track_caller]
pub fn assert_index_agrees(repository: &Path) {
    let Some(indexed) = indexed(repository) else { return };
    let replayed = replayed(repository);
    let differ = |(id, place): &(&Id, &(u32, u32))| replayed.get(*id) != Some(*place);
    let wrong = indexed.iter().find(differ).map(|(id, place)| (hex::encode(id), *place));
    assert!(wrong.is_none(), "{}: the index has {wrong:?}, the log does not", repository.display());
    let missing =
        replayed.iter().find(|(id, _)| !indexed.contains_key(*id)).map(|(id, place)| (hex::encode(id), *place));
    assert!(missing.is_none(), "{}: the log has {missing:?}, the index does not", repository.display());
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder can be read").file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::borg::Borg;
    use crate::tree;

    #[test]
    fn the_log_and_the_index_of_stock_agree() {
        for borg in Borg::all() {
            let borg = borg.warmed();
            let folder = tempfile::tempdir().unwrap();
            let (tree, repository) = (folder.path().join("tree"), folder.path().join("r"));
            borg.init(&repository, "none");
            for seed in ["first", "second", "third"] {
                tree::world(&tree, 60, seed);
                let _ = borg.create(&repository, seed, &tree, &[]);
            }
            let _ = borg.run(["delete", &crate::borg::location(&repository, "second")]);
            assert_index_agrees(&repository);
            let before = indexed(&repository).unwrap();
            let _ = borg.run(["compact", "--threshold", "0", repository.to_str().unwrap()]);
            assert_index_agrees(&repository);
            assert_ne!(indexed(&repository).unwrap(), before, "compact moved what is left");

            // What an aborted transaction left is nobody's: found, but not alive.
            let next = read(&repository).keys().max().unwrap() + 1;
            let put = [&[1, 2, 3, 4, 60, 0, 0, 0, 0][..], &[7; 32], b"torn"].concat();
            fs::write(repository.join(format!("data/0/{next}")), [MAGIC, &put].concat()).unwrap();
            assert_eq!(entries(&read(&repository)[&next]), (vec![(8, Entry::Put([7; 32], b"torn"))], 8));
            assert_index_agrees(&repository);
        }
    }
}
