//! Symbolic links that lead out of the sources: what they lead to is not in the archive, though whoever plays in it may believe so.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::FileType;
use worldkeeper_archive::Item;

use crate::paths::{as_path, normalise};
use crate::source::SourceRoot;

/// The links so far that lead out.
#[derive(Debug)]
pub(super) struct WaysOut {
    sources: Vec<SourceRoot>,
    /// What sources are relative to that have no slash in front.
    cwd: Vec<u8>,
    /// The first of them, and where it leads.
    first: Option<(Vec<u8>, Vec<u8>)>,
    count: u64,
}

impl WaysOut {
    pub(super) fn new(sources: &[PathBuf], cwd: &[u8]) -> Self {
        let mut sources: Vec<_> = sources.iter().map(|source| SourceRoot::new(source.as_os_str().as_bytes())).collect();
        // One within another, or beside `.`, which could mean any place, is the one that is meant.
        sources.sort_by_key(|source| Reverse(source.archive_path(&source.path).len()));
        Self { sources, cwd: cwd.to_vec(), first: None, count: 0 }
    }

    /// An item is in the archive. Where a link leads is seen by its letters alone: to look there could mean to wait for a disk that
    /// does not answer, and what the game finds there need not be what lies there here.
    pub(super) fn see(&mut self, item: &Item) {
        let is_link = FileType::from_raw_mode(item.mode) == FileType::Symlink;
        let Some(target) = item.source.as_deref().filter(|_| is_link) else { return };
        let Some(link) = self.sources.iter().find_map(|source| source.place_of(&item.path)) else { return };
        let from = if target.starts_with(b"/") { Vec::new() } else { [&link, &b"/.."[..]].concat() };
        let leads_to = self.absolute(&[&from, &b"/"[..], target].concat());
        if OF_THE_SYSTEM.iter().any(|place| as_path(&leads_to).starts_with(as_path(place))) {
            return;
        }
        let is_within = |source: &SourceRoot| as_path(&leads_to).starts_with(as_path(&self.absolute(&source.path)));
        if !self.sources.iter().any(is_within) {
            self.count += 1;
            self.first.get_or_insert_with(|| (item.path.clone(), target.to_vec()));
        }
    }

    /// The first, where it leads, and how many more there are.
    pub(super) fn found(&self) -> Option<(&[u8], &[u8], u64)> {
        self.first.as_ref().map(|(path, target)| (&path[..], &target[..], self.count - 1))
    }

    fn absolute(&self, path: &[u8]) -> Vec<u8> {
        let from: &[u8] = if path.starts_with(b"/") { b"" } else { &self.cwd };
        normalise(&[from, b"/", path].concat())
    }
}

/// What lies there nobody takes for his own.
const OF_THE_SYSTEM: &[&[u8]] = &[b"/dev", b"/proc", b"/sys", b"/usr", b"/lib", b"/lib64", b"/bin", b"/etc"];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[&str], links: &[(&str, &str)]) -> Option<(String, u64)> {
        let sources: Vec<_> = sources.iter().map(PathBuf::from).collect();
        let mut ways = WaysOut::new(&sources, b"/home/steve");
        for (path, target) in links {
            let mode = 0o120_777;
            ways.see(&Item {
                path: path.as_bytes().into(),
                source: Some(target.as_bytes().into()),
                mode,
                ..Item::default()
            });
        }
        ways.found().map(|(path, _, more)| (String::from_utf8(path.to_vec()).unwrap(), more))
    }

    #[test]
    fn what_stays_within_the_sources_leads_nowhere_else() {
        let inner = [
            ("data/a", "world"),
            ("data/a", "./b/../world"),
            ("data/deep/a", "../world"),
            ("data/deep/a", "/data"),
            ("data/a", "/srv/mods/x"),
            ("srv/mods/a", "../../data/x"),
            ("data/log", "/dev/stdout"),
        ];
        assert_eq!(found(&["/data", "/srv/mods"], &inner), None);
        assert_eq!(found(&["/data/./world"], &[("world/a", "/data/world/b"), ("world/a", "../world/b")]), None);
        assert_eq!(found(&["server"], &[("server/a", "/home/steve/server/b"), ("server/a", "b")]), None);
        assert_eq!(found(&["."], &[("a", "/home/steve/b"), ("a", "b")]), None);
        assert_eq!(found(&["/"], &[("a", "/anything"), ("b/c", "../../../x")]), None);
    }

    #[test]
    fn what_leads_out_is_counted_and_the_first_is_named() {
        for (link, target) in [
            ("data/a", "/srv/world"),
            ("data/a", "../other"),
            ("data/a", ".."),
            ("data/a", "/datax"),
            ("data/a", "../data2"),
            ("data/a", "/run/media/steve/disk/world"),
        ] {
            assert_eq!(found(&["/data"], &[(link, target)]), Some((link.to_owned(), 0)), "{target}");
        }
        assert_eq!(found(&["server"], &[("server/a", "../b")]), Some(("server/a".to_owned(), 0)));
        let beside = found(&[".", "/srv/mods"], &[("srv/mods/a", "../x")]);
        assert_eq!(beside, Some(("srv/mods/a".to_owned(), 0)));
        let many = [("data/a", "b"), ("data/c", "/x"), ("data/d", "/y"), ("data/e", "/z")];
        assert_eq!(found(&["/data"], &many), Some(("data/c".to_owned(), 2)));
    }

    #[test]
    fn a_further_hard_link_is_none() {
        let mut ways = WaysOut::new(&["/data".into()], b"/");
        ways.see(&Item { path: b"data/a".into(), source: Some(b"data/b".into()), mode: 0o100_644, ..Item::default() });
        assert_eq!(ways.found(), None);
    }
}
