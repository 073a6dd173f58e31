//! `lock.roster`: who reads, and who writes, as JSON.
//!
//! `{"shared": [[host id, process id, thread], …], "exclusive": […]}`; both keys may be missing, and so may the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use worldkeeper_core::Disk;
use worldkeeper_core::disk::{self, DiskError};
use worldkeeper_core::lock::LockId;

/// More than any roster has.
const MAX_ROSTER_BYTES: u64 = 1 << 20;

/// Those who hold the lock. To be read or changed only while holding the lock directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(super) shared: BTreeSet<LockId>,
    /// Of no consequence: who writes holds the directory.
    pub(super) exclusive: BTreeSet<LockId>,
}

type Triples = Vec<(String, u64, u64)>;

impl Roster {
    /// Reads the roster. The inner error says why nobody knows what it says; an unknown key is a reason too, for
    /// then somebody says something we do not understand.
    pub(super) fn load(disk: &dyn Disk, path: &Path) -> Result<Result<Self, String>, DiskError> {
        let bytes = disk::read_if_there(disk, path, MAX_ROSTER_BYTES)?;
        Ok(bytes.map_or_else(|| Ok(Self::default()), |bytes| Self::decode(&bytes)))
    }

    /// Reads what is in the file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut lists: BTreeMap<String, Triples> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut ids = |key| {
            let triples = lists.remove(key).unwrap_or_default();
            triples.into_iter().map(|(host_id, process, thread)| LockId { host_id, process, thread }).collect()
        };
        let roster = Self { shared: ids("shared"), exclusive: ids("exclusive") };
        match lists.keys().next() {
            Some(key) => Err(format!("unknown key {key:?}")),
            None => Ok(roster),
        }
    }

    /// Writes the roster so that no crash tears it; one that names nobody is removed instead.
    pub(super) fn save(&self, disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
        if self.shared.is_empty() && self.exclusive.is_empty() {
            return disk::remove_if_there(disk, path);
        }
        disk::replace(disk, path, &self.encode())
    }

    /// What stands in the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let triples = |ids: &BTreeSet<LockId>| {
            ids.iter().map(|id| (id.host_id.clone(), id.process, id.thread)).collect::<Triples>()
        };
        let lists = BTreeMap::from([("shared", triples(&self.shared)), ("exclusive", triples(&self.exclusive))]);
        serde_json::to_vec(&lists).expect("strings and numbers can always be written")
    }

    /// Removes those who are gone.
    pub(super) fn remove_dead(&mut self, is_dead: impl Fn(&LockId) -> bool) {
        self.shared.retain(|id| !is_dead(id));
        self.exclusive.retain(|id| !is_dead(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsDisk;

    #[test]
    fn only_a_whole_roster_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock.roster");
        let load = || Roster::load(&OsDisk, &path).unwrap();
        assert_eq!(load().unwrap(), Roster::default());

        let id = |process| LockId { host_id: "h@1".into(), process, thread: u64::MAX };
        let roster = Roster { shared: [id(1), id(2)].into(), exclusive: [id(3)].into() };
        roster.save(&OsDisk, &path).unwrap();
        assert_eq!(load().unwrap(), roster);

        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(load().is_err(), "{len} bytes");
        }
        for text in ["[]", "null", r#"{"others": []}"#, r#"{"shared": [["h", "1", 0]]}"#, r#"{"shared": {}}"#] {
            std::fs::write(&path, text).unwrap();
            assert!(load().is_err(), "{text}");
        }
        // As stock writes it.
        std::fs::write(&path, r#"{"shared": [["h@1", 1, 0]]}"#).unwrap();
        assert_eq!(load().unwrap().shared.len(), 1);

        Roster::default().save(&OsDisk, &path).unwrap();
        assert!(!path.exists());
    }
}
