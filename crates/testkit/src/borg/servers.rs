//! Servers of a stock borg that begin several times as quickly as a start: forks of an interpreter that has loaded it.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::{Borg, warm};

/// The interpreter, and where it is connected to.
pub struct Servers {
    child: Child,
    folder: TempDir,
}

impl Servers {
    pub(super) fn start(borg: &Borg) -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("the folder is empty");
        let mut command = warm::interpreter(&borg.program, include_str!("servers.py"))?;
        command.envs(borg.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        // Of its output Python remembers whether there is a place to seek in it, and a connection has none.
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::piped()).stderr(Stdio::null());
        Some(Self { child: command.spawn().ok()?, folder })
    }

    /// Starts a `borg serve`; this is its standard input and output.
    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join(SOCKET)).expect("the interpreter lives")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Those that serve end with their connections.
        let _ = (self.child.kill(), self.child.wait());
    }
}

const SOCKET: &str = "servers";
