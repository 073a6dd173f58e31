//! What `export-tar` writes, and where.

use std::path::PathBuf;

use super::{LockFlags, PatternFlags};

/// What to export, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportTar {
    /// The archive, or `latest`
    pub(crate) archive: String,
    /// The tar, `-` for standard output. One that ends with .tar.gz, .tgz, .tar.xz, .txz, .tar.zst, .tar.zstd or .tar.lz4
    /// is compressed
    pub(crate) file: PathBuf,
    /// Only these files and directories, or what these patterns match, like sh:**/region; everything if none is named
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    /// Leaves out the first N components of all paths, and what has no more
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) strip_components: usize,
    /// Lists what is exported
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}
