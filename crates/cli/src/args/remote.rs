//! The flags that say how a repository on another machine is reached. The first two are borg's.

use std::ffi::OsString;

use clap::Args;

use super::REACH;

/// How a repository on another machine is reached.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RemoteFlags {
    /// A command that connects, in place of the SSH that is built in, like "ssh -i /ssh/key" (BORG_RSH)
    #[arg(long, value_name = "COMMAND", global = true, help_heading = REACH)]
    pub(crate) rsh: Option<String>,
    /// What borg is called there (BORG_REMOTE_PATH; default borg)
    #[arg(long, value_name = "PATH", global = true, help_heading = REACH)]
    pub(crate) remote_path: Option<String>,
    /// The private key to log in with (SSH_KEY_PATH)
    #[arg(long, value_name = "FILE", global = true, help_heading = REACH)]
    pub(crate) ssh_key: Option<OsString>,
    /// A file with that key's passphrase, readable by its owner alone (SSH_KEY_PASSPHRASE_FILE)
    #[arg(long, value_name = "FILE", global = true, help_heading = REACH)]
    pub(crate) ssh_key_passphrase_file: Option<OsString>,
    /// Host keys that are trusted, as OpenSSH keeps them (SSH_KNOWN_HOSTS)
    #[arg(long, value_name = "FILE", global = true, help_heading = REACH)]
    pub(crate) ssh_known_hosts: Option<OsString>,
    /// How much is sent in a second, like 5MiB or 40Mbit, or a number of KiB (UPLOAD_RATE_LIMIT; default no limit)
    #[arg(long, value_name = "RATE", global = true, help_heading = REACH)]
    pub(crate) upload_rate_limit: Option<String>,
    /// The same while the game runs, if that is less (UPLOAD_RATE_LIMIT_PLAYING; default no other limit)
    #[arg(long, value_name = "RATE", global = true, help_heading = REACH)]
    pub(crate) upload_rate_limit_playing: Option<String>,
}
