//! What can be typed after `list`.

use std::path::PathBuf;

use super::{ArchiveFlags, LockFlags, PatternFlags};

/// What to list.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct List {
    /// The archive to list, or `latest`; all archives if none is named
    pub(crate) archive: Option<String>,
    /// Only these files and directories, or what these patterns match, like sh:**/region; everything if none is named
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    #[command(flatten)]
    pub(crate) archives: ArchiveFlags,
    /// Lists checkpoints too: what runs that were cut off have saved
    #[arg(long)]
    pub(crate) consider_checkpoints: bool,
    /// Lists unproven archives too, after the others: those that do not prove that who made them had the key
    #[arg(long)]
    pub(crate) consider_unproven: bool,
    /// Names or paths alone
    #[arg(long)]
    pub(crate) short: bool,
    /// The archives in JSON, as borg gives them
    #[arg(long, conflicts_with_all = ["archive", "short"])]
    pub(crate) json: bool,
    /// What is in the archive in JSON, one item a line, as borg gives it
    #[arg(long, requires = "archive", conflicts_with = "short")]
    pub(crate) json_lines: bool,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}
