//! A repository on another machine: how each tool is told to reach it, and how what was stored there goes away.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A directory behind SSH in which repositories are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FarEnd {
    /// `user@host`, or `host`.
    user_and_host: String,
    port: Option<u16>,
    path: String,
    /// The programs that serve there.
    pub(crate) borg: String,
    pub(crate) worldkeeper: String,
}

impl FarEnd {
    /// Reads `ssh://[user@]host[:port]/path`.
    pub(crate) fn parse(url: &str, borg: &str, worldkeeper: &str) -> anyhow::Result<Self> {
        let form = "expected ssh://[USER@]HOST[:PORT]/DIRECTORY";
        let rest = url.strip_prefix("ssh://").context(form)?;
        let (host, path) = rest.split_once('/').context(form)?;
        // An address of IPv6 has colons inside its brackets.
        let (user_and_host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().context(form)?)),
            _ => (host, None),
        };
        let is_plain = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric() || "@._-/[]:".contains(char));
        let is_option = user_and_host.starts_with('-') || user_and_host.is_empty();
        // The path is removed there by a shell.
        if is_option || path.is_empty() || !is_plain(rest) {
            bail!("{form}, of letters, digits and ._-");
        }
        Ok(Self {
            user_and_host: user_and_host.to_owned(),
            port,
            path: format!("/{}", path.trim_end_matches('/')),
            borg: borg.to_owned(),
            worldkeeper: worldkeeper.to_owned(),
        })
    }

    /// The directory of this name below ours.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path), ..self.clone() }
    }

    /// As borg and we name it.
    pub(crate) fn ssh_url(&self) -> OsString {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("ssh://{}{port}{}", self.user_and_host, self.path).into()
    }

    /// As restic names it.
    pub(crate) fn sftp_url(&self) -> OsString {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("sftp://{}{port}/{}", self.user_and_host, self.path).into()
    }

    pub(crate) fn prepare_worldkeeper(&self, command: &mut Command) {
        pass_on(command, &["SSH_AUTH_SOCK", "SSH_KEY_PATH", "SSH_KNOWN_HOSTS", "HOME"]);
        command.env("BORG_REMOTE_PATH", &self.worldkeeper);
    }

    pub(crate) fn prepare_borg(&self, command: &mut Command) {
        pass_on(command, &["SSH_AUTH_SOCK"]);
        command.env("BORG_REMOTE_PATH", &self.borg).env("BORG_RSH", ["ssh".to_owned(), options()].join(" "));
    }

    pub(crate) fn prepare_restic(&self, command: &mut Command) {
        pass_on(command, &["SSH_AUTH_SOCK"]);
        let port = self.port.map(|port| format!("-p {port}")).unwrap_or_default();
        let ssh = format!("sftp.command=ssh {} {port} {} -s sftp", options(), self.user_and_host);
        command.args(["-o", &ssh]);
    }

    /// Removes the directory. Where the account may run nothing but a server, that is said.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let mut ssh = Command::new("ssh");
        ssh.args(options().split_whitespace())
            .args(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        ssh.args([&self.user_and_host, "rm", "-rf", "--", &self.path]).stdin(Stdio::null());
        let output = ssh.output().context("cannot start ssh")?;
        if !output.status.success() {
            bail!(
                "{}{} is still there, remove it: {}",
                self.user_and_host,
                self.path,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }
}

/// What our own SSH takes from the environment, as words for the command.
fn options() -> String {
    let option = |name: &str, words: &str| {
        std::env::var(name).ok().map(|value| format!("{words}{value}")).filter(|words| !words.contains('\''))
    };
    let words = [option("SSH_KEY_PATH", "-i "), option("SSH_KNOWN_HOSTS", "-o UserKnownHostsFile=")];
    ["-o BatchMode=yes".to_owned()].into_iter().chain(words.into_iter().flatten()).collect::<Vec<_>>().join(" ")
}

fn pass_on(command: &mut Command, names: &[&str]) {
    command.envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> anyhow::Result<FarEnd> {
        FarEnd::parse(url, "borg", "borg")
    }

    #[test]
    fn urls() {
        for (url, ssh, sftp) in [
            ("ssh://u@nas:2222/srv/x/", "ssh://u@nas:2222/srv/x/r", "sftp://u@nas:2222//srv/x/r"),
            ("ssh://nas/srv", "ssh://nas/srv/r", "sftp://nas//srv/r"),
            ("ssh://[::1]/srv", "ssh://[::1]/srv/r", "sftp://[::1]//srv/r"),
        ] {
            let far = parse(url).unwrap().below("r");
            assert_eq!((far.ssh_url(), far.sftp_url()), (ssh.into(), sftp.into()));
        }
        for url in [
            "nas:/srv",
            "ssh://nas",
            "ssh://nas/",
            "ssh://-oX=y/srv",
            "ssh://nas/a b",
            "ssh://nas:x/srv",
            "ssh:///srv",
            "ssh://nas/$x",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
