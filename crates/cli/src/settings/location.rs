//! Where the repository is, told apart by form as borg does.
//!
//! Only paths can be used so far; everything else is recognised, so that `host:path` never becomes a directory of
//! that name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Why a location cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    /// A repository on another machine.
    #[error("repositories on other machines are not supported yet; for a directory of that name write ./{0}")]
    Remote(String),
    /// A scheme of something else.
    #[error("repositories behind {0}:// are not supported")]
    Scheme(String),
    /// `LABEL=PATH`.
    #[error("labels (LABEL=PATH) are not supported yet; for a directory of that name write ./{0}")]
    Label(String),
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

/// Reads a location and makes it absolute.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `Location`.
pub(super) fn parse(location: &OsStr) -> Result<PathBuf, LocationError> {
    if location.is_empty() {
        return Err(LocationError::Empty);
    }
    // What tells the forms apart is ASCII; a path that is no text stays as it is.
    let text = location.to_string_lossy();
    if let Some((scheme, rest)) = text.split_once("://") {
        match scheme {
            "file" => return parse(OsStr::from_bytes(&location.as_bytes()["file://".len()..])),
            "ssh" => return Err(LocationError::Remote(rest.into())),
            _ if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                return Err(LocationError::Scheme(scheme.into()));
            }
            _ => {}
        }
    }
    if text.contains("::") {
        return Err(LocationError::Archive);
    }
    // A colon makes a host of what stands before it, unless a slash shows that it is a path.
    if let Some((host, _)) = text.split_once(':')
        && !host.is_empty()
        && !host.contains('/')
    {
        return Err(LocationError::Remote(text.into()));
    }
    if let Some((label, path)) = text.split_once('=')
        && !path.is_empty()
        && !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Err(LocationError::Label(text.into()));
    }
    let absolute = std::path::absolute(Path::new(location)).map_err(|_| LocationError::NoCurrentDirectory)?;
    // What leads up is taken out by its letters, as borg does: one repository has one name in the run history.
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
    use super::*;

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
            assert_eq!(parse(OsStr::new(text)), Ok(expected.into()), "{text}");
        }
        let here = std::env::current_dir().unwrap();
        for (text, expected) in [("backups/world", "backups/world"), ("./a:b", "a:b"), ("./a=b", "a=b")] {
            assert_eq!(parse(OsStr::new(text)), Ok(here.join(expected)), "{text}");
        }
        let bytes = OsStr::from_bytes(b"/srv/\xff");
        assert_eq!(parse(bytes), Ok(bytes.into()));
    }

    #[test]
    fn what_is_elsewhere_is_never_a_path() {
        for text in
            ["ssh://user@host:22/./repo", "ssh://host/repo", "user@host:repo", "host:repo", "host:/repo", "[::1]:x"]
        {
            let error = parse(OsStr::new(text)).unwrap_err();
            assert!(matches!(error, LocationError::Remote(_) | LocationError::Archive), "{text}: {error}");
        }
        assert_eq!(parse(OsStr::new("s3://bucket/x")), Err(LocationError::Scheme("s3".into())));
        assert_eq!(parse(OsStr::new("/srv/borg::monday")), Err(LocationError::Archive));
        for nothing in ["", "file://"] {
            assert_eq!(parse(OsStr::new(nothing)), Err(LocationError::Empty));
        }
        assert!(matches!(parse(OsStr::new("local=/srv/borg")), Err(LocationError::Label(_))));
    }
}
