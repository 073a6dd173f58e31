//! The two programs and their command lines: the same mode, the same compression, caches of their own.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

const MODE: &str = "repokey-blake2";
const COMPRESSION: &str = "lz4";
const PASSPHRASE: &str = "bench";

/// One of the two.
pub(crate) struct Tool {
    program: PathBuf,
    kind: Kind,
    /// What it calls itself.
    pub(crate) version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Borg,
    Worldkeeper,
}

impl Tool {
    /// Stock borg.
    pub(crate) fn borg(program: &Path) -> Result<Self, Box<dyn Error>> {
        Self::find(program, Kind::Borg)
    }

    /// Ours.
    pub(crate) fn worldkeeper(program: &Path) -> Result<Self, Box<dyn Error>> {
        Self::find(program, Kind::Worldkeeper)
    }

    fn find(program: &Path, kind: Kind) -> Result<Self, Box<dyn Error>> {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let version = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Self { program: program.to_owned(), kind, version })
    }

    /// Makes the repository where the tool does not make it by itself.
    pub(crate) fn prepare(&self, place: &Path) -> Result<(), Box<dyn Error>> {
        if self.kind == Kind::Borg {
            let mut init = self.command(place);
            let output = init.args(["init", "--encryption", MODE]).arg(place.join("repository")).output()?;
            if !output.status.success() {
                return Err(format!("{init:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
        }
        Ok(())
    }

    /// Makes an archive of `source`.
    pub(crate) fn create(&self, place: &Path, source: &Path, archive: &str) -> Command {
        let mut command = self.command(place);
        match self.kind {
            Kind::Borg => {
                command.args(["create", "--compression", COMPRESSION]);
                command.arg(format!("{}::{archive}", place.join("repository").display())).arg(source);
            }
            Kind::Worldkeeper => {
                command.arg("backup").arg("--source").arg(source);
            }
        }
        command
    }

    /// Extracts the newest archive into `target`.
    pub(crate) fn extract(&self, place: &Path, target: &Path, archive: &str) -> Command {
        let mut command = self.command(place);
        match self.kind {
            Kind::Borg => {
                command.current_dir(target).arg("extract");
                command.arg(format!("{}::{archive}", place.join("repository").display()));
            }
            Kind::Worldkeeper => {
                command.args([OsStr::new("restore"), "latest".as_ref(), "--to".as_ref(), target.as_ref()]);
            }
        }
        command
    }

    fn command(&self, place: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LANG", "C.UTF-8").env("HOME", place);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("BORG_PASSPHRASE", PASSPHRASE);
        match self.kind {
            Kind::Borg => command.env("BORG_BASE_DIR", place.join("borg")),
            Kind::Worldkeeper => command
                .env("WORLDKEEPER_STATE_DIR", place.join("state"))
                .env("BORG_REPO_PATH", place.join("repository"))
                .env("BORG_ENCRYPTION", MODE)
                .env("BORG_COMPRESSION", COMPRESSION),
        };
        command
    }
}
