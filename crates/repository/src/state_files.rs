//! The three files that spare a replay: `index.<T>`, `hints.<T>` and `integrity.<T>`, for transaction T.
//!
//! They are a cache: whatever is wrong with them, the segments are the truth. The order in which they are written is
//! the one stock uses, so that a crash at any point leaves files that verify, or none that count.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;
use worldkeeper_core::disk::{self, DiskFile};
use worldkeeper_core::{Disk, DiskError, error_text};

use crate::hints::Hints;
use crate::index::Index;
use crate::integrity::{Digester, Digests, Integrity};
use crate::segment::{MAX_SEGMENT, parse_number};

/// More than any hints or integrity file has; a limit for what is read into memory.
const MAX_FILE_BYTES: u64 = 1 << 30;

const PREFIXES: [&str; 3] = ["index.", "hints.", "integrity."];

/// The index, hints and integrity files of a repository.
pub(crate) struct StateFiles {
    disk: Arc<dyn Disk>,
    repository: PathBuf,
}

impl StateFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, repository: &Path) -> Self {
        Self { disk, repository: repository.to_owned() }
    }

    /// The latest transaction there is an index of. Empty files do not count.
    pub(crate) fn transaction(&self) -> Result<Option<u32>, DiskError> {
        self.latest(&["index."])
    }

    /// The latest transaction that any of the files is of. They are written when their COMMIT is durable, so that it
    /// was, whatever has become of it.
    pub(crate) fn witnessed(&self) -> Result<Option<u32>, DiskError> {
        self.latest(&PREFIXES)
    }

    /// The latest transaction there is a file of one of these kinds of. One that no segment can have made is none.
    fn latest(&self, prefixes: &[&str]) -> Result<Option<u32>, DiskError> {
        let mut latest = None;
        for (name, _) in self.disk.list(&self.repository)? {
            let number = name.to_str().and_then(|name| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)));
            let number = number.and_then(parse_number).filter(|number| *number <= MAX_SEGMENT);
            if number > latest && self.disk.metadata(&self.repository.join(&name))?.len > 0 {
                latest = number;
            }
        }
        Ok(latest)
    }

    /// Loads the index of a transaction; `None`, and a warning, if it cannot be used.
    pub(crate) fn load_index(&self, transaction: u32) -> Option<Index> {
        self.read_index(transaction).inspect_err(|reason| warn!("{reason}")).ok()
    }

    /// Like [`load_index`](Self::load_index), but says why it cannot be used.
    pub(crate) fn read_index(&self, transaction: u32) -> Result<Index, String> {
        let name = format!("index.{transaction}");
        let index = self.integrity(transaction).and_then(|integrity| {
            let file = self.disk.open(&self.repository.join(&name)).map_err(|error| error_text(&error))?;
            Index::load(&*file, &name, integrity.index.as_ref()).map_err(|error| error_text(&error))
        });
        index.map_err(|reason| format!("{name} cannot be used: {reason}"))
    }

    /// Loads the hints of a transaction; `None`, and a warning, if they cannot be used.
    pub(crate) fn load_hints(&self, transaction: u32) -> Option<Hints> {
        self.read_hints(transaction).inspect_err(|reason| warn!("{reason}")).ok()
    }

    /// Like [`load_hints`](Self::load_hints), but says why they cannot be used.
    pub(crate) fn read_hints(&self, transaction: u32) -> Result<Hints, String> {
        let name = format!("hints.{transaction}");
        let hints = self.integrity(transaction).and_then(|integrity| {
            let bytes = disk::read(&*self.disk, &self.repository.join(&name), MAX_FILE_BYTES);
            let bytes = bytes.map_err(|error| error_text(&error))?;
            if let Some(noted) = integrity.hints
                && noted.mismatch(&digest(&name, &bytes)).is_some()
            {
                return Err("their digest does not match".to_owned());
            }
            Hints::decode(&bytes).map_err(|error| error_text(&error))
        });
        hints.map_err(|reason| format!("{name} cannot be used: {reason}"))
    }

    /// The files of a transaction that are missing or empty.
    pub(crate) fn missing(&self, transaction: u32) -> Result<Vec<String>, DiskError> {
        let mut missing = Vec::new();
        for name in PREFIXES.map(|prefix| format!("{prefix}{transaction}")) {
            match self.disk.metadata(&self.repository.join(&name)) {
                Ok(metadata) if metadata.len > 0 => {}
                Err(error) if !error.is_not_found() => return Err(error),
                _ => missing.push(name),
            }
        }
        Ok(missing)
    }

    /// Removes the files of all transactions, durably: they say what will no longer be so.
    pub(crate) fn remove_all(&self) -> Result<(), DiskError> {
        self.remove_all_but(None)?;
        self.disk.sync_dir(&self.repository)
    }

    /// Writes the files of a transaction, durably, and removes those of all others.
    pub(crate) fn save(&self, transaction: u32, index: &Index, hints: &Hints) -> Result<(), DiskError> {
        let [index_name, hints_name, integrity_name] = PREFIXES.map(|prefix| format!("{prefix}{transaction}"));
        let hints_digests = self.write(&hints_name, |file| {
            let bytes = hints.encode();
            file.append(&bytes)?;
            Ok(digest(&hints_name, &bytes))
        })?;
        let index_digests = self.write(&index_name, |file| index.save(file, &index_name))?;
        self.write(&integrity_name, |file| file.append(&Integrity::encode(&hints_digests, &index_digests)))?;
        // The digests come first and durably: an index that cannot be verified would be believed, a digest that
        // does not match costs a replay.
        self.rename(&integrity_name)?;
        self.disk.sync_dir(&self.repository)?;
        self.rename(&hints_name)?;
        self.rename(&index_name)?;
        self.disk.sync_dir(&self.repository)?;
        self.remove_newer(Some(transaction))?;
        self.remove_all_but(Some(transaction))
    }

    /// Removes, durably, the state files of transactions behind the last commit, which is lost then. Whoever writes
    /// gives their numbers to other transactions, of which these files would say what is not so.
    pub(crate) fn remove_newer(&self, committed: Option<u32>) -> Result<(), DiskError> {
        let mut removed = false;
        for (name, _) in self.disk.list(&self.repository)? {
            let Some(name) = name.to_str() else { continue };
            let transaction = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).and_then(parse_number);
            if transaction > committed {
                disk::remove_if_there(&*self.disk, &self.repository.join(name))?;
                removed = true;
            }
        }
        if removed { self.disk.sync_dir(&self.repository) } else { Ok(()) }
    }

    /// Removes the state files of every transaction but one, and what a crash left of them.
    pub(crate) fn remove_all_but(&self, transaction: Option<u32>) -> Result<(), DiskError> {
        let keep = transaction.map(|transaction| transaction.to_string());
        for (name, _) in self.disk.list(&self.repository)? {
            let Some(name) = name.to_str() else { continue };
            let transaction = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
            if transaction.is_some() && transaction != keep.as_deref() {
                disk::remove_if_there(&*self.disk, &self.repository.join(name))?;
            }
        }
        Ok(())
    }

    fn integrity(&self, transaction: u32) -> Result<Integrity, String> {
        let path = self.repository.join(format!("integrity.{transaction}"));
        match disk::read_if_there(&*self.disk, &path, MAX_FILE_BYTES).map_err(|error| error_text(&error))? {
            Some(bytes) => Integrity::decode(&bytes).map_err(|error| format!("the integrity file is torn: {error}")),
            None => Ok(Integrity::default()),
        }
    }

    fn write<T>(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn DiskFile) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let path = self.temporary(name);
        disk::remove_if_there(&*self.disk, &path)?;
        let written = (|| {
            let mut file = self.disk.create(&path)?;
            let value = content(&mut *file)?;
            file.sync()?;
            Ok(value)
        })();
        if written.is_err() {
            // On a full disk its space is needed; elsewhere the next writer removes it.
            let _ = self.disk.remove_file(&path);
        }
        written
    }

    fn rename(&self, name: &str) -> Result<(), DiskError> {
        self.disk.rename(&self.temporary(name), &self.repository.join(name))
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.repository.join(format!("{name}.tmp"))
    }
}

fn digest(name: &str, bytes: &[u8]) -> Digests {
    let mut digester = Digester::new(name);
    digester.update(bytes);
    digester.finish()
}
