//! What can be typed after `find`.

use std::ffi::OsString;

use super::{ArchiveFlags, LockFlags, PatternFlags};

/// What to find, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Find {
    /// A name, or the end of a path, with *, ? and ** as wildcards: level.dat, region/r.*.mca; /data/world is a whole path.
    /// One with a style is as in `list`: sh:**/region, re:r\.0, pp:data/world
    #[arg(required = true, value_name = "PATTERN")]
    pub(crate) named: Vec<OsString>,
    #[command(flatten)]
    pub(crate) archives: ArchiveFlags,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    /// Searches checkpoints too: what runs that were cut off have saved
    #[arg(long)]
    pub(crate) consider_checkpoints: bool,
    /// In JSON, one version a line
    #[arg(long)]
    pub(crate) json_lines: bool,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}
