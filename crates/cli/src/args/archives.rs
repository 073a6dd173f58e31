//! The flags that say which archives are meant, where a verb can be about several.

use worldkeeper_engine::{ArchiveInfo, NameGlob};

/// Which archives.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ArchiveFlags {
    /// Only archives whose name matches, like 'survival-2026-*'
    #[arg(short = 'a', long, value_name = "GLOB", help_heading = WHICH, value_parser = parse_glob)]
    pub(crate) glob_archives: Option<NameGlob>,
    /// Only the oldest N of them
    #[arg(long, value_name = "N", help_heading = WHICH, conflicts_with = "last")]
    pub(crate) first: Option<usize>,
    /// Only the newest N of them
    #[arg(long, value_name = "N", help_heading = WHICH)]
    pub(crate) last: Option<usize>,
}

const WHICH: &str = "Which archives";

impl ArchiveFlags {
    /// Those that are meant of `archives`, which are in the order of their time.
    pub(crate) fn choose(&self, mut archives: Vec<ArchiveInfo>) -> Vec<ArchiveInfo> {
        if let Some(glob) = &self.glob_archives {
            archives.retain(|archive| glob.matches(archive.name.as_bytes()));
        }
        if let Some(first) = self.first {
            archives.truncate(first);
        }
        if let Some(last) = self.last {
            archives.drain(..archives.len().saturating_sub(last));
        }
        archives
    }
}

fn parse_glob(glob: &str) -> Result<NameGlob, String> {
    NameGlob::new(glob).map_err(|error| worldkeeper_core::error_text(&error))
}
