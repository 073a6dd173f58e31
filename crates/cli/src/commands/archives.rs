//! Which archive a name on the command line means.

use tracing::{info, warn};
use worldkeeper_archive::ArchiveName;
use worldkeeper_engine::{ArchiveInfo, OpenArchive, Selection, Session, series};

use crate::escape::escape_bytes;
use crate::report::Done;

/// No archive is meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// None has the name.
    #[error("there is no archive {name} in the repository at {location}")]
    NoSuchArchive {
        /// What was asked for.
        name: String,
        /// The repository.
        location: String,
    },
    /// The series has none, there are those of others, and none of them must take its place.
    #[error("there is no archive of the series {series} in the repository at {location}, only those of others")]
    NotOfSeries {
        /// What its archives would be named after.
        series: String,
        /// The repository.
        location: String,
        /// The newest archive of all.
        newest: String,
    },
    /// There is none at all.
    #[error("there is no archive in the repository at {0}")]
    NoArchive(String),
}

/// What `latest` may mean where the series has no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latest {
    /// The newest of all: nothing is lost by looking at it.
    OfAll,
    /// The newest of the one other series there is, and nothing if there are several: it replaces what is there.
    OfOnlySeries,
}

/// Finds the archive of a name; `latest` is the newest of the series.
pub(super) fn find(session: &Session, name: &str, series: &str, latest: Latest) -> Result<ArchiveInfo, ArchiveError> {
    if let Some(archive) = session.archive_info(&ArchiveName::from_bytes(name)) {
        return Ok(archive);
    }
    if name != LATEST {
        return Err(ArchiveError::NoSuchArchive { name: name.into(), location: session.location() });
    }
    let is_whole = |archive: &ArchiveInfo| !archive.name.as_str().is_some_and(series::is_checkpoint);
    let mut archives: Vec<_> = session.archives().into_iter().filter(is_whole).collect();
    let is_ours = |archive: &ArchiveInfo| archive.name.as_str().is_some_and(|name| series::is_member(name, series));
    if let Some(newest) = archives.iter().rposition(is_ours) {
        return Ok(archives.swap_remove(newest));
    }
    let newest = archives.pop().ok_or_else(|| ArchiveError::NoArchive(session.location()))?;
    let others: Vec<_> = archives.iter().map(|archive| archive.name.as_str()).collect();
    if latest == Latest::OfOnlySeries && !are_one_series(newest.name.as_str(), &others) {
        let (series, newest) = (series.to_owned(), newest.name.to_string());
        return Err(ArchiveError::NotOfSeries { series, location: session.location(), newest });
    }
    info!("there is no archive of the series {series}: the newest of all is {}", newest.name);
    Ok(newest)
}

/// Warns of what was named and is not in an archive.
pub(super) fn warn_of_unmatched(archive: &OpenArchive, selection: &Selection) -> Done {
    let unmatched = selection.unmatched();
    for path in &unmatched {
        let archive = escape_bytes(archive.metadata.name.as_bytes());
        warn!("archive {archive} holds nothing of {}", escape_bytes(path));
    }
    Done::with(unmatched.len() as u64)
}

const LATEST: &str = "latest";

/// Returns whether archives are all of one series, whatever it is called.
fn are_one_series(newest: Option<&str>, others: &[Option<&str>]) -> bool {
    let Some(newest) = newest else { return false };
    let mut names = newest.match_indices('-').map(|(end, _)| &newest[..end]);
    names.any(|series| {
        let is_member = |name: &str| series::is_member(name, series);
        is_member(newest) && others.iter().all(|name| name.is_some_and(is_member))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_series_is_told_from_several() {
        let newest = Some("mc-1-2026-11-06T12:00:00");
        for (others, expected) in [
            (&[][..], true),
            (&[Some("mc-1-2026-11-06T11:00:00"), Some("mc-1-2026-11-06T11:00:00-2")], true),
            (&[Some("mc-2-2026-11-06T11:00:00")], false),
            (&[Some("mc-2026-11-06T11:00:00")], false),
            (&[Some("by hand")], false),
            (&[None], false),
        ] {
            assert_eq!(are_one_series(newest, others), expected, "{others:?}");
        }
        assert!(!are_one_series(Some("by hand"), &[]));
        assert!(!are_one_series(None, &[]));
    }
}
