//! What must hold of whatever is left of a disk: old or new, all of it readable, and the next run goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use worldkeeper_archive::Item;
use worldkeeper_compress::Decompressor;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob};
use worldkeeper_engine::{Session, SessionError, StateDir};
use worldkeeper_repository::Mode;
use worldkeeper_testkit::disk::MemoryDisk;

use crate::counters::Counters;
use crate::house::{House, NEW_PASSPHRASE, Outcome, PASSPHRASE, REPOSITORY};
use crate::operations::{NOW, Operation};

/// The archives of a repository, with every item and its content.
pub(crate) type Archives = BTreeMap<String, Vec<(Item, Vec<u8>)>>;

/// What an operation may leave.
pub(crate) struct Expected {
    pub(crate) before: Archives,
    pub(crate) after: Archives,
}

impl Expected {
    /// Finds out by running the operation where nothing fails.
    pub(crate) fn of(operation: &Operation, mode: EncryptionMode) -> Self {
        let disk = operation.disk(mode);
        let before = archives(&disk, mode).unwrap();
        (operation.run)(&Operation::house(&disk, mode)).unwrap();
        let after = archives(&disk, mode).unwrap();
        Self { before, after }
    }

    /// Requires that these are the archives from before or those from after; returns whether they are the latter.
    pub(crate) fn assert_either(&self, found: &Archives, context: &str) -> bool {
        if *found == self.before {
            return self.before == self.after;
        }
        let names = |archives: &Archives| archives.keys().cloned().collect::<Vec<_>>();
        let (old, new) = (names(&self.before), names(&self.after));
        assert!(*found == self.after, "{context}: {:?} is neither {old:?} nor {new:?}, or not whole", names(found));
        true
    }
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
    let found = archives(disk, mode).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let is_after = expected.assert_either(&found, context);
    next_run_succeeds(disk, mode, &found, context);
    if mode.encrypts() {
        let mut sealed = sealed.clone();
        sealed.add(disk, context);
        sealed.assert_disjoint(context);
    }
    is_after
}

/// Makes one archive more, and requires that everything is in order then.
pub(crate) fn next_run_succeeds(disk: &MemoryDisk, mode: EncryptionMode, found: &Archives, context: &str) {
    let house = house(disk, mode, NOW + 1);
    let name = house.create(2).unwrap_or_else(|error| panic!("{context}: the next run: {error:?}"));
    let mut now = whole(disk, mode).unwrap_or_else(|error| panic!("{context}: after the next run: {error:?}"));
    let made = now.remove(&name).unwrap_or_else(|| panic!("{context}: there is no {name}"));
    assert!(made.len() > 8, "{context}: {} items", made.len());
    assert!(now == *found, "{context}: the next run changed {:?}", now.keys());
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
            let item = item?;
            let mut content = Vec::new();
            for chunk in item.chunks.iter().flatten() {
                referenced.insert(chunk.id);
                let object = repository.get(&chunk.id)?;
                let plain = decompressor.decompress(&key.open(&object)?, None, 1 << 24)?;
                key.verify_id(&chunk.id, &plain)?;
                content.extend_from_slice(&plain);
            }
            items.push((item, content));
        }
        archives.insert(info.name.to_string(), items);
    }
    Ok((archives, referenced))
}

/// Whether an error only says that there is no repository yet, or an unfinished one.
fn is_unmade(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(RepositoryError::DoesNotExist(_)))
        || matches!(error.downcast_ref(), Some(SessionError::Unfinished(_)))
}
