//! Where a repository is: a directory here, or behind `borg serve` on another machine; told apart by form as borg does.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use worldkeeper_remote::RemoteLocation;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A directory, by its absolute path.
    Local(PathBuf),
    /// On another machine.
    Remote(RemoteLocation),
}

/// Why a location cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    /// One on another machine, which is not written as one is.
    #[error("it names another machine, but {0}; for a directory of that name write ./ in front")]
    Remote(worldkeeper_remote::LocationError),
    /// One on another machine that is no text.
    #[error("it names another machine, but is not valid UTF-8; for a directory of that name write ./ in front")]
    RemoteNotText,
    /// A scheme of something else.
    #[error("repositories behind {0}:// are not supported")]
    Scheme(String),
    /// More than one, and not all with labels.
    #[error("each of several repositories needs a label: LABEL=LOCATION,LABEL=LOCATION")]
    SeveralUnlabelled,
    /// An archive is named too.
    #[error("a repository is expected, without ::ARCHIVE")]
    Archive,
    /// Nothing is said.
    #[error("the path of a directory is expected")]
    Empty,
    /// A relative path and no directory it could be relative to.
    #[error("the current directory is gone, give an absolute path")]
    NoCurrentDirectory,
}

impl Location {
    /// Reads a location; the path of a directory is made absolute.
    ///
    /// Source: borg 1.4 `helpers/parseformat.py`, `Location`.
    pub(super) fn parse(location: &OsStr) -> Result<Self, LocationError> {
        if location.is_empty() {
            return Err(LocationError::Empty);
        }
        // What tells the forms apart is ASCII; a path that is no text stays as it is.
        let text = location.to_string_lossy();
        if let Some((scheme, _)) = text.split_once("://") {
            match scheme {
                "file" => return Self::parse(OsStr::from_bytes(&location.as_bytes()["file://".len()..])),
                "ssh" => {}
                _ if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    return Err(LocationError::Scheme(scheme.into()));
                }
                _ => {}
            }
        }
        match RemoteLocation::parse(&text) {
            Some(_) if location.to_str().is_none() => return Err(LocationError::RemoteNotText),
            Some(Err(worldkeeper_remote::LocationError::Archive)) => return Err(LocationError::Archive),
            Some(remote) => return remote.map(Self::Remote).map_err(LocationError::Remote),
            None => {}
        }
        if text.contains("::") {
            return Err(LocationError::Archive);
        }
        Ok(Self::Local(plain_path(Path::new(location))?))
    }

    /// The directory, if it is one.
    pub(crate) fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }
}

/// As borg writes it down: an absolute path, or a `ssh://` URL.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

/// An absolute path without what leads up, which is taken out by its letters, as borg does: one repository has one name in
/// the run history.
fn plain_path(path: &Path) -> Result<PathBuf, LocationError> {
    let absolute = std::path::absolute(path).map_err(|_| LocationError::NoCurrentDirectory)?;
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn parse(location: &OsStr) -> Result<Location, LocationError> {
        Location::parse(location)
    }

    #[test]
    fn paths_are_paths() {
        for (text, expected) in [
            ("/repository", "/repository"),
            ("file:///srv/borg", "/srv/borg"),
            ("/srv/a:b", "/srv/a:b"),
            ("/srv/a=b", "/srv/a=b"),
            ("/srv/.//borg/", "/srv/borg"),
            ("/srv/a/../../../borg", "/borg"),
        ] {
            let location = parse(OsStr::new(text)).unwrap();
            assert_eq!(
                (location.local(), location.to_string().as_str()),
                (Some(Path::new(expected)), expected),
                "{text}"
            );
        }
        let here = std::env::current_dir().unwrap();
        for (text, expected) in [("backups/world", "backups/world"), ("./a:b", "a:b"), ("./a=b", "a=b")] {
            assert_eq!(parse(OsStr::new(text)), Ok(Location::Local(here.join(expected))), "{text}");
        }
        let bytes = OsStr::from_bytes(b"/srv/\xff");
        assert_eq!(parse(bytes), Ok(Location::Local(bytes.into())));
    }

    #[test]
    fn what_is_elsewhere_is_never_a_path() {
        for (text, expected) in [
            ("ssh://user@host:22/./repo", "ssh://user@host:22/./repo"),
            ("ssh://host/repo", "ssh://host/repo"),
            ("user@host:repo", "ssh://user@host/./repo"),
            ("host:repo", "ssh://host/./repo"),
            ("host:/repo", "ssh://host/repo"),
            ("[::1]:x", "ssh://[::1]/./x"),
        ] {
            let location = parse(OsStr::new(text)).unwrap();
            assert_eq!((location.local(), location.to_string().as_str()), (None, expected), "{text}");
        }
        assert_eq!(parse(OsStr::new("s3://bucket/x")), Err(LocationError::Scheme("s3".into())));
        for archive in ["/srv/borg::monday", "host::monday", "user@host:repo::monday", "ssh://host/repo::monday"] {
            assert_eq!(parse(OsStr::new(archive)), Err(LocationError::Archive), "{archive}");
        }
        for nothing in ["", "file://"] {
            assert_eq!(parse(OsStr::new(nothing)), Err(LocationError::Empty));
        }
        assert!(matches!(parse(OsStr::new("-oProxyCommand=x:a")), Err(LocationError::Remote(_))));
        assert_eq!(parse(OsStr::from_bytes(b"host:\xff")), Err(LocationError::RemoteNotText));
        // What is wrong with it is said in one line, and not again as its cause.
        let port = parse(OsStr::new("ssh://me@host:abc/x")).unwrap_err();
        assert!(port.to_string().contains("but \"abc\" is no port;") && port.source().is_none(), "{port}");
    }
}
