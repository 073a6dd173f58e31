//! `ssh-key`: a key of our own to log in with, and the line that lets it in where the repository is, and no further.

use tracing::{info, warn};
use worldkeeper_core::disk::{self, parent};
use worldkeeper_core::{DiskError, shell};
use worldkeeper_remote::ssh::{KeyPair, KeyPairError};

use super::output::Output;
use crate::place::Place;
use crate::report::Done;
use crate::settings::{Location, Setting};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshKeyProblem {
    /// The file.
    #[error("our SSH key cannot be read or written")]
    Disk(#[from] DiskError),
    /// What is in it.
    #[error("our SSH key in {path} cannot be used")]
    Key {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        source: KeyPairError,
    },
    /// Two at once.
    #[error("somebody else is making our SSH key")]
    InUse,
    /// A line break in the path, or the like.
    #[error("{0:?} cannot stand in a line of authorized_keys")]
    NoLine(String),
}

/// Makes the key if there is none, and prints the line for it, which is always the same.
pub(super) fn ssh_key(place: &Place) -> anyhow::Result<Done> {
    let program = &place.settings.remote.remote_path.value;
    let path = match &place.settings.repository.value {
        Location::Remote(location) => location.path.as_str(),
        Location::Local(_) => "/path/to/repository",
    };
    // Before a key is made for nothing.
    let forced = forced(program, path).ok_or_else(|| SshKeyProblem::NoLine(format!("{program} {path}")))?;
    let public = public(place)?;
    match &place.settings.repository.value {
        Location::Remote(location) => {
            let user = location.user.as_deref().map_or_else(String::new, |user| format!(" of {user}"));
            info!("this line belongs into the file .ssh/authorized_keys{user} on {}:", location.host);
        }
        Location::Local(_) => {
            info!("this line belongs into the file .ssh/authorized_keys where the repository is to be, with its path:");
        }
    }
    let mut output = Output::new();
    output.line(&format!("{forced} {public}"))?;
    output.finish()?;
    let own = place.ssh_key_path();
    let other = place.settings.remote.ssh_key.as_ref().filter(|setting| setting.value != own);
    if let Some(Setting { value, origin }) = other {
        let (other, own) = (value.display(), own.display());
        warn!(
            "{origin} names another key, {other}: that one logs in, and not the one of this line. Take it away, or name {own}"
        );
    }
    Ok(Done::with(u64::from(other.is_some())))
}

/// The public half of our key, which is made once and never replaced.
fn public(place: &Place) -> Result<String, SshKeyProblem> {
    /// No key is longer, in bytes.
    const LIMIT: u64 = 64 << 10;
    let (disk, path) = (place.disk.as_ref(), place.ssh_key_path());
    let wrong = |source| SshKeyProblem::Key { path: path.display().to_string(), source };
    disk::create_dir_all(disk, parent(&path))?;
    let _lock = disk.try_lock(&path.with_extension("lock"))?.ok_or(SshKeyProblem::InUse)?;
    let key = if let Some(text) = disk::read_if_there(disk, &path, LIMIT)? {
        KeyPair::read(&text).map_err(wrong)?
    } else {
        let key = KeyPair::generate("worldkeeper").map_err(wrong)?;
        disk::replace(disk, &path, key.private().map_err(wrong)?.as_bytes())?;
        info!("made an SSH key in {}", path.display());
        key
    };
    key.public().map_err(wrong)
}

/// The options of a key that may run `borg serve` for one repository and do nothing else; `None` if they are no line.
///
/// Source: `sshd(8)`, "AUTHORIZED_KEYS FILE FORMAT"; borg 1.4 `remote.py`, `RepositoryServer._resolve_path`.
fn forced(program: &str, path: &str) -> Option<String> {
    // Relative to where the server begins, which is the user's home.
    let path = path.strip_prefix("/./").unwrap_or(path);
    let path = match path.strip_prefix("/~/").or_else(|| path.strip_prefix("~/")) {
        Some(path) => format!("~/{}", shell::quote(path)),
        None => shell::quote(path).into_owned(),
    };
    let command = format!("{program} serve --restrict-to-repository {path}");
    // A backslash at the end would take the quotation mark with it.
    let is_line = !command.contains(char::is_control) && !command.ends_with('\\');
    is_line.then(|| format!("command=\"{}\",restrict", command.replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_let_in_for_one_repository_and_nothing_else() {
        for (path, expected) in [
            ("/srv/a", "/srv/a"),
            ("/./a", "a"),
            ("a/b", "a/b"),
            ("/~/a b", "~/'a b'"),
            ("~/a", "~/a"),
            ("/a\"b", "'/a\\\"b'"),
            ("/a\\\"b", "'/a\\\\\"b'"),
            ("/a;b", "'/a;b'"),
        ] {
            let expected = format!("command=\"borg serve --restrict-to-repository {expected}\",restrict");
            assert_eq!(forced("borg", path), Some(expected), "{path}");
        }
        assert_eq!(forced("borg", "/a\nssh-ed25519 AAAA"), None);
    }
}
