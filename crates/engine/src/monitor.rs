//! What a long operation tells while it works.

use std::path::Path;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::Defects;

use crate::check::Finding;
use crate::source::SourceError;

/// Listens to an operation. Called from its threads, often; must be quick.
pub trait Monitor: Send + Sync {
    /// Something a person should know about; the operation goes on.
    fn notice(&self, notice: Notice<'_>);

    /// How far an operation has come.
    fn progress(&self, progress: Progress);

    /// How far a cache is that is made anew.
    fn rebuilding(&self, _so_far: Rebuilding) {}

    /// An item of an archive was restored or exported, or put into one from elsewhere.
    fn done(&self, _path: &Path) {}
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files of any kind done so far.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Bytes the repository has grown by.
    pub stored_bytes: u64,
}

/// How far a cache is that is made anew. From archives behind a slow line that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilding {
    /// Which one.
    pub what: &'static str,
    /// From how many archives.
    pub archives: usize,
    /// How many of them are done.
    pub done: usize,
    /// Chunks that they refer to, counted as often as they do.
    pub references: u64,
}

/// Something worth a line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A file could not be read and is not in the archive.
    FileFailed(&'a SourceError),
    /// A file was removed before it could be read.
    FileVanished(&'a Path),
    /// A file changed while it was read: what is in the archive may be a mix.
    FileChanged(&'a Path),
    /// A file is not whole, by what is known of its format. It is in the archive as it is.
    FileBroken {
        /// The file.
        path: &'a Path,
        /// What is wrong with it.
        defects: &'a Defects,
    },
    /// A file's time of modification is one that archives cannot hold: the nearest that they can is in there.
    TimeClamped(&'a Path),
    /// A directory of our own lies inside a source and was left out.
    LeftOut {
        /// The directory.
        path: &'a Path,
        /// What it is: the repository, the state directory.
        what: &'static str,
    },
    /// A symbolic link leads out of the sources: what it leads to is not in the archive.
    LeadsOut {
        /// The link.
        path: &'a Path,
        /// Where it leads, as it says itself.
        target: &'a Path,
        /// How many more do so.
        more: u64,
    },
    /// Restored, but without everything that it had.
    NotSet {
        /// The file.
        path: &'a Path,
        /// What could not be set, and why.
        problem: &'a str,
    },
    /// An item was not restored, or not with its content.
    NotRestored {
        /// The file.
        path: &'a Path,
        /// Why.
        problem: &'a str,
    },
    /// A part of an archive's list of items is lost, and what it lists is not restored.
    ItemsLost {
        /// What is wrong with it.
        problem: &'a str,
    },
    /// A cache is missing or stale and is made anew.
    Rebuilding {
        /// Which one.
        what: &'static str,
        /// From how many archives.
        archives: usize,
    },
    /// A part of an operation has begun that takes its time.
    Begun(&'static str),
    /// A check has found something.
    Found(&'a Finding),
    /// An archive cannot be read, so nobody knows what it refers to: until that is mended nothing is deleted.
    ArchiveUnread(&'a ArchiveName),
    /// Archives refer to chunks that the repository does not have: some of their files cannot be restored.
    ChunksMissing {
        /// How many.
        count: usize,
    },
    /// An old cache could not be used or a new one could not be stored; only time is lost.
    CacheLost {
        /// Which one.
        what: &'static str,
        /// Why.
        problem: &'a str,
    },
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn notice(&self, _: Notice<'_>) {}
    fn progress(&self, _: Progress) {}
}
