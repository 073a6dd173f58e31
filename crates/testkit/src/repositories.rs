//! The repositories that stock borg made, under `protocol-fixtures/vectors/repos`.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::fixtures;

/// The names of all of them.
pub const NAMES: [&str; 4] =
    ["none-borg1.2.4", "none-borg1.4.5", "repokey-blake2-borg1.2.4", "repokey-blake2-borg1.4.5"];

/// A copy of one of them, to be changed at will; it is gone when this is dropped.
pub struct Copy {
    directory: TempDir,
}

impl Copy {
    /// Unpacks the repository `name`.
    ///
    /// # Panics
    ///
    /// If there is none, or no `tar` to unpack it with.
    pub fn of(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let archive = fixtures::path(&format!("vectors/repos/{name}.tar"));
        let unpacked = Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(directory.path()).status();
        assert!(unpacked.is_ok_and(|status| status.success()), "cannot unpack {}", archive.display());
        Self { directory }
    }

    /// Where the repository is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("repo")
    }
}
