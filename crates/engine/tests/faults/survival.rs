//! What must hold of whatever is left of a disk: old or new, all of it readable, and the next run goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use worldkeeper_archive::Item;
use worldkeeper_compress::Decompressor;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob};
use worldkeeper_engine::{Session, SessionError, StateDir, series};
use worldkeeper_repository::Mode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::MemoryDisk;

use crate::house::{House, NEW_PASSPHRASE, Outcome, PASSPHRASE, REPOSITORY};
use crate::operations::{NOW, Operation, Start};

/// The archives of a repository.
pub(crate) type Archives = BTreeMap<String, Archive>;

/// An archive with every item and its content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Archive {
    comment: Option<Vec<u8>>,
    items: Vec<(Item, Vec<u8>)>,
}

/// What stands for content that is lost.
const LOST: &[u8] = b"lost";

/// What an operation may leave.
pub(crate) struct Expected {
    pub(crate) before: Archives,
    pub(crate) after: Archives,
    is_repair: bool,
}

impl Expected {
    /// Finds out by running the operation where nothing fails.
    pub(crate) fn of(operation: &Operation, mode: EncryptionMode) -> Self {
        let disk = operation.disk(mode);
        let before = archives(&disk, mode).unwrap();
        (operation.run)(&Operation::house(&disk, mode)).unwrap();
        let after = archives(&disk, mode).unwrap();
        Self { before, after, is_repair: operation.start == Start::Damaged }
    }

    /// Requires that these are the archives from before or those from after; returns whether they are the latter. Beside
    /// those from before there may be a checkpoint: the beginning of one of those from after.
    pub(crate) fn assert_either(&self, found: &Archives, context: &str) -> bool {
        let (checkpoints, whole) = split(found);
        for (name, checkpoint) in &checkpoints {
            let archive = name.strip_suffix(".checkpoint").and_then(|name| self.after.get(name));
            let archive = archive.unwrap_or_else(|| panic!("{context}: {name} is none of this run"));
            checkpoint.assert_begins(archive, context);
        }
        if whole == self.before {
            return self.before == self.after && checkpoints.is_empty();
        }
        let names = |archives: &Archives| archives.keys().cloned().collect::<Vec<_>>();
        let (old, new) = (names(&self.before), names(&self.after));
        assert!(*found == self.after, "{context}: {:?} is neither {old:?} nor {new:?}, or not whole", names(found));
        true
    }

    /// Makes one archive more, and requires that everything is in order then. What was damaged needs a repair that comes
    /// to its end before.
    pub(crate) fn next_run_succeeds(&self, disk: &MemoryDisk, mode: EncryptionMode, found: &Archives, context: &str) {
        let house = house(disk, mode, NOW + 1);
        let expected = if self.is_repair {
            house.repair().unwrap_or_else(|error| panic!("{context}: the next repair: {error:?}"));
            &self.after
        } else {
            &split(found).1
        };
        let name = house.create(2).unwrap_or_else(|error| panic!("{context}: the next run: {error:?}"));
        let mut now = whole(disk, mode).unwrap_or_else(|error| panic!("{context}: after the next run: {error:?}"));
        let made = now.remove(&name).unwrap_or_else(|| panic!("{context}: there is no {name}"));
        assert!(made.items.len() > 8, "{context}: {} items", made.items.len());
        assert!(now == *expected, "{context}: the next run changed {:?}", now.keys());
    }
}

impl Archive {
    /// Requires that this is a checkpoint of another: its first items, and the first part of the next.
    fn assert_begins(&self, whole: &Self, context: &str) {
        assert!(!self.items.is_empty(), "{context}: an empty checkpoint");
        for ((item, content), (meant, all)) in self.items.iter().zip(&whole.items) {
            let is_part = item.part == Some(1)
                && item.path.strip_suffix(b".borg_part_1") == Some(&meant.path)
                && all.starts_with(content);
            assert!(is_part || (item, content) == (meant, all), "{context}: {item:?} in a checkpoint");
        }
        assert!(self.items.len() <= whole.items.len(), "{context}: {} items in a checkpoint", self.items.len());
    }
}

/// Returns whether an archive lacks content.
pub(crate) fn has_losses(archives: &Archives) -> bool {
    archives.values().flat_map(|archive| &archive.items).any(|(_, content)| content == LOST)
}

/// The checkpoints, and the other archives. A checkpoint goes with the next archive.
fn split(archives: &Archives) -> (Archives, Archives) {
    archives.clone().into_iter().partition(|(name, _)| series::is_checkpoint(name))
}

/// Requires that a disk holds what an operation may leave, and that the next run needs no help. Returns whether the
/// operation had come to its end.
pub(crate) fn survives(
    disk: &MemoryDisk,
    mode: EncryptionMode,
    expected: &Expected,
    sealed: &Counters,
    context: &str,
) -> bool {
    let found = match archives(disk, mode) {
        // Who began a repair has to end it, if only then the repository can be read again.
        Err(error) if expected.is_repair && is_damage(&*error) => {
            house(disk, mode, NOW + 1).repair().unwrap_or_else(|error| panic!("{context}: repair: {error:?}"));
            archives(disk, mode)
        }
        found => found,
    };
    let found = found.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let is_after = expected.assert_either(&found, context);
    expected.next_run_succeeds(disk, mode, &found, context);
    if mode.encrypts() {
        sealed_on(disk, &sealed.branch(), context);
    }
    is_after
}

