//! Where the content of an archive came from, as far as the sources tell.
//!
//! An archive holds relative paths: `/data` is `data` in it, `../world` is `world`. What was archived from a source
//! goes back to where that source is now; anything else has no place here.
//!
//! Source: borg 1.4 `archiver.py`, `do_create`; `helpers/fs.py`, `make_path_safe`, `get_strip_prefix`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Paths of an archive, and the directory they are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The directory to restore into.
    pub(super) root: PathBuf,
    /// What to restore; everything if it is empty.
    pub(super) paths: Vec<Vec<u8>>,
}

/// What an archive calls a path that somebody typed.
pub(super) fn stored_path(path: &Path) -> Vec<u8> {
    let stored = components(path).collect::<PathBuf>();
    stored.as_os_str().as_bytes().to_vec()
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
    let bytes = source.as_os_str().as_bytes();
    // In front of a `/./` stands what is not part of the names.
    let strip = bytes.windows(3).position(|bytes| bytes == b"/./").filter(|at| *at > 0);
    let stored = match strip {
        Some(at) => components(Path::new(OsStr::from_bytes(&bytes[at + 3..]))).collect::<PathBuf>(),
        None => components(source).collect(),
    };
    let mut root = resolved(source);
    for _ in stored.components() {
        root.pop();
    }
    (root, stored.as_os_str().as_bytes().to_vec())
}

/// The parts of a path that an archive keeps: not the root, and nothing that leads up from the beginning.
fn components(path: &Path) -> impl Iterator<Item = Component<'_>> {
    let mut kept: Vec<Component<'_>> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(_) => kept.push(component),
            Component::ParentDir => _ = kept.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    kept.into_iter()
}

/// The absolute path, with what leads up taken out as stock does: by its text.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Path::new("/").join(components(&absolute).collect::<PathBuf>())
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
        for path in ["data/world/region", "/data/world/region/", "./data/world/../world/region"] {
            assert_eq!(found(&["/data"], &[path]), Ok(vec![part(root, &["data/world/region"])]), "{path}");
        }
        assert_eq!(found(&["/data/world"], &["data"]), Ok(vec![part(root, &["data/world"])]));
        assert_eq!(found(&["/data"], &["etc/passwd"]), Err("etc/passwd".into()));
        assert_eq!(found(&["/data"], &["database"]), Err("database".into()));
    }
}
