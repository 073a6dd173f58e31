//! The programs that are measured and their command lines: encrypted, default compression as near as it gets, caches and
//! keys of their own, nothing inherited from whoever runs the benchmark.

mod borg;
mod restic;
mod rustic;
mod worldkeeper;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::remote::FarEnd;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Ours
    #[value(skip)]
    Worldkeeper,
    /// Stock borg
    Borg,
    /// restic
    Restic,
    /// rustic
    Rustic,
}

/// A program that is there.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    /// What it calls itself.
    pub(crate) version: String,
    pub(crate) program: PathBuf,
}

/// What a tool does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// Makes the repository.
    Init,
    /// Makes an archive of a directory. Archives are numbered, since stock borg wants names.
    Create(&'a Path, u32),
    /// Puts what the archive of this number holds, the newest, below a directory.
    Extract(&'a Path, u32),
    /// Reads and verifies everything that is stored.
    Check,
    /// Lists what the archive of this number holds, the newest.
    List(u32),
    /// Deletes all archives but the newest.
    Prune,
    /// Frees what nothing needs any more, where that is a command of its own.
    Compact,
}

impl fmt::Display for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "init",
            Self::Create(..) => "create",
            Self::Extract(..) => "extract",
            Self::Check => "check",
            Self::List(_) => "list",
            Self::Prune => "prune",
            Self::Compact => "compact",
        })
    }
}

/// A repository of one tool, with all that the tool keeps beside it.
pub(crate) struct Place {
    /// What is kept here.
    pub(crate) root: PathBuf,
    /// A path or an URL.
    pub(crate) repository: OsString,
    /// How the repository is reached, if it is on another machine.
    pub(crate) far: Option<FarEnd>,
}

impl Place {
    /// One with its repository in the same folder.
    pub(crate) fn here(root: &Path) -> Self {
        Self { root: root.to_owned(), repository: root.join("repository").into(), far: None }
    }
}

impl Tool {
    /// The one at `program`.
    pub(crate) fn at(kind: Kind, program: &Path) -> anyhow::Result<Self> {
        let output = Command::new(program).arg(if kind == Kind::Restic { "version" } else { "--version" }).output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        // restic goes on with its compiler.
        let version = said.split(" compiled").next().unwrap_or_default().trim().to_owned();
        ensure!(version.starts_with(kind.name()), "{} is no {}", program.display(), kind.name());
        // A command may be started elsewhere. What has no path at all is found on the `PATH`.
        let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        Ok(Self { kind, version, program })
    }

    /// The one that is named, else the one on the `PATH`, if there is one.
    pub(crate) fn find(kind: Kind, named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        match named {
            Some(program) => Self::at(kind, program).map(Some),
            None => Ok(Self::at(kind, Path::new(kind.name())).ok()),
        }
    }

    /// The command that does some work; `None` where the tool does it together with another.
    pub(crate) fn command(&self, place: &Place, work: Work<'_>) -> Option<Command> {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LANG", "C.UTF-8").env("TZ", "UTC").env("HOME", &place.root);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let is_work = match self.kind {
            Kind::Worldkeeper => worldkeeper::add(&mut command, place, work),
            Kind::Borg => borg::add(&mut command, place, work),
            Kind::Restic => restic::add(&mut command, place, work),
            Kind::Rustic => rustic::add(&mut command, place, work),
        };
        is_work.then_some(command)
    }

    /// Makes the repository.
    pub(crate) fn init(&self, place: &Place) -> anyhow::Result<()> {
        if self.kind == Kind::Worldkeeper {
            worldkeeper::prepare(place).context("no directory can be made among the data")?;
        }
        let Some(mut init) = self.command(place, Work::Init) else { return Ok(()) };
        let output = init.output().with_context(|| format!("cannot start {init:?}"))?;
        if !output.status.success() {
            bail!("{init:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Worldkeeper => "worldkeeper",
            Self::Borg => "borg",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
        }
    }
}

/// What the repositories are encrypted with.
const PASSPHRASE: &str = "bench";
