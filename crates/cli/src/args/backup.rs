//! What can be typed after `backup`.

use super::{PatternFlags, TagFlags};

/// What one archive is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    #[command(flatten)]
    pub(crate) tags: TagFlags,
    /// A remark, kept in the archive
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) comment: String,
}
