//! The conversation over a command that somebody else has written: `ssh`, or what `BORG_RSH` names.
//!
//! What it connects to, and whom it trusts, is its own business. Nothing here has a deadline: over a bare pipe, a server
//! that compacts for an hour looks like one that is dead. Where the command is `ssh`, it is told to find that out.

mod child;
mod started;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use worldkeeper_core::Stop;

pub use started::is_ours;

use crate::runtime::runtime;
use crate::{Connect, ConnectError, Link, RemoteLocation, ServeCommand};

/// How a command is run that reaches another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOptions {
    /// Its words (`BORG_RSH`, `--rsh`), to which port, user and host are added; `ssh` alone if nothing is set. Not empty.
    pub rsh: Vec<String>,
    /// Variables of our environment that it must not see: secrets.
    pub hidden: Vec<OsString>,
    /// How long it has to end once it is no longer wanted: so long after the end of its input it is asked to, and so long
    /// after that it is killed.
    pub patience: Duration,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self { rsh: vec!["ssh".to_owned()], hidden: Vec::new(), patience: Duration::from_secs(2) }
    }
}

/// Starts a command.
#[derive(Clone, Debug)]
pub struct CommandConnector {
    words: Vec<String>,
    options: CommandOptions,
}

impl CommandConnector {
    /// For the server at `location`, called by `command`.
    ///
    /// Source: borg 1.4 `remote.py`, `RemoteRepository.ssh_cmd`.
    pub fn new(location: &RemoteLocation, command: &ServeCommand, options: CommandOptions) -> Self {
        let mut words = options.rsh.clone();
        let is_ssh = words.first().and_then(|program| Path::new(program).file_name()) == Some(OsStr::new("ssh"));
        if is_ssh {
            // After those of `rsh`: of two settings, ssh takes the first.
            words.extend(SSH_OPTIONS.iter().flat_map(|option| ["-o", option]).map(str::to_owned));
        }
        if let Some(port) = location.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        if is_ssh {
            // Nothing that follows is an option, whatever it begins with.
            words.push("--".to_owned());
        }
        words.push(match &location.user {
            Some(user) => format!("{user}@{}", location.host),
            None => location.host.clone(),
        });
        words.extend(command.words());
        Self { words, options }
    }
}

/// What ssh is told: that nobody is here to answer questions, that a host which does not take the call is given up, and
/// that a connection is dead when nothing has come for 40 s, asked three times.
const SSH_OPTIONS: [&str; 4] =
    ["BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=10", "ServerAliveCountMax=3"];

impl Connect for CommandConnector {
    fn connect(&self, _stop: &Stop) -> Result<Link, ConnectError> {
        child::start(runtime()?, &self.words, &self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rsh: &[&str], location: &str, options: &[&str]) -> String {
        let location = RemoteLocation::parse(location).unwrap().unwrap();
        let command =
            ServeCommand { options: options.iter().map(|&option| option.into()).collect(), ..Default::default() };
        let rsh = rsh.iter().map(|&word| word.into()).collect();
        CommandConnector::new(&location, &command, CommandOptions { rsh, ..Default::default() }).words.join(" ")
    }

    #[test]
    fn a_command_line_is_borgs() {
        assert_eq!(words(&["rsh", "-x"], "ssh://u@h:22/a", &["--debug"]), "rsh -x -p 22 u@h borg serve --debug");
        assert_eq!(words(&["rsh"], "h:a", &["--restrict-to-path=/a b"]), "rsh h borg serve '--restrict-to-path=/a b'");
        assert_eq!(words(&["rsh"], "ssh://[::1]/a", &[]), "rsh ::1 borg serve");
    }

    #[test]
    fn ssh_is_told_more_and_takes_nothing_behind_the_host_for_an_option() {
        assert_eq!(
            words(&["/usr/bin/ssh", "-i", "key"], "h:a", &[]),
            "/usr/bin/ssh -i key -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=10 \
             -o ServerAliveCountMax=3 -- h borg serve"
        );
    }
}
