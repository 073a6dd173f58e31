//! A backup host without a network: our binary under the name of borg, and what takes the place of ssh.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::program;

/// A backup host; gone when this is dropped.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// Where files go to a disk.
    pub(crate) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    /// Below a folder.
    pub(crate) fn in_folder(folder: TempDir) -> Self {
        fs::create_dir(folder.path().join("bin")).unwrap();
        symlink(program(), folder.path().join("bin/borg")).unwrap();
        Self { folder }
    }

    /// Something on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where its one repository usually is.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// The server that it starts for a client, with these options.
    pub(crate) fn serve(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/borg"));
        command.arg("serve").args(options).env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }

    /// What takes the place of ssh for clients that may start what they want.
    pub(crate) fn open(&self) -> String {
        self.ssh("open", "cd; exec \"$@\"")
    }

    /// What takes the place of ssh where `authorized_keys` forces `borg serve` with these options.
    pub(crate) fn forced(&self, options: &str) -> String {
        let borg = self.path("bin/borg");
        self.ssh("forced", &format!("cd; SSH_ORIGINAL_COMMAND=\"$*\" exec {} serve {options}", borg.display()))
    }

    fn ssh(&self, name: &str, line: &str) -> String {
        let script = self.path(&format!("bin/ssh-{name}"));
        // ssh has a home, and no variables of the client. Its first word is the host.
        let home = self.folder.path().display();
        fs::write(&script, format!("#!/bin/sh\nshift\nexport HOME={home}\n{line}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script.display().to_string()
    }

    /// A command of a stock client of this host.
    pub(crate) fn client(&self, borg: &Borg, ssh: &str, args: &[&str]) -> Command {
        let mut command = borg.command();
        command.env("BORG_RSH", ssh).env("BORG_REMOTE_PATH", self.path("bin/borg"));
        command.env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes").current_dir(self.folder.path());
        command.args(args);
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, borg: &Borg, ssh: &str, args: &[&str]) -> Outcome {
        borg.outcome(&mut self.client(borg, ssh, args))
    }

    /// What is left of those who had the repository open.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let names = fs::read_dir(self.repository()).into_iter().flatten();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("lock.") || name.starts_with("worldkeeper.serve")).collect()
    }
}

/// `ssh://host/PATH`
pub(crate) fn url(path: &Path) -> String {
    format!("ssh://backup@host{}", path.display())
}
