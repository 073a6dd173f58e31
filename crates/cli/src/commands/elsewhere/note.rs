//! What was mounted, and who ran, when nothing was moved yet: the daemon's note, for itself and for commands beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use worldkeeper_core::{Disk, disk};
use worldkeeper_docker::{Container, OwnMount, State};

use super::NotKnown;
use crate::mounts::MountLine;

/// What the kernel said when the daemon began. What it says otherwise later was moved on the host since: whoever mounts the
/// same then has something else. It lies in the state directory, so that commands beside the daemon know it, too.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Begun {
    /// In which container.
    pub(super) container: String,
    /// The root of each mount, by where it is mounted.
    pub(super) roots: BTreeMap<PathBuf, String>,
    /// Which of the game's containers ran when nothing was moved yet, and since when. As long as they run, a directory that is
    /// moved goes with them.
    #[serde(default)]
    running: BTreeMap<String, String>,
}

impl Begun {
    const FILE: &str = "mounts.json";

    /// Longer than any table of mounts that is worth a note.
    const MAX_BYTES: u64 = 1 << 20;

    pub(super) fn of(table: &[MountLine], container: String) -> Self {
        let roots = table.iter().map(|line| (line.point.clone(), line.root.clone())).collect();
        Self { container, roots, running: BTreeMap::new() }
    }

    /// Takes in which containers run while nothing is moved; returns whether that is news.
    pub(super) fn see(&mut self, own: &[OwnMount], containers: &[Container]) -> bool {
        if self.container.is_empty() || own.iter().any(|own| own.was_moved) {
            return false;
        }
        let running = containers.iter().filter(|container| container.state == State::Running);
        let running = running.filter_map(|game| Some((game.name.to_string(), game.started.clone()?))).collect();
        std::mem::replace(&mut self.running, running) != self.running
    }

    /// Returns whether one of these has run since before something was moved, and went with it. One that does not run may be
    /// started from anywhere.
    pub(super) fn is_followed(&self, containers: &[Container]) -> Result<bool, NotKnown> {
        let follows = |game: &Container| {
            let started = game.started.as_ref().filter(|_| game.state == State::Running)?;
            Some(self.running.get(game.name.as_str()) == Some(started))
        };
        let all: Vec<_> = containers.iter().map(follows).collect();
        if all.contains(&Some(true)) {
            Ok(true)
        } else {
            all.into_iter().collect::<Option<Vec<_>>>().map(|_| false).ok_or(NotKnown)
        }
    }

    /// What was there before is not believed if this cannot be written.
    pub(super) fn write(&self, disk: &dyn Disk, state_directory: &Path) -> anyhow::Result<()> {
        let path = state_directory.join(Self::FILE);
        disk::remove_if_there(disk, &path)?;
        Ok(disk::replace(disk, &path, &serde_json::to_vec(self)?)?)
    }

    pub(super) fn read(disk: &dyn Disk, state_directory: &Path) -> Option<Self> {
        let bytes = disk::read_if_there(disk, &state_directory.join(Self::FILE), Self::MAX_BYTES).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mounted_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = worldkeeper_repository::OsDisk;
        assert!(Begun::read(&disk, folder.path()).is_none());
        let table = MountLine::parse_all("651 620 254:0 /srv/bw /data ro,relatime master:1 - ext4 /dev/vda rw\n");
        Begun::of(&table, "4f1c".to_owned()).write(&disk, folder.path()).unwrap();
        let begun = Begun::read(&disk, folder.path()).unwrap();
        assert_eq!((begun.container.as_str(), begun.roots[Path::new("/data")].as_str()), ("4f1c", "/srv/bw"));
        std::fs::write(folder.path().join(Begun::FILE), "{").unwrap();
        assert!(Begun::read(&disk, folder.path()).is_none());
    }
}
