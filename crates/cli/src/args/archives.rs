//! The flags that say which archives are meant, where a verb can be about several.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use worldkeeper_archive::ArchiveName;
use worldkeeper_engine::{ArchiveInfo, NameGlob};

use crate::commands::LATEST;
use crate::settings::When;

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
    /// Only those begun at WHEN or later: a time like 2026-11-06 or 2026-11-06T12:00, local unless it says otherwise, or
    /// how long ago, like 36H, 7d, 4w, 6m or 1y
    #[arg(long, value_name = "WHEN", help_heading = WHICH, value_parser = When::parse)]
    pub(crate) newer: Option<When>,
    /// Only those begun before WHEN
    #[arg(long, value_name = "WHEN", help_heading = WHICH, value_parser = When::parse)]
    pub(crate) older: Option<When>,
}

pub(super) const WHICH: &str = "Which archives";

impl ArchiveFlags {
    /// What clap calls the flags, for those that contradict them.
    pub(crate) const IDS: [&'static str; 5] = ["glob_archives", "first", "last", "newer", "older"];

    /// Returns whether all archives are meant.
    pub(crate) fn is_all(&self) -> bool {
        self.glob_archives.is_none()
            && self.first.is_none()
            && self.last.is_none()
            && self.newer.is_none()
            && self.older.is_none()
    }

    /// Those that are meant of `archives`, which are in the order of their time. The first and the last are those of
    /// what the other flags leave.
    pub(crate) fn choose(&self, mut archives: Vec<ArchiveInfo>, now: Timestamp, zone: &TimeZone) -> Vec<ArchiveInfo> {
        if let Some(newer) = self.newer.map(|when| when.moment(now, zone)) {
            archives.retain(|archive| archive.time >= newer);
        }
        if let Some(older) = self.older.map(|when| when.moment(now, zone)) {
            archives.retain(|archive| archive.time < older);
        }
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

/// Reads the name of an archive that is to be made, which none could be told from later that means another one.
pub(super) fn new_archive(name: &str) -> Result<ArchiveName, String> {
    if name == LATEST {
        return Err("`latest` is how the newest archive is asked for, whatever its name".to_owned());
    }
    name.parse().map_err(|error| worldkeeper_core::error_text(&error))
}

fn parse_glob(glob: &str) -> Result<NameGlob, String> {
    NameGlob::new(glob).map_err(|error| worldkeeper_core::error_text(&error))
}
