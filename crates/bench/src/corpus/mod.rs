//! The trees that are backed up, made from fixed seeds: everybody measures the same bytes.

mod noise;
mod trees;
mod world;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde::Serialize;

pub(crate) use noise::{Noise, Text};
pub(crate) use world::World;

/// What a tree is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Large files that do not compress
    Noise,
    /// Large files of text
    Text,
    /// A modded server's folder
    Mixed,
    /// Many files of some hundred bytes
    Small,
    /// Region files of a game that has been played
    World,
    /// Chunks of 64 bytes, as many as there are files to be
    #[value(skip)]
    Tiny,
}

/// How much there is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Of large files.
    pub(crate) mebibytes: u64,
    /// Where it is the number that counts.
    pub(crate) files: u64,
}

/// A tree on the disk and what it amounts to.
pub(crate) struct Corpus {
    root: PathBuf,
    kind: Kind,
    total: Total,
}

/// What a tree amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Kind {
    /// What a tree takes where it is made, or a little more.
    pub(crate) fn room(self, size: Size) -> u64 {
        match self {
            Self::Noise | Self::Text => size.mebibytes << 20,
            Self::World => (size.mebibytes << 20) * 3 / 2 + (world::REGION * 2),
            // Files take whole pages, and their names have a place too; of few, many may be large.
            Self::Mixed => size.files * (trees::MIXED_MEAN + 4096) + (8 << 20),
            Self::Small => size.files * (4096 + 1024),
            Self::Tiny => size.files * trees::TINY + (1 << 20),
        }
    }
}

impl Corpus {
    /// Makes a tree, whose name will be that of its kind.
    pub(crate) fn make(kind: Kind, folder: &Path, size: Size) -> anyhow::Result<Self> {
        let root = folder.join(kind.to_string());
        let made = match kind {
            Kind::Noise => trees::noise(&root, size.mebibytes),
            Kind::Text => trees::text(&root, size.mebibytes),
            Kind::Mixed => trees::mixed(&root, size.files),
            Kind::Small => trees::small(&root, size.files),
            Kind::Tiny => trees::tiny(&root, size.files),
            Kind::World => World::generate(&root, (size.mebibytes << 20).div_ceil(world::REGION))
                .and_then(|mut world| world.play()),
        };
        let total = made.and_then(|()| Total::of(&root));
        let total = total.with_context(|| format!("cannot make the corpus {}", root.display()))?;
        Ok(Self { root, kind, total })
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn total(&self) -> Total {
        self.total
    }

    /// Checks that as many files and bytes lie at `copy`: a tool that did nothing would be the fastest.
    pub(crate) fn expect_in(&self, copy: &Path) -> anyhow::Result<()> {
        let found = Total::of(copy).with_context(|| format!("nothing was extracted to {}", copy.display()))?;
        ensure!(found == self.total, "{} holds {found:?}, {:?} were expected", copy.display(), self.total);
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noise => "noise",
            Self::Text => "text",
            Self::Mixed => "mixed",
            Self::Small => "small",
            Self::World => "world",
            Self::Tiny => "tiny",
        })
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} files, {} MB", self.kind, self.total.files, self.total.bytes / 1_000_000)
    }
}

impl Total {
    /// Everything below a folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut total = Self::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let part =
                if metadata.is_dir() { Self::of(&entry.path())? } else { Self { files: 1, bytes: metadata.len() } };
            total = Self { files: total.files + part.files, bytes: total.bytes + part.bytes };
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_kind_is_the_same_each_time_and_fits_into_its_room() {
        let size = Size { mebibytes: 1, files: 120 };
        for kind in Kind::value_variants().iter().chain(&[Kind::Tiny]) {
            let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            let made = folders.each_ref().map(|folder| Corpus::make(*kind, folder.path(), size).unwrap());
            assert!(contents(made[0].root()) == contents(made[1].root()), "{kind}");
            assert!(made[0].total().bytes <= kind.room(size), "{}", made[0]);
            assert!(made[0].total().bytes > 0 && made[0].expect_in(made[1].root()).is_ok());
        }
    }

    #[test]
    fn a_copy_that_lacks_something_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Corpus::make(Kind::Small, folder.path(), Size { mebibytes: 0, files: 3 }).unwrap();
        fs::remove_file(corpus.root().join("000/00/file-1.dat")).unwrap();
        assert!(corpus.expect_in(corpus.root()).is_err());
        assert!(corpus.expect_in(&folder.path().join("nothing")).is_err());
    }
}
