//! Repositories on another machine: our client with every server, over every transport.

mod pairings;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::worldkeeper::Worldkeeper;

/// Who answers.
enum Server {
    Stock(Borg),
}

impl Server {
    fn all() -> Vec<Self> {
        Borg::all().into_iter().chain(Borg::old()).map(Self::Stock).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Stock(borg) => format!("borg {}", borg.version()),
        }
    }

    /// A script that runs it, with an environment of its own, and whatever arguments it is called with.
    fn script(&self, folder: &Path) -> PathBuf {
        let line = match self {
            Self::Stock(borg) => {
                let command = borg.command();
                let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
                let variables = variables.map(|(name, value)| format!("{}='{}' ", name.display(), value.display()));
                format!("exec env -i {}{} \"$@\"", variables.collect::<String>(), command.get_program().display())
            }
        };
        let script = folder.join("server");
        write_script(&script, &line);
        script
    }
}

fn write_script(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/bash\n{line}\n")).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A set-up whose repository is behind a server, reached by a command that drops the host.
struct Remote {
    folder: TempDir,
    keeper: Worldkeeper,
}

impl Remote {
    fn new(server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let script = server.script(folder.path());
        let rsh = folder.path().join("rsh");
        // HOST borg serve ..
        write_script(&rsh, &format!("shift 2; exec {} \"$@\"", script.display()));
        let keeper = Worldkeeper::at(folder.path());
        let url = OsString::from(format!("ssh://backup.example{}", keeper.repository().display()));
        let keeper = keeper.with("BORG_REPO_PATH", url).with("BORG_RSH", &rsh);
        Self { folder, keeper }
    }

    /// The repository as it lies on the server's disk.
    fn on_disk(&self) -> PathBuf {
        self.keeper.repository()
    }
}
