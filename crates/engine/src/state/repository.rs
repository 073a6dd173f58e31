//! What is known of one repository, so that a swapped, rolled back or forged one is noticed.
//!
//! | file | content |
//! |---|---|
//! | `key-type` | decimal key type byte |
//! | `location` | where it was last seen, or written to if it was seen at several places |
//! | `manifest-timestamp` | of the newest manifest seen |
//! | `tam-required` | empty; there if that one was proven, and said that each must be from then on |
//! | `nonce` | 16 hex digits: the first nonce that was not reserved from here |
//! | `seen-at` | another place where it was only looked at |
//! | `key.export` | the key file, to be stored elsewhere |
//! | `key.confirmed` | the fingerprint of the copy that somebody has stored elsewhere |
//! | `config` | a copy of the repository's file of that name |
//! | `chunks`, `files-<series>` | caches, in formats of our own |
//!
//! The first five are borg's security directory, in borg's forms.
//! Source: borg 1.4 `cache.py`, `SecurityManager`; `crypto/nonces.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use worldkeeper_core::disk::{self, Disk, DiskError, DiskFile};
use worldkeeper_core::{Reserve, time};

use super::{SMALL_FILE, StateError};

/// The folder of one repository in the state directory; made when something is first written.
#[derive(Clone)]
pub struct RepositoryState {
    disk: Arc<Reserve>,
    path: PathBuf,
}

/// What was seen of a repository when it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The type byte of its key.
    pub key_type: u8,
    /// Where it was.
    pub location: String,
    /// The timestamp of its manifest.
    pub manifest_timestamp: Timestamp,
    /// Its manifest was proven, and said that each must be from then on.
    pub tam_required: bool,
}

/// What says that a manifest must be proven.
const TAM_REQUIRED: &str = "tam-required";

impl RepositoryState {
    pub(super) fn new(disk: Arc<Reserve>, path: PathBuf) -> Self {
        Self { disk, path }
    }

    /// What was seen last; `None` for a repository that was never used from here.
    pub(crate) fn known(&self) -> Result<Option<Known>, StateError> {
        let Some(key_type) = self.text("key-type")? else { return Ok(None) };
        let Some(location) = self.text("location")? else { return Ok(None) };
        let Some(timestamp) = self.text("manifest-timestamp")? else { return Ok(None) };
        let key_type = key_type.parse().map_err(|_| self.damaged("key-type", "expected a decimal number"))?;
        let manifest_timestamp =
            time::parse(&timestamp).map_err(|error| self.damaged("manifest-timestamp", error.to_string()))?;
        let tam_required = self.text(TAM_REQUIRED)?.is_some();
        Ok(Some(Known { key_type, location, manifest_timestamp, tam_required }))
    }

    /// Remembers what was seen. The timestamp goes last: without it the repository counts as never seen.
    pub(crate) fn remember(&self, known: &Known) -> Result<(), StateError> {
        let before = self.known()?;
        if before.as_ref() == Some(known) {
            return Ok(());
        }
        if before.map(|before| before.tam_required) != Some(known.tam_required) {
            if known.tam_required { self.write(TAM_REQUIRED, &[])? } else { self.remove(TAM_REQUIRED)? }
        }
        self.write("key-type", known.key_type.to_string().as_bytes())?;
        self.write("location", known.location.as_bytes())?;
        self.write("manifest-timestamp", time::to_text(known.manifest_timestamp).as_bytes())
    }

    /// Remembers that the repository, or a copy of it, was looked at where it was never written to.
    pub(crate) fn seen_at(&self, location: &str) -> Result<(), StateError> {
        if self.text("seen-at")?.as_deref() == Some(location) {
            return Ok(());
        }
        self.write("seen-at", location.as_bytes())
    }

    /// Returns whether it was at a place, whoever has written to it there.
    pub(crate) fn was_at(&self, location: &str) -> Result<bool, StateError> {
        let is_there = self.known()?.is_some_and(|known| known.location == location);
        Ok(is_there || self.text("seen-at")?.as_deref() == Some(location))
    }

    /// Forgets that it was at a place.
    pub(crate) fn forget_location(&self, location: &str) -> Result<(), StateError> {
        if let Some(known) = self.known()?.filter(|known| known.location == location) {
            self.remember(&Known { location: String::new(), ..known })?;
        }
        if self.text("seen-at")?.as_deref() == Some(location) {
            self.remove("seen-at")?;
        }
        Ok(())
    }

    /// The first nonce that was not reserved from here; `None` before the first reservation.
    pub(crate) fn nonce(&self) -> Result<Option<u64>, StateError> {
        let Some(text) = self.text("nonce")? else { return Ok(None) };
        let well_formed = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let nonce = if well_formed { u64::from_str_radix(&text, 16).ok() } else { None };
        nonce.map(Some).ok_or_else(|| self.damaged("nonce", "expected 16 hex digits"))
    }

