//! What `restore` puts back, and where.

use std::path::PathBuf;

use super::{LockFlags, PatternFlags};

/// What to put back, and where.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub(crate) struct Restore {
    /// The archive, or `latest`
    pub(crate) archive: String,
    /// Only these files and directories, as `list ARCHIVE` shows them, or patterns, like sh:**/region; everything if none
    /// is named
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Restores into this directory instead of to where it came from
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Replaces files that are there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Writes the content of files to standard output, one after the other, and no file
    #[arg(long, conflicts_with_all = ["to", "overwrite", "list"])]
    pub(crate) stdout: bool,
    /// Reads and checks all that would be restored, and writes nothing
    #[arg(short = 'n', long, conflicts_with = "stdout")]
    pub(crate) dry_run: bool,
    /// Lists what is restored
    #[arg(long)]
    pub(crate) list: bool,
    /// Leaves out the first N components of all paths, and what has no more
    #[arg(long, value_name = "N", default_value_t = 0, requires = "to")]
    pub(crate) strip_components: usize,
    /// Makes holes of chunks that are nothing but zeros
    #[arg(long)]
    pub(crate) sparse: bool,
    /// Sets owners by number, not by name
    #[arg(long)]
    pub(crate) numeric_ids: bool,
    /// Restores block and character devices, which are left out otherwise
    #[arg(long)]
    pub(crate) devices: bool,
    /// Gives programs their setuid and setgid bits and capabilities, which are left out otherwise
    #[arg(long)]
    pub(crate) setuid: bool,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}
