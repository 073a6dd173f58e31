//! Repositories on another machine: our client with every server, over every transport.

mod cable;
mod cuts;
mod doctor;
mod drip;
mod lost;
mod pairings;
mod prepared;
mod resync;
mod round_trips;
mod sidecar;

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_testkit::worldkeeper::{self, Worldkeeper};

use cable::Start;

/// Who answers.
enum Server {
    Stock(Box<Borg>),
    Ours,
}

impl Server {
    fn all() -> Vec<Self> {
        Borg::all().into_iter().chain(Borg::old()).map(|borg| Self::Stock(Box::new(borg))).chain([Self::Ours]).collect()
    }

    /// The newest stock's and ours, for what takes long.
    fn newest() -> Vec<Self> {
        Borg::newest().map(|borg| Self::Stock(Box::new(borg))).into_iter().chain([Self::Ours]).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Stock(borg) => format!("borg {}", borg.version()),
            Self::Ours => "worldkeeper".to_owned(),
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
            Self::Ours => format!("exec env -i {} \"$@\"", worldkeeper::program().display()),
        };
        let script = folder.join("server");
        write_script(&script, &line);
        script
    }

    /// Starts one after the other, whose files of this test lie in `folder`.
    fn start(&self, folder: &Path) -> Start {
        if let Self::Stock(borg) = self
            && let Some(servers) = borg.servers()
        {
            return Arc::new(move || servers.connect());
        }
        let script = self.script(folder);
        Arc::new(move || {
            let (near, far) = UnixStream::pair().expect("there are descriptors left");
            let mut command = Command::new(&script);
            let (input, output) = (far.try_clone().expect("there are descriptors left"), far);
            command.arg("serve").stdin(OwnedFd::from(input)).stdout(OwnedFd::from(output)).stderr(Stdio::null());
            let mut server = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
            thread::spawn(move || server.wait());
            near
        })
    }
}

/// What carries the conversation.
enum Transport {
    /// A command that drops the host.
    Pipe,
    /// The SSH that is spoken by our binary.
    Ssh(Sshd),
    /// The `ssh` of the system.
    SshCommand(Sshd),
}

impl Transport {
    fn name(&self) -> &'static str {
        match self {
            Self::Pipe => "a pipe",
            Self::Ssh(_) => "SSH",
            Self::SshCommand(_) => "ssh",
        }
    }

    /// The server's machine.
    fn sshd(&self) -> &Sshd {
        match self {
            Self::Pipe => panic!("there is none at the end of a pipe"),
            Self::Ssh(sshd) | Self::SshCommand(sshd) => sshd,
        }
    }
}

fn write_script(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// A set-up whose repository is behind a server.
struct Remote {
    folder: TempDir,
    keeper: Worldkeeper,
    transport: Transport,
}

impl Remote {
    fn new(server: &Server, transport: Transport) -> Self {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let script = server.script(folder.path());
        let keeper = Worldkeeper::at(folder.path());
        let keeper = match &transport {
            Transport::Pipe => {
                let rsh = folder.path().join("rsh");
                // HOST borg serve ..
                write_script(&rsh, &format!("shift 2; exec {} \"$@\"", script.display()));
                let url = OsString::from(format!("ssh://backup.example{}", keeper.repository().display()));
                keeper.with("BORG_REPO_PATH", url).with("BORG_RSH", &rsh)
            }
            Transport::Ssh(sshd) | Transport::SshCommand(sshd) => {
                let url = sshd.url(&keeper.repository());
                let keeper = keeper.with("BORG_REPO_PATH", url).with("BORG_REMOTE_PATH", &script);
                match transport {
                    Transport::Ssh(_) => {
                        keeper.with("SSH_KEY_PATH", sshd.key()).with("SSH_KNOWN_HOSTS", sshd.known_hosts("ed25519"))
                    }
                    _ => keeper.with("BORG_RSH", sshd.rsh()),
                }
            }
        };
        Self { folder, keeper, transport }
    }

    /// The repository as it lies on the server's disk.
    fn on_disk(&self) -> PathBuf {
        self.keeper.repository()
    }
}
