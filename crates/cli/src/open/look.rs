//! Looks at a repository as far as it lets itself be looked at: for `doctor`, who makes and changes nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use worldkeeper_core::{DiskError, RepositoryError, Stop};
use worldkeeper_engine::Session;
use worldkeeper_remote::ssh::Probe;
use worldkeeper_remote::{RemoteLocation, RemoteRepository};
use worldkeeper_repository::Mode;

use super::{AccessError, OpenRepository, is_blank};
use crate::place::Place;
use crate::rights::require_writable;

/// How long is waited for somebody else's lock: who asks wants an answer now.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Requires that directories can be made where a path begins to be missing, as far as the system tells without trying.
fn require_takes_directories(path: &Path) -> Result<(), DiskError> {
    let failed = |source| DiskError::new("create directory", path, source);
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(path);
    if !there.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    // What the kernel shows there may look writable to root, and takes nothing.
    if rustix::fs::statfs(there).is_ok_and(|system| OF_THE_KERNEL.contains(&(system.f_type as u64))) {
        return Err(failed(io::ErrorKind::Unsupported.into()));
    }
    require_writable(there).map_err(failed)
}

/// `f_type` of proc and sysfs, from `linux/magic.h`.
const OF_THE_KERNEL: [u64; 2] = [0x9fa0, 0x6265_6572];

impl Place {
    /// Logs in to the repository's machine, step by step; `None` where a command connects and keeps the steps to itself.
    pub(crate) fn probe(&self, location: &RemoteLocation, stop: &Stop) -> Result<Option<Probe>, AccessError> {
        let Some(ssh) = self.ssh_connector(location)? else { return Ok(None) };
        let unreachable = |error| RepositoryError::Unreachable {
            location: location.to_string(),
            may_pass: true,
            source: Box::new(error),
        };
        Ok(Some(ssh.probe(stop).map_err(unreachable)?))
    }

    /// Asks the server there which borg it is.
    pub(crate) fn server_version(&self, location: &RemoteLocation, stop: &Stop) -> Result<String, AccessError> {
        let options = self.remote_options(location, Mode::WithoutLock, Some(BRIEFLY), stop);
        Ok(RemoteRepository::version_at(self.connector(location)?.as_ref(), &options)?)
    }

    /// Opens the repository as it is, and hardly waits for anybody.
    pub(crate) fn open_briefly(&self, mode: Mode, stop: &Stop) -> Result<OpenRepository, AccessError> {
        self.open_as(mode, Some(BRIEFLY), stop).map_err(|error| self.explain(error))
    }

    /// Requires that the first backup may make a repository here, and that what it generates for it lasts.
    pub(crate) fn require_room_for_new(&self) -> Result<(), AccessError> {
        self.require_none_was_at(&self.location())?;
        self.require_lasting_passphrase()?;
        let repository = self.settings.repository.value.local();
        Ok(repository.map_or(Ok(()), require_takes_directories).map_err(RepositoryError::Disk)?)
    }

    /// Opens what is in a repository, and judges it as a backup would; `None` if there is nothing in it yet.
    pub(crate) fn look_inside(&self, repository: OpenRepository, stop: &Stop) -> Result<Option<Session>, AccessError> {
        if is_blank(&*repository)? {
            return Ok(None);
        }
        let session = self.unlock(repository, stop)?;
        self.judge_silently(&session)?;
        Ok(Some(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_directory_can_be_made_none_is_promised() {
        let folder = tempfile::tempdir().unwrap();
        assert!(require_takes_directories(&folder.path().join("a/b")).is_ok());
        for path in ["/proc/repo", "/proc/self/a/repo", "/dev/null/repo"] {
            assert!(require_takes_directories(Path::new(path)).is_err(), "{path}");
        }
    }
}
