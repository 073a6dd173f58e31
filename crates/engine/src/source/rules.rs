//! What is left out of an archive.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::stat::{FileId, Stat};
use crate::patterns::{PatternTooSlow, Patterns, Verdict};

type Names = Box<dyn Fn(&[u8]) -> bool + Send>;

/// What is left out of an archive.
#[derive(Default)]
pub(crate) struct Rules {
    directories: HashSet<FileId>,
    names: Option<Names>,
    patterns: Patterns,
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
    /// It is a socket, which stock does not store either.
    Socket,
}
