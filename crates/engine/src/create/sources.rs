//! How many files of each source are in the archive: one that is not mounted looks like an empty one.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::source::SourceRoot;

/// What is in an archive of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFiles {
    /// The source, as it was named.
    pub source: PathBuf,
    /// Its regular files. Those of a source within another one count for both.
    pub files: u64,
}

/// The sources so far, each with where it is and what the archive calls it.
#[derive(Debug)]
pub(super) struct Sources(Vec<(SourceRoot, Vec<u8>, SourceFiles)>);

impl Sources {
    pub(super) fn new(sources: &[PathBuf]) -> Self {
        let begin = |source: &PathBuf| {
            let root = SourceRoot::new(source.as_os_str().as_bytes());
            let name = root.archive_path(&root.path);
            (root, name, SourceFiles { source: source.clone(), files: 0 })
        };
        Self(sources.iter().map(begin).collect())
    }

    /// A regular file of this path is in the archive.
    pub(super) fn file(&mut self, path: &[u8]) {
        for (.., source) in self.0.iter_mut().filter(|(_, name, _)| is_beneath(path, name)) {
            source.files += 1;
        }
    }

    /// What lies at this path is left out, as somebody wanted it: a source that does is none.
    pub(super) fn left_out(&mut self, path: &[u8]) {
        self.0.retain(|(root, ..)| root.path != path);
    }

    pub(super) fn list(&self) -> Vec<SourceFiles> {
        self.0.iter().map(|(.., source)| source.clone()).collect()
    }
}

/// Returns whether a path is a root's own, or one beneath it; `.` is what all are relative to.
fn is_beneath(path: &[u8], root: &[u8]) -> bool {
    root == b"." || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_for_every_source_that_they_lie_in() {
        let mut sources = Sources::new(&["/", "/data/./world", "/srv/a", "/srv/a/b", "/srv/ab/"].map(PathBuf::from));
        for path in ["world/level.dat", "srv/a/x", "srv/a/b/y", "srv/a/b/z", "srv/ab", "worlds"] {
            sources.file(path.as_bytes());
        }
        let counted = |sources: &Sources| sources.list().into_iter().map(|source| source.files).collect::<Vec<_>>();
        assert_eq!(counted(&sources), [6, 1, 3, 2, 1]);
        sources.left_out(b"/srv/a/x");
        sources.left_out(b"/srv/a");
        assert_eq!(counted(&sources), [6, 1, 2, 1], "it has a tag");
    }
}
