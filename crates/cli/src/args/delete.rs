//! What can be typed after `delete`.

use super::ArchiveFlags;

/// What to delete.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Their names; or say which with the flags below
    #[arg(value_name = "ARCHIVE", required_unless_present_any = ArchiveFlags::IDS, conflicts_with_all = ArchiveFlags::IDS)]
    pub(crate) archives: Vec<String>,
    #[command(flatten)]
    pub(crate) which: ArchiveFlags,
    /// Also those that cannot be read; what they alone need is left for a `check --repair` to clear away
    // Stock wants it twice for the worst of them.
    #[arg(long, action = clap::ArgAction::Count)]
    pub(crate) force: u8,
    /// Only says what would be deleted
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}
