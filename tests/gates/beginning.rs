//! What lay on the disk before a run, to begin from again and again.

use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_tests::copy;

use crate::place::Place;

/// Copies of everything that a run may change.
pub(crate) struct Beginning {
    kept: [PathBuf; 3],
    copies: PathBuf,
}

impl Beginning {
    /// Keeps what is there now.
    pub(crate) fn of(place: &Place) -> Self {
        let kept = [place.keeper.repository(), place.keeper.state(), place.folder().join("keys")];
        let beginning = Self { kept, copies: place.folder().join("beginning") };
        fs::create_dir(&beginning.copies).expect("folders can be made");
        for (kept, copied) in beginning.pairs().filter(|(kept, _)| kept.exists()) {
            copy(kept, &copied);
        }
        beginning
    }

    /// Puts everything back as it was.
    pub(crate) fn restore(&self) {
        for (kept, copied) in self.pairs() {
            let _ = fs::remove_dir_all(kept);
            if copied.exists() {
                copy(&copied, kept);
            }
        }
    }

    /// The repository as it was.
    pub(crate) fn repository(&self) -> PathBuf {
        self.copy_of(&self.kept[0])
    }

    fn pairs(&self) -> impl Iterator<Item = (&PathBuf, PathBuf)> {
        self.kept.iter().map(|kept| (kept, self.copy_of(kept)))
    }

    fn copy_of(&self, kept: &Path) -> PathBuf {
        self.copies.join(kept.file_name().expect("it has a name"))
    }
}
