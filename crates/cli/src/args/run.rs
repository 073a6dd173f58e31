//! What can be typed after `run`.

use super::{PatternFlags, TagFlags};

/// How the daemon runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Makes one archive, prunes and compacts, then exits
    #[arg(long)]
    pub(crate) once: bool,
    /// Makes a source that does not exist, with a small sample world in it
    #[arg(long)]
    pub(crate) demo: bool,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    #[command(flatten)]
    pub(crate) tags: TagFlags,
}
