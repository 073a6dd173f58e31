//! What can be typed after `info`.

use super::{ArchiveFlags, LockFlags};

/// What to tell about.
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    /// The archive, or `latest`; the repository if no archive is meant
    #[arg(conflicts_with_all = ArchiveFlags::IDS)]
    pub(crate) archive: Option<String>,
    #[command(flatten)]
    pub(crate) archives: ArchiveFlags,
    /// In JSON, as borg gives it
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}
