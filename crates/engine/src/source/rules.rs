//! What is left out of an archive, and what of the rest belongs together.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use worldkeeper_core::FileFormat;

use super::listing::Listing;
use super::pulse::Pulse;
use super::stat::{FileId, Stat};
use super::tags::ExcludeTags;
use crate::patterns::{PatternTooSlow, Patterns, Verdict};

type Names = Box<dyn Fn(&[u8]) -> bool + Send>;

/// What is left out of an archive, and what of the rest belongs together.
#[derive(Default)]
pub(crate) struct Rules {
    directories: HashSet<FileId>,
    names: Option<Names>,
    patterns: Patterns,
    tags: ExcludeTags,
    one_file_system: bool,
    read_special: bool,
    formats: &'static [&'static dyn FileFormat],
}

impl Rules {
    /// Leaves out a directory and all that is in it, whatever path leads there: the repository, the state. One that
    /// does not exist is nowhere to be found either.
    pub(crate) fn without_directory(mut self, path: &Path) -> Self {
        if let Ok(stat) = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS) {
            self.directories.insert(Stat::from(&stat).id);
        }
        self
    }

    /// Leaves out what is no directory and whose name the predicate takes, such as `session.lock`.
    pub(crate) fn without_names(mut self, names: impl Fn(&[u8]) -> bool + Send + 'static) -> Self {
        self.names = Some(Box::new(names));
        self
    }

    /// Leaves out what the patterns do.
    pub(crate) fn with_patterns(mut self, patterns: Patterns) -> Self {
        self.patterns = patterns;
        self
    }

    /// Leaves out directories that have these tags, roots too.
    pub(crate) fn with_tags(mut self, tags: ExcludeTags) -> Self {
        self.tags = tags;
        self
    }

    /// Leaves out what is mounted within a root; the directories that others are mounted on are taken, as stock does.
    pub(crate) fn on_one_file_system(mut self, on_one: bool) -> Self {
        self.one_file_system = on_one;
        self
    }

    /// Takes the content of FIFOs and devices, and of those that symlinks lead to, as if they were regular files.
    pub(crate) fn reading_special(mut self, read_special: bool) -> Self {
        self.read_special = read_special;
        self
    }

    /// Takes files that belong to another one, as these formats know, right after it.
    pub(crate) fn knowing(mut self, formats: &'static [&'static dyn FileFormat]) -> Self {
        self.formats = formats;
        self
    }

    /// The name of the file that another one in the same directory belongs to, if it does.
    pub(super) fn main_of<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.formats.iter().find_map(|format| format.main_of(name))
    }

    /// Returns whether FIFOs and devices are opened.
    pub(super) fn reads_special(&self) -> bool {
        self.read_special
    }

    /// Returns whether a directory on `device` is another file system's than `root`'s, which are not entered.
    pub(super) fn is_foreign(&self, device: u64, root: u64) -> bool {
        self.one_file_system && device != root
    }

    /// The tags of a directory that leave it out; `None` if it has none.
    pub(super) fn tags(&self, directory: BorrowedFd<'_>, path: &[u8], pulse: &Pulse) -> Option<Listing> {
        self.tags.of(directory, path, pulse)
    }

    /// Returns whether of a directory with tags these are taken, and itself.
    pub(super) fn keeps_tags(&self) -> bool {
        self.tags.keep
    }

    /// What the patterns say of an object, by its path as walked.
    pub(super) fn judge(&self, path: &[u8]) -> Result<Verdict, PatternTooSlow> {
        self.patterns.judge(path)
    }

    pub(super) fn leaves_out_directory(&self, id: FileId) -> bool {
        self.directories.contains(&id)
    }

    pub(super) fn leaves_out_name(&self, name: &[u8]) -> bool {
        self.names.as_ref().is_some_and(|names| names(name))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("directories", &self.directories).finish_non_exhaustive()
    }
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is a directory that [`Rules::without_directory`] names.
    Directory,
    /// Its name is one that [`Rules::without_names`] takes.
    Name,
    /// The patterns say so; of a directory, what is beneath may be in the archive all the same.
    Pattern,
    /// It is a directory with a tag; if such are kept, it is in the archive, and of what is beneath its tags.
    Tag,
    /// It is in the archive, but not what is beneath: that is of another file system.
    OtherFileSystem,
    /// It is a socket, which stock does not store either.
    Socket,
    /// It is a source that is in the archive already, as another source.
    Again,
}
