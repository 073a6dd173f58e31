//! What a source argument means: where it is read, and what its objects are called in the archive.
//!
//! Source: borg 1.4 `archiver.py`, `do_create`; `helpers/fs.py`, `make_path_safe`, `get_strip_prefix`; and Python's
//! `os.path.normpath`, which stock applies to every argument.

use worldkeeper_core::{append, copied};

use crate::paths::normalise;

/// A source argument, taken apart as stock does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRoot {
    /// The normalised path: what messages show, and what is opened.
    pub path: Vec<u8>,
    /// In front of a `/./` in the argument: what is not part of the names in the archive. Ends with a slash.
    strip: Option<Vec<u8>>,
}

impl SourceRoot {
    /// Takes an argument apart.
    pub fn new(argument: &[u8]) -> Self {
        let strip = argument.windows(3).position(|bytes| bytes == b"/./").filter(|&at| at > 0).map(|at| {
            let mut prefix = normalise(&argument[..at]);
            prefix.push(b'/');
            prefix
        });
        Self { path: normalise(argument), strip }
    }

    /// The directory that the root is an entry of, and the entry's name.
    pub(crate) fn parent_and_name(&self) -> (&[u8], &[u8]) {
        let parent = &self.path[..name_start(&self.path)];
        (if parent.is_empty() { b"." } else { parent }, name_of(&self.path))
    }

    /// What the archive calls the object that lies at `path`, which is this root's or beneath it; `.` is what all
    /// names are relative to.
    ///
    /// Stock calls the root `..` just so, and then refuses to extract anything outside; here it is `.`.
    pub fn archive_path(&self, path: &[u8]) -> Vec<u8> {
        let path = match &self.strip {
            Some(prefix) if path == &prefix[..prefix.len() - 1] => b".",
            Some(prefix) => path.strip_prefix(prefix.as_slice()).unwrap_or(path),
            None => path,
        };
        let mut rest = path;
        while let Some(less) = rest.strip_prefix(b"/").or_else(|| rest.strip_prefix(b"../")) {
            rest = less;
        }
        if matches!(rest, b"" | b"..") { b".".to_vec() } else { copied(rest) }
    }

    /// Where the object lies that the archive calls `stored`, if its name is this root's or beneath it.
    pub(crate) fn place_of(&self, stored: &[u8]) -> Option<Vec<u8>> {
        let own = self.archive_path(&self.path);
        let rest = match &own[..] {
            b"." => stored,
            own => stored.strip_prefix(own).filter(|rest| matches!(rest, [] | [b'/', ..]))?,
        };
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        Some(if matches!(rest, b"" | b".") { self.path.clone() } else { Self::join(&self.path, rest) })
    }

    /// The path of an entry of the directory at `path`.
    pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
        let mut joined = Vec::with_capacity(path.len() + 1 + name.len());
        if path != b"." {
            append(&mut joined, path);
            if !path.ends_with(b"/") {
                joined.push(b'/');
            }
        }
        append(&mut joined, name);
        joined
    }
}

/// What the object at a path is called in its directory; at `/`, which is in none, it is `.`.
pub(super) fn name_of(path: &[u8]) -> &[u8] {
    let name = &path[name_start(path)..];
    if name.is_empty() { b"." } else { name }
}

fn name_start(path: &[u8]) -> usize {
    path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What borg 1.4.5 calls the root and an entry `f` of it.
    const STORED: &[(&str, &str, &str, &str)] = &[
        (".", ".", ".", "f"),
        ("./x", "x", "x", "x/f"),
        ("x/", "x", "x", "x/f"),
        ("x//y/.", "x/y", "x/y", "x/y/f"),
        ("x/../y", "y", "y", "y/f"),
        ("/abs/x", "/abs/x", "abs/x", "abs/x/f"),
        ("//abs", "//abs", "abs", "abs/f"),
        ("///abs", "/abs", "abs", "abs/f"),
        ("/", "/", ".", "f"),
        ("//", "//", ".", "f"),
        ("/..", "/", ".", "f"),
        ("../../abs", "../../abs", "abs", "abs/f"),
        ("..x", "..x", "..x", "..x/f"),
        ("/data/./world", "/data/world", "world", "world/f"),
        ("/data/./", "/data", ".", "f"),
        ("./x/y", "x/y", "x/y", "x/y/f"),
        ("x/./y", "x/y", "y", "y/f"),
        // Here alone we differ: stock says `..`.
        ("..", "..", ".", "f"),
        ("", ".", ".", "f"),
    ];

    #[test]
    fn names_in_the_archive_are_those_that_stock_gives() {
        for (argument, path, stored, entry) in STORED {
            let root = SourceRoot::new(argument.as_bytes());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert_eq!(text(&root.path), *path, "{argument}");
            assert_eq!(text(&root.archive_path(&root.path)), *stored, "{argument}");
            assert_eq!(text(&root.archive_path(&SourceRoot::join(&root.path, b"f"))), *entry, "{argument}");
        }
    }

    #[test]
    fn a_root_is_an_entry_of_a_directory() {
        for (argument, parent, name) in
            [(".", ".", "."), ("/", "/", "."), ("x", ".", "x"), ("/x", "/", "x"), ("x/y", "x/", "y"), ("..", ".", "..")]
        {
            let root = SourceRoot::new(argument.as_bytes());
            assert_eq!(root.parent_and_name(), (parent.as_bytes(), name.as_bytes()), "{argument}");
        }
    }
}
