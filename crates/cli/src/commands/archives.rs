//! Which archive a name on the command line means.

use tracing::info;
use worldkeeper_archive::ArchiveName;
use worldkeeper_engine::{ArchiveInfo, Session, series};

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
    /// The series has none, and another's must not take its place.
    #[error("there is no archive of the series {series} in the repository at {location}")]
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
    /// Nothing: it would replace what is there by something else.
    OfSeries,
}

/// Finds the archive of a name; `latest` is the newest of the series.
pub(super) fn find(session: &Session, name: &str, series: &str, latest: Latest) -> Result<ArchiveInfo, ArchiveError> {
    if let Some(archive) = session.archive_info(&ArchiveName::from_bytes(name)) {
        return Ok(archive);
    }
    if name != LATEST {
        return Err(ArchiveError::NoSuchArchive { name: name.into(), location: session.location() });
    }
    let mut archives = session.archives();
    let is_ours = |archive: &ArchiveInfo| archive.name.as_str().is_some_and(|name| series::is_member(name, series));
    if let Some(newest) = archives.iter().rposition(is_ours) {
        return Ok(archives.swap_remove(newest));
    }
    let newest = archives.pop().ok_or_else(|| ArchiveError::NoArchive(session.location()))?;
    if latest == Latest::OfSeries {
        let (series, newest) = (series.to_owned(), newest.name.to_string());
        return Err(ArchiveError::NotOfSeries { series, location: session.location(), newest });
    }
    info!("there is no archive of the series {series}: the newest of all is {}", newest.name);
    Ok(newest)
}

const LATEST: &str = "latest";
