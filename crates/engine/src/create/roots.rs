//! Whether every source has come into the archive: a run that forgets one would look like any other.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::source::SourceRoot;

/// The sources of which nothing is known yet.
#[derive(Debug)]
pub(super) struct Roots(Vec<SourceRoot>);

impl Roots {
    pub(super) fn new(sources: &[PathBuf]) -> Self {
        Self(sources.iter().map(|source| SourceRoot::new(source.as_os_str().as_bytes())).collect())
    }

    /// An item of this path is in the archive.
    pub(super) fn archived(&mut self, path: &[u8]) {
        self.strike(|root| root.archive_path(&root.path) == path);
    }

    /// What was walked as `path` is deliberately not in the archive, or it could not be read, and that was told; returns
    /// whether it is a source.
    pub(super) fn told(&mut self, path: &[u8]) -> bool {
        self.strike(|root| root.path == path)
    }

    /// A source of which nothing is in the archive, and nothing was told.
    pub(super) fn lost(&self) -> Option<&SourceRoot> {
        self.0.first()
    }

    fn strike(&mut self, is_it: impl Fn(&SourceRoot) -> bool) -> bool {
        // They come in the order in which they were named; so this looks at one of them, nearly always.
        let is_first = self.0.first().is_some_and(is_it);
        if is_first {
            self.0.remove(0);
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_lost_unless_it_is_in_the_archive_or_something_was_told() {
        let mut roots = Roots::new(&["/data/./world", "/data/lock", "/srv/mods/"].map(PathBuf::from));
        roots.archived(b"data/world");
        assert_eq!(roots.lost().unwrap().path, b"/data/world");
        for path in [&b"world"[..], b"world/level.dat"] {
            roots.archived(path);
        }
        assert!(!roots.told(b"/data/world/x"));
        assert!(roots.told(b"/data/lock"));
        assert_eq!(roots.lost().unwrap().path, b"/srv/mods");
        roots.archived(b"srv/mods");
        assert!(roots.lost().is_none());
    }
}
