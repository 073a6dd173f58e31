//! Which place a client means, and whether it may go there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use uzers::os::unix::UserExt;

use super::OpenError;

/// More symbolic links than this one after the other are a ring; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// What the paths of clients mean on this server, and which of them are allowed.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Where `~` is.
    pub home: PathBuf,
    /// Where relative paths begin.
    pub current: PathBuf,
    /// Directories within which, themselves included, repositories may be; without any, everywhere.
    pub within: Vec<PathBuf>,
    /// The only repositories there may be; without any, all.
    pub only: Vec<PathBuf>,
}

impl Paths {
    /// The real path of the repository that a client names.
    ///
    /// Paths are compared as they are after all symbolic links, name by name: nothing leads out of a directory, and what
    /// only begins alike is another one.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotAllowed`] if it may not be there.
    ///
    /// Source: borg 1.4 `remote.py`, `RepositoryServer.open`.
    pub fn resolve(&self, named: &[u8]) -> Result<PathBuf, OpenError> {
        let path = real(&self.current.join(self.expand(named)));
        let real_of = |allowed: &PathBuf| real(&self.current.join(allowed));
        let is_within = self.within.is_empty() || self.within.iter().any(|allowed| path.starts_with(real_of(allowed)));
        let is_listed = self.only.is_empty() || self.only.iter().any(|allowed| path == real_of(allowed));
        if is_within && is_listed { Ok(path) } else { Err(OpenError::NotAllowed(path)) }
    }

    /// The path as it is meant; still relative perhaps. One of an `ssh://` URL has a slash in front, whatever follows.
    ///
    /// Source: borg 1.4 `remote.py`, `RepositoryServer._resolve_path`.
    fn expand(&self, named: &[u8]) -> PathBuf {
        let rest = |prefix: &[u8]| named.strip_prefix(prefix).map(path_of);
        if let Some(rest) = rest(b"/~/").or_else(|| rest(b"~/")) {
            return self.home.join(rest);
        }
        if let Some(rest) = rest(b"/./") {
            return rest;
        }
        match named {
            [b'/', b'~', ..] => self.expand_user(&named[1..]),
            [b'~', ..] => self.expand_user(named),
            _ => path_of(named),
        }
    }

    /// `~`, `~user` or `~user/rest`; as it is if there is no such user.
    fn expand_user(&self, named: &[u8]) -> PathBuf {
        let end = named.iter().position(|byte| *byte == b'/').unwrap_or(named.len());
        let (user, rest) = (&named[1..end], &named[end..]);
        let home = if user.is_empty() { Some(self.home.clone()) } else { home_of(OsStr::from_bytes(user)) };
        let Some(home) = home else { return path_of(named) };
        let mut path = home.into_os_string().into_vec();
        path.extend_from_slice(rest);
        OsString::from_vec(path).into()
    }
}

fn home_of(user: &OsStr) -> Option<PathBuf> {
    Some(uzers::get_user_by_name(user)?.home_dir().to_owned())
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// An absolute path with its symbolic links resolved as far as there is something, as Python's `realpath` does it: what
/// does not exist yet, or may not be looked at, has none.
fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::from("/");
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                left.extend(parts(&target));
            }
            _ => real = next,
        }
    }
    real
}

/// The names in a path, the last one first; `..` is among them, `.` is not.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder without symbolic links above it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn paths_mean_what_they_mean_to_stock() {
        let paths = Paths { home: "/home/me".into(), current: "/srv".into(), ..Paths::default() };
        for (named, expected) in [
            ("/a/b", "/a/b"),
            ("a/b", "/srv/a/b"),
            ("./a", "/srv/a"),
            ("/./a", "/srv/a"),
            ("/~/a", "/home/me/a"),
            ("~/a", "/home/me/a"),
            ("~", "/home/me"),
            ("/~", "/home/me"),
            ("/~root/a", "/root/a"),
            ("~root", "/root"),
            ("~nobody-has-this-name/a", "/srv/~nobody-has-this-name/a"),
            ("/a/./b//c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("..", "/"),
            ("", "/srv"),
            // As Python joins them.
            ("/~//etc", "/etc"),
            ("/.//etc", "/etc"),
        ] {
            assert_eq!(paths.resolve(named.as_bytes()).unwrap(), Path::new(expected), "{named}");
        }
    }

    #[test]
    fn nothing_leads_out_of_what_is_allowed() {
        let (_folder, srv) = folder();
        for name in ["a/deep", "ab", "other"] {
            fs::create_dir_all(srv.join(name)).unwrap();
        }
        symlink(srv.join("other"), srv.join("a/out")).unwrap();
        symlink("../other/not-there-yet", srv.join("a/dangling")).unwrap();
        symlink("ring", srv.join("a/ring")).unwrap();
        symlink(srv.join("a"), srv.join("link")).unwrap();
        let paths =
            Paths { current: srv.clone(), home: srv.join("other"), within: vec!["a".into()], ..Paths::default() };
        for (named, is_allowed) in [
            ("a", true),
            ("a/", true),
            ("a/deep/new/newer", true),
            ("link/deep", true),
            ("a/deep/../x", true),
            ("a/ring/x", true),
            ("ab", false),
            ("ab/x", false),
            ("a/..", false),
            ("a/../ab", false),
            ("a/new/../../ab", false),
            ("a/out", false),
            ("a/out/x", false),
            ("a/dangling", false),
            ("a/out/../a", true),
            ("/", false),
            ("/etc", false),
            ("~/x", false),
            ("~root", false),
            ("", false),
        ] {
            assert_eq!(paths.resolve(named.as_bytes()).is_ok(), is_allowed, "{named}");
        }
        // The allowed one may be a link itself.
        let paths = Paths { within: vec![srv.join("link")], ..paths };
        assert_eq!(paths.resolve(b"a/x").unwrap(), srv.join("a/x"));
    }

    #[test]
    fn a_repository_that_is_allowed_is_that_one_alone() {
        let (_folder, srv) = folder();
        fs::create_dir_all(srv.join("a/deep")).unwrap();
        let paths = Paths { current: srv, only: vec!["a".into(), "b/c".into()], ..Paths::default() };
        for (named, is_allowed) in [("a", true), ("b/c", true), ("a/deep", false), ("b", false), ("a/../b/c/", true)] {
            assert_eq!(paths.resolve(named.as_bytes()).is_ok(), is_allowed, "{named}");
        }
        let both = Paths { within: vec!["b".into()], ..paths };
        assert!(both.resolve(b"a").is_err() && both.resolve(b"b/c").is_ok());
    }
}
