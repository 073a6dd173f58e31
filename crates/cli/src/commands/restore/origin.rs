//! Where the content of an archive came from, as far as the sources tell.
//!
//! An archive holds relative paths: `/data` is `data` in it, `../world` is `world`. What was archived from a source
//! goes back to where that source is now; anything else has no place here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use worldkeeper_engine::SourceRoot;

/// Paths of an archive, and the directory they are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The directory to restore into.
    pub(super) root: PathBuf,
    /// What to restore; everything if it is empty.
    pub(super) paths: Vec<Vec<u8>>,
}

/// What an archive calls a path that somebody typed.
pub(in crate::commands) fn stored_path(path: &Path) -> Vec<u8> {
    // A `/./` means something in a source alone.
    stored(&source_root(&path.components().collect::<PathBuf>()))
}

/// Sorts what is wanted (everything, if nothing is) by the source it came from.
///
/// # Errors
///
/// The path that came from none of them.
pub(super) fn parts(sources: &[PathBuf], wanted: &[Vec<u8>]) -> Result<Vec<Part>, Vec<u8>> {
    let origins: Vec<_> = sources.iter().map(|source| origin(source)).collect();
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |root: &Path, path: Vec<u8>| match parts.iter_mut().find(|part| part.root == root) {
        Some(part) => part.paths.push(path),
        None => parts.push(Part { root: root.to_owned(), paths: vec![path] }),
    };
    if wanted.is_empty() {
        for (root, stored) in origins {
            add(&root, stored);
        }
    } else {
        for path in wanted {
            let mut is_found = false;
            for (root, stored) in &origins {
                // Of what holds a source, only the source is meant.
                let narrower =
                    [(path, stored), (stored, path)].into_iter().find(|(inner, outer)| is_beneath(inner, outer));
                if let Some((inner, _)) = narrower {
                    add(root, inner.clone());
                    is_found = true;
                }
            }
            if !is_found {
                return Err(path.clone());
            }
        }
    }
    // A source that is its own root has no name in the archive: all of the archive is meant.
    for part in &mut parts {
        if part.paths.iter().any(Vec::is_empty) {
            part.paths.clear();
        }
    }
    Ok(parts)
}

/// The directory that the names of a source's content are relative to, and the source's own name.
fn origin(source: &Path) -> (PathBuf, Vec<u8>) {
    let root = source_root(source);
    let stored = stored(&root);
    let path = Path::new(OsStr::from_bytes(&root.path));
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // What leads up is taken out as stock does: by its letters.
    let mut directory = PathBuf::from(OsStr::from_bytes(&source_root(&absolute).path));
    for _ in Path::new(OsStr::from_bytes(&stored)).components() {
        directory.pop();
    }
    (directory, stored)
}

fn source_root(path: &Path) -> SourceRoot {
    SourceRoot::new(path.as_os_str().as_bytes())
}

/// What the archive calls a source; nothing, if all names are relative to it.
fn stored(root: &SourceRoot) -> Vec<u8> {
    let name = root.archive_path(&root.path);
    if name == b"." { Vec::new() } else { name }
}

fn is_beneath(inner: &[u8], outer: &[u8]) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[&str], wanted: &[&str]) -> Result<Vec<(String, Vec<String>)>, String> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let sources: Vec<_> = sources.iter().map(PathBuf::from).collect();
        let wanted: Vec<_> = wanted.iter().map(|path| stored_path(Path::new(path))).collect();
        let parts = parts(&sources, &wanted).map_err(|path| text(&path))?;
        Ok(parts.iter().map(|part| (part.root.display().to_string(), part.paths.iter().map(text).collect())).collect())
    }

    fn part(root: &Path, paths: &[&str]) -> (String, Vec<String>) {
        (root.display().to_string(), paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn content_goes_back_to_its_source() {
        let here = std::env::current_dir().unwrap();
        let root = Path::new("/");
        assert_eq!(found(&["/data"], &[]), Ok(vec![part(root, &["data"])]));
        assert_eq!(found(&["/data/a", "/data/b"], &[]), Ok(vec![part(root, &["data/a", "data/b"])]));
        assert_eq!(found(&["./world"], &[]), Ok(vec![part(&here, &["world"])]));
        assert_eq!(found(&["../world"], &[]), Ok(vec![part(here.parent().unwrap(), &["world"])]));
        assert_eq!(found(&["."], &[]), Ok(vec![part(&here, &[])]));
        assert_eq!(found(&["/srv/./mc/world"], &[]), Ok(vec![part(Path::new("/srv"), &["mc/world"])]));
        assert_eq!(found(&["/data", "world"], &[]), Ok(vec![part(root, &["data"]), part(&here, &["world"])]));
    }

    #[test]
    fn what_is_wanted_is_sorted_by_source() {
        let root = Path::new("/");
        for path in ["data/world/region", "/data/world/region/", "./data/world/../world/region", "data/./world/region"]
        {
            assert_eq!(found(&["/data"], &[path]), Ok(vec![part(root, &["data/world/region"])]), "{path}");
        }
        assert_eq!(found(&["/data/world"], &["data"]), Ok(vec![part(root, &["data/world"])]));
        assert_eq!(found(&["/data"], &["etc/passwd"]), Err("etc/passwd".into()));
        assert_eq!(found(&["/data"], &["database"]), Err("database".into()));
    }
}
