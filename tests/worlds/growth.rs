//! By how much two repositories grow, ours and one that stock makes of the same world.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree::assert_same;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

/// A world, and the two repositories.
pub(crate) struct Growth {
    pub(crate) keeper: Worldkeeper,
    folder: TempDir,
    borg: Borg,
    steps: usize,
}

/// By how much they have grown, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grown {
    pub(crate) ours: u64,
    pub(crate) stock: u64,
}

impl Growth {
    /// `None` where there is no stock.
    pub(crate) fn begin() -> Option<Self> {
        let borg = Borg::newest()?.with_passphrase(PASSPHRASE);
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let keeper = Worldkeeper::at(folder.path());
        let growth = Self { keeper, folder, borg, steps: 0 };
        growth.borg.init(&growth.stocks(), "repokey-blake2");
        Some(growth)
    }

    /// Backs the world up into both, and has stock prove that ours is whole and holds the world as it is.
    pub(crate) fn step(&mut self) -> Grown {
        let world = self.keeper.world();
        let (ours, stock) = (size(&self.keeper.repository()), size(&self.stocks()));
        let archive = self.keeper.backup();
        let _ = self.borg.create(&self.stocks(), &format!("step{}", self.steps), &world, &[]);
        let grown = Grown { ours: size(&self.keeper.repository()) - ours, stock: size(&self.stocks()) - stock };

        self.borg.check(&self.keeper.repository());
        let target = self.folder.path().join("extracted");
        self.borg.extract(&self.keeper.repository(), &archive, &target);
        assert_same(&world, &below(&target, &world));
        fs::remove_dir_all(target).expect("it was made here");
        self.steps += 1;
        grown
    }

    fn stocks(&self) -> PathBuf {
        self.folder.path().join("stock")
    }
}

/// Bytes of a repository's segments; none before there is one.
fn size(repository: &Path) -> u64 {
    let files = |folder: &Path| -> Vec<_> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("it can be looked at").path()).collect()
    };
    let segments = files(&repository.join("data")).into_iter().flat_map(|folder| files(&folder));
    segments.map(|segment| segment.metadata().expect("it is there").len()).sum()
}
