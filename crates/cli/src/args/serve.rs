//! Arguments of `serve`, borg's own: what a forced command says of a client, and what a client says of its log.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};
use worldkeeper_remote::serve::Level;
use worldkeeper_repository::{MIN_QUOTA, parse_size};

/// Called as `borg`.
#[derive(Debug, Parser)]
#[command(name = "borg", version = crate::borg::VERSION, infer_long_args = true, args_override_self = true)]
#[command(about = "Borg's server, spoken by Worldkeeper", disable_help_subcommand = true, max_term_width = 110)]
pub(crate) struct Borg {
    #[command(subcommand)]
    pub(crate) verb: BorgVerb,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What can be done as `borg`.
#[derive(Debug, Subcommand)]
pub(crate) enum BorgVerb {
    /// Serves repositories of this machine to a borg client, over standard input and output
    Serve(Serve),
}

/// What a client may do. Nothing of this can be said by the client itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Only repositories at PATH or below; repeatable
    #[arg(long = "restrict-to-path", value_name = "PATH")]
    pub(crate) restrict_to_paths: Vec<PathBuf>,
    /// Only the repository at PATH, which may not exist yet; repeatable
    #[arg(long = "restrict-to-repository", value_name = "PATH")]
    pub(crate) restrict_to_repositories: Vec<PathBuf>,
    /// Keeps all that was ever committed: nothing is freed, repaired or removed
    #[arg(long)]
    pub(crate) append_only: bool,
    /// How much a repository may take, like 500M, 20G or 1.5T, whatever it says itself; a new one notes it
    #[arg(long, value_name = "QUOTA", value_parser = storage_quota)]
    pub(crate) storage_quota: Option<u64>,
}

/// Options that all of borg's commands take, and clients pass on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What all of borg's commands take")]
#[expect(clippy::struct_excessive_bools, reason = "they are the options that borg has")]
pub(crate) struct Common {
    /// Tells the client of what ends everything only
    #[arg(long, global = true)]
    critical: bool,
    /// Tells the client of errors
    #[arg(long, global = true)]
    error: bool,
    /// Tells the client of warnings, too (default)
    #[arg(long, global = true)]
    warning: bool,
    /// Tells the client what is done, too
    #[arg(long, short = 'v', visible_alias = "verbose", global = true)]
    info: bool,
    /// Tells the client everything
    #[arg(long, global = true)]
    debug: bool,
    /// Tells it in JSON from the start; otherwise as soon as the client is known to understand that
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
    /// Takes away from the permissions of new files, in octal
    #[arg(long, value_name = "M", default_value = "0077", value_parser = octal, global = true)]
    pub(crate) umask: u32,
    #[command(flatten)]
    ignored: Ignored,
}

impl Common {
    /// What the client is told of: of several levels the most talkative one.
    pub(crate) fn level(&self) -> Level {
        let said = [(self.debug, Level::Debug), (self.info, Level::Info), (self.warning, Level::Warning)];
        let said = said.into_iter().chain([(self.error, Level::Error), (self.critical, Level::Critical)]);
        said.filter(|(is_said, _)| *is_said).map(|(_, level)| level).next().unwrap_or(Level::Warning)
    }

    /// Takes from a client what it may say for itself, which is all or nothing, as in stock: how talkative to be.
    pub(crate) fn with_wishes_of(self, client: Self) -> Self {
        Self { log_json: self.log_json, umask: self.umask, ..client }
    }
}

/// Reads a quota as stock does, which takes none of less than 10 MB.
fn storage_quota(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Some(bytes) if bytes >= MIN_QUOTA => Ok(bytes),
        Some(_) => Err("a quota of less than 10M is too small".to_owned()),
        None => Err("that is no size, like 500M, 20G or 1.5T".to_owned()),
    }
}

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mask @ 0..=0o777) => Ok(mask),
        _ => Err("that is no octal number up to 777".to_owned()),
    }
}

/// What all of borg's commands take and a server has no use for: who waits how long for a lock, for instance, its client
/// says with each opening.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are the options that borg has")]
struct Ignored {
    #[arg(long, global = true, hide = true, action = ArgAction::Append)]
    debug_topic: Vec<String>,
    #[arg(long, short, global = true, hide = true)]
    progress: bool,
    #[arg(long, global = true, hide = true)]
    iec: bool,
    #[arg(long, global = true, hide = true)]
    lock_wait: Option<i64>,
    #[arg(long, global = true, hide = true)]
    bypass_lock: bool,
    #[arg(long, global = true, hide = true)]
    show_version: bool,
    #[arg(long, global = true, hide = true)]
    show_rc: bool,
    #[arg(long, global = true, hide = true)]
    remote_path: Option<String>,
    #[arg(long, global = true, hide = true)]
    remote_ratelimit: Option<u64>,
    #[arg(long, global = true, hide = true)]
    upload_ratelimit: Option<u64>,
    #[arg(long, global = true, hide = true)]
    remote_buffer: Option<u64>,
    #[arg(long, global = true, hide = true)]
    upload_buffer: Option<u64>,
    #[arg(long, global = true, hide = true)]
    consider_part_files: bool,
    #[arg(long, global = true, hide = true)]
    debug_profile: Option<PathBuf>,
    #[arg(long, global = true, hide = true)]
    rsh: Option<String>,
}