/// Adds what was sealed to a disk, into files that are still there and files that are not.
pub(crate) fn sealed_on(disk: &MemoryDisk, counters: &Counters, context: &str) {
    for file in disk.every_file().iter().filter(|file| file.starts_with(b"BORG_SEG")) {
        let noted = counters.whole_objects(&Bytes::copy_from_slice(file));
        noted.unwrap_or_else(|reused| panic!("{context}: {reused}"));
    }
}

/// The archives, as whoever comes next sees them.
pub(crate) fn archives(disk: &MemoryDisk, mode: EncryptionMode) -> Outcome<Archives> {
    let house = house(disk, mode, NOW + 1);
    let state = house.state()?;
    match house.open(&state, Mode::Shared) {
        Ok(session) => read_all(&house, &state, &session).map(|(archives, _)| archives),
        Err(error) if is_unmade(&*error) => Ok(Archives::new()),
        Err(error) => Err(error),
    }
}

/// Reads all archives, and requires that the repository holds what they refer to and nothing else, and that its index
/// is what its log says.
pub(crate) fn whole(disk: &MemoryDisk, mode: EncryptionMode) -> Outcome<Archives> {
    let house = house(disk, mode, NOW + 2);
    let state = house.state()?;
    let (archives, referenced) = read_all(&house, &state, &house.open(&state, Mode::Shared)?)?;
    let ids = |disk: &MemoryDisk| -> Outcome<BTreeSet<ChunkId>> {
        let house = House::new(disk, mode, NOW + 2);
        Ok(house.repository(&house.state()?, Mode::WithoutLock)?.ids()?.into_iter().collect())
    };
    let indexed = ids(disk)?;
    if has_losses(&archives) {
        return Err("something is lost".into());
    }
    if indexed != referenced {
        return Err(format!("{} objects are referred to, {} are there", referenced.len(), indexed.len()).into());
    }
    let replayed = disk.after_kill();
    for (name, _) in replayed.list(Path::new(REPOSITORY))? {
        if name.to_str().is_some_and(|name| name.starts_with("index.")) {
            replayed.remove_file(&Path::new(REPOSITORY).join(name))?;
        }
    }
    if ids(&replayed)? != indexed {
        return Err("the index is not what the log says".into());
    }
    Ok(archives)
}

/// Whoever comes next, with the passphrase that opens the key.
fn house(disk: &MemoryDisk, mode: EncryptionMode, hour: u32) -> House {
    let house = House::new(disk, mode, hour);
    house.weaken_key();
    let is_changed = key(&house, PASSPHRASE).is_none() && key(&house, NEW_PASSPHRASE).is_some();
    if is_changed { house.with_new_passphrase() } else { house }
}

fn key(house: &House, passphrase: &str) -> Option<Key> {
    if house.mode == EncryptionMode::None {
        return Some(Key::plaintext());
    }
    let repository = house.repository(&house.state().ok()?, Mode::WithoutLock).ok()?;
    repository.load_key().ok()??.parse::<KeyBlob>().ok()?.open(house.mode, passphrase).ok()
}

fn read_all(house: &House, state: &StateDir, session: &Session) -> Outcome<(Archives, BTreeSet<ChunkId>)> {
    let repository = house.repository(state, Mode::WithoutLock)?;
    let key = key(house, PASSPHRASE).or_else(|| key(house, NEW_PASSPHRASE)).ok_or("no passphrase opens the key")?;
    let mut decompressor = Decompressor::new();
    let mut archives = Archives::new();
    let mut referenced = BTreeSet::from([ChunkId::MANIFEST]);
    for info in session.archives() {
        let archive = session.open_archive(&info)?;
        referenced.insert(info.id);
        referenced.extend(&archive.metadata.items);
        let mut items = Vec::new();
        for item in session.items(&archive) {
            let mut item = item?;
            let mut content = Vec::new();
            for chunk in item.chunks.iter().flatten() {
                referenced.insert(chunk.id);
                let object = match repository.get(&chunk.id) {
                    Err(RepositoryError::ObjectNotFound(_) | RepositoryError::Damaged { .. }) => {
                        content.extend_from_slice(LOST);
                        continue;
                    }
                    object => object?,
                };
                let plain = decompressor.decompress(&key.open(&object)?, None, 1 << 24)?;
                key.verify_id(&chunk.id, &plain)?;
                content.extend_from_slice(&plain);
            }
            // Whoever makes the repository draws its key, and the ids with it; the content tells them apart as well.
            for chunk in item.chunks.iter_mut().flatten() {
                chunk.id = ChunkId::MANIFEST;
            }
            items.push((item, content));
        }
        archives.insert(info.name.to_string(), Archive { comment: archive.metadata.comment.clone(), items });
    }
    Ok((archives, referenced))
}

/// Whether an error says that something stored is damaged.
fn is_damage(error: &(dyn std::error::Error + 'static)) -> bool {
    let damaged = |error: &RepositoryError| matches!(error, RepositoryError::Damaged { .. });
    match error.downcast_ref() {
        Some(SessionError::Repository(error)) => damaged(error),
        _ => error.downcast_ref().is_some_and(damaged),
    }
}

/// Whether an error only says that there is no repository yet, or an unfinished one.
fn is_unmade(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(RepositoryError::DoesNotExist(_)))
        || matches!(error.downcast_ref(), Some(SessionError::Unfinished(_)))
}
