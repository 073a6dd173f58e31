//! How a repository on another machine is reached.

use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use worldkeeper_core::shell;

use super::layers::{Origin, Setting, look_up};
use super::{Environment, SettingsError, or_default, path, rate};
use crate::args::RemoteFlags;

/// How a repository on another machine is reached; nothing of it matters to one in a directory.
#[derive(Clone, Debug)]
pub(crate) struct RemoteSettings {
    /// The words of the command that connects, in place of our own SSH; empty without.
    pub(crate) rsh: Setting<Vec<String>>,
    /// What borg is called there, for the shell there.
    pub(crate) remote_path: Setting<String>,
    /// The private key to log in with.
    pub(crate) ssh_key: Option<Setting<PathBuf>>,
    /// The file that holds its passphrase.
    pub(crate) ssh_key_passphrase_file: Option<Setting<PathBuf>>,
    /// The host keys that are trusted, beside those that were pinned.
    pub(crate) ssh_known_hosts: Option<Setting<PathBuf>>,
    /// How many bytes are sent in a second, at most.
    pub(crate) upload_rate_limit: Setting<Option<NonZeroU64>>,
    /// The same while the game runs, if that is less.
    pub(crate) upload_rate_limit_playing: Setting<Option<NonZeroU64>>,
}

/// No command.
#[derive(Debug, thiserror::Error)]
enum RshError {
    #[error(transparent)]
    Words(#[from] shell::SplitError),
    #[error("a command is expected, like ssh -i /ssh/key")]
    Empty,
}

/// No name of a program.
#[derive(Debug, thiserror::Error)]
#[error("the name or path of borg on the other machine is expected, like borg1")]
struct NoProgram;

impl RemoteSettings {
    /// Puts the layers together.
    pub(super) fn resolve(flags: &RemoteFlags, environment: &Environment) -> Result<Self, SettingsError> {
        let text = |flag, given: &Option<String>, variable| {
            look_up(environment, flag, given.as_deref().map(OsStr::new), &[variable])
        };
        let file = |flag, given: &Option<std::ffi::OsString>, variable| {
            let said = look_up(environment, flag, given.as_deref(), &[variable])?;
            said.map(|said| said.parse_os(path)).transpose()
        };
        let limit =
            |flag, given, variable| or_default(text(flag, given, variable)?, |said| said.parse(rate::parse), || None);
        Ok(Self {
            rsh: or_default(text("--rsh", &flags.rsh, "BORG_RSH")?, |said| said.parse(rsh), Vec::new)?,
            remote_path: or_default(
                text("--remote-path", &flags.remote_path, "BORG_REMOTE_PATH")?,
                |said| said.parse(program),
                || "borg".to_owned(),
            )?,
            ssh_key: file("--ssh-key", &flags.ssh_key, "SSH_KEY_PATH")?,
            ssh_key_passphrase_file: file(
                "--ssh-key-passphrase-file",
                &flags.ssh_key_passphrase_file,
                "SSH_KEY_PASSPHRASE_FILE",
            )?,
            ssh_known_hosts: file("--ssh-known-hosts", &flags.ssh_known_hosts, "SSH_KNOWN_HOSTS")?,
            upload_rate_limit: limit("--upload-rate-limit", &flags.upload_rate_limit, "UPLOAD_RATE_LIMIT")?,
            upload_rate_limit_playing: limit(
                "--upload-rate-limit-playing",
                &flags.upload_rate_limit_playing,
                "UPLOAD_RATE_LIMIT_PLAYING",
            )?,
        })
    }

    /// How many bytes may be sent in a second while the game runs, or while it does not.
    pub(crate) fn upload_rate(&self, game_may_run: bool) -> Option<NonZeroU64> {
        let limits = [self.upload_rate_limit.value, self.upload_rate_limit_playing.value.filter(|_| game_may_run)];
        limits.into_iter().flatten().min()
    }

    /// Every setting in words, with where it was said.
    pub(super) fn describe(&self) -> [(&'static str, String, Origin); 7] {
        let file = |setting: &Option<Setting<PathBuf>>| match setting {
            Some(setting) => (setting.value.display().to_string(), setting.origin),
            None => ("none".to_owned(), Origin::Default),
        };
        // The words of a wrapper may be secret, as in `sshpass -p`.
        let rsh = match self.rsh.value.as_slice() {
            [] => "none".to_owned(),
            [program, options @ ..] if options.is_empty() || program.ends_with("ssh") => self.rsh.value.join(" "),
            [program, ..] => format!("{program} …"),
        };
        let (key, key_origin) = file(&self.ssh_key);
        let (passphrase, passphrase_origin) = file(&self.ssh_key_passphrase_file);
        let (hosts, hosts_origin) = file(&self.ssh_known_hosts);
        let (limit, playing) = (&self.upload_rate_limit, &self.upload_rate_limit_playing);
        [
            ("remote shell", rsh, self.rsh.origin),
            ("remote path", self.remote_path.value.clone(), self.remote_path.origin),
            ("ssh key", key, key_origin),
            ("ssh key passphrase file", passphrase, passphrase_origin),
            ("ssh known hosts", hosts, hosts_origin),
            ("upload rate limit", rate::to_text(limit.value), limit.origin),
            ("upload rate limit playing", rate::to_text(playing.value), playing.origin),
        ]
    }
}

fn rsh(text: &str) -> Result<Vec<String>, RshError> {
    let words = shell::split(text)?;
    if words.is_empty() { Err(RshError::Empty) } else { Ok(words) }
}

fn program(text: &str) -> Result<String, NoProgram> {
    if text.trim().is_empty() { Err(NoProgram) } else { Ok(text.to_owned()) }
}