    /// Stores the first nonce that is not reserved, durably.
    pub(crate) fn set_nonce(&self, nonce: u64) -> Result<(), StateError> {
        self.write("nonce", format!("{nonce:016x}").as_bytes())
    }

    /// Writes the key file that is to be stored elsewhere; returns where it is.
    pub(crate) fn export_key(&self, key_file: &str) -> Result<PathBuf, StateError> {
        self.write("key.export", key_file.as_bytes())?;
        Ok(self.file("key.export"))
    }

    /// This folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of that copy, if it was written.
    pub(crate) fn exported(&self) -> Result<Option<String>, StateError> {
        Ok(self.text("key.export")?.map(|text| text + "\n"))
    }

    /// The fingerprint of the copy that is known to be stored elsewhere.
    pub(crate) fn confirmed_key(&self) -> Result<Option<String>, StateError> {
        self.text("key.confirmed")
    }

    /// Remembers the fingerprint of a copy that is stored elsewhere.
    pub(crate) fn confirm(&self, fingerprint: &str) -> Result<(), StateError> {
        self.write("key.confirmed", fingerprint.as_bytes())
    }

    /// Keeps a copy of the repository's `config` file, where the last one was another. What is secret in it, the key,
    /// is under the passphrase.
    pub fn keep_config(&self, config: &[u8]) -> Result<(), StateError> {
        let kept = disk::read_if_there(self.disk.as_ref(), &self.file("config"), SMALL_FILE)?;
        if kept.as_deref() == Some(config) { Ok(()) } else { self.write("config", config) }
    }

    /// The path of a file in this folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The disk the folder lies on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Replaces a file in this folder, durably; makes the folder if need be.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        disk::create_dir_all(self.disk.as_ref(), &self.path)?;
        Ok(disk::replace(self.disk.as_ref(), &self.file(name), bytes)?)
    }

    /// Forgets which chunks the repository holds, where it may hold fewer than it did: the next one to need that finds
    /// it out anew.
    pub fn forget_chunk_index(&self) -> Result<(), StateError> {
        crate::cache::ChunkIndex::remove(self)
    }

    /// Removes a file in this folder, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateError> {
        Ok(disk::remove_if_there(self.disk.as_ref(), &self.file(name))?)
    }

    /// Replaces a cache by what `write` appends. It can be large and is not worth the reserve: without it only time is
    /// lost.
    pub(crate) fn write_cache(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn DiskFile) -> Result<(), DiskError>,
    ) -> Result<(), StateError> {
        disk::create_dir_all(self.disk.below(), &self.path)?;
        Ok(disk::replace_with(self.disk.below(), &self.file(name), write)?)
    }

    /// Sees to it that there is space for the next small files, if there is space for that.
    pub(crate) fn keep_reserve(&self) {
        super::keep_reserve(|seed| self.disk.keep(super::RESERVE_BYTES, seed));
    }

    fn text(&self, name: &str) -> Result<Option<String>, StateError> {
        let bytes = disk::read_if_there(self.disk.as_ref(), &self.file(name), SMALL_FILE)?;
        let text = bytes.map(String::from_utf8).transpose();
        Ok(text.map_err(|_| self.damaged(name, "expected text"))?.map(|text| text.trim_end().to_owned()))
    }

    fn damaged(&self, name: &str, reason: impl Into<String>) -> StateError {
        StateError::Damaged { path: self.path.join(Path::new(name)), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;

    /// It knows nothing of the last file, neither reads nor removes it, and need not have left one.
    #[test]
    fn the_version_before_reads_what_is_remembered_and_we_what_it_remembers() {
        let memory = MemoryDisk::new();
        let disk = Arc::new(Reserve::new(Arc::new(memory.clone()), "/reserve".into()));
        let state = RepositoryState::new(disk, "/state".into());
        let manifest_timestamp = Timestamp::from_second(100).unwrap();
        let strict = Known { key_type: 5, location: "/r".into(), manifest_timestamp, tam_required: true };
        let lax = Known { tam_required: false, ..strict.clone() };
        let text = |name: &str| {
            let bytes = disk::read_if_there(&memory, &state.file(name), SMALL_FILE).unwrap();
            bytes.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        for (known, flag) in [(&strict, Some("")), (&lax, None), (&strict, Some(""))] {
            state.remember(known).unwrap();
            assert_eq!(state.known().unwrap().as_ref(), Some(known));
            assert_eq!(text("tam-required").as_deref(), flag);
            let others = ["key-type", "location", "manifest-timestamp"].map(|name| text(name).unwrap());
            assert_eq!(others, ["5", "/r", "1970-01-01T00:01:40.000000"]);
        }
        state.remove("tam-required").unwrap();
        assert_eq!(state.known().unwrap(), Some(lax));
    }
}
