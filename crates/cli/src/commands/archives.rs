//! Which archive a name on the command line means.

use std::sync::atomic::Ordering;

use tracing::{info, warn};
use worldkeeper_archive::ArchiveName;
use worldkeeper_core::error_text;
use worldkeeper_engine::{ArchiveInfo, ArchiveProblem, OpenArchive, Proofs, Selection, Session, SessionError, series};
use worldkeeper_scheduler::history::{HistoryError, Verdict};

use crate::escape::{escape, escape_bytes};
use crate::place::Place;
use crate::report::Done;
use crate::words::{self, is_ahead};

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
    /// The newest is none that is taken unasked, and an older one must not be put in place of the world for it.
    #[error("the newest archive, {newest}, is passed over")]
    PassedOver {
        /// Its name.
        newest: String,
        /// The newest of those before it.
        before: Option<String>,
        /// What is wrong with it.
        source: ArchiveProblem,
    },
    /// Nothing proves who made those that there are.
    #[error("there is no archive in the repository at {location} that proves who made it")]
    OnlyUnproven {
        /// The repository.
        location: String,
        /// The newest of those that prove nothing.
        newest: String,
    },
    /// There is none at all.
    #[error("there is no archive in the repository at {location}")]
    NoArchive {
        /// The repository.
        location: String,
        /// The newest of the checkpoints that runs have left that were cut off.
        checkpoint: Option<String>,
    },
    /// Stock made one of that name, most likely.
    #[error("an archive in the repository at {0} is called `latest`, and that is also how the newest is asked for")]
    TwoMeanings(String),
    /// The newest is what is left of a world, or a new one.
    #[error(
        "the newest archive, {newest}, holds {now}, and one before it, {before}, {then}: which world is meant is not certain"
    )]
    FarLess {
        /// Its name.
        newest: String,
        /// How much it holds, in words.
        now: String,
        /// An older one of the same series.
        before: String,
        /// How much that holds.
        then: String,
    },
    /// The newest by its time need not be the newest.
    #[error("the newest archive, {newest}, is from the future ({moment}): which one is the latest is not certain")]
    FromTheFuture {
        /// Its name.
        newest: String,
        /// Its time.
        moment: String,
        /// The newest of those that are not.
        before: Option<String>,
    },
}

/// What `latest` may mean where the series has no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latest {
    /// The newest of all: nothing is lost by looking at it.
    OfAll,
    /// The newest of all, unless somebody said which series is meant.
    OfNoOther,
    /// The newest of the one other series there is, if nobody said which is meant. Something is replaced, be it the world or the
    /// archive, so it has to be certain which one that is.
    InPlace,
}

/// Finds the archive of a name; `latest` is the newest of the series that proves who made it. Says with it whether that was
/// the newest there is.
pub(super) fn find(
    place: &Place,
    session: &Session,
    name: &str,
    latest: Latest,
) -> anyhow::Result<(ArchiveInfo, Done)> {
    let (named, location, series) = (named(session, name), session.location(), place.series());
    match named {
        Some(_) if name == LATEST => return Err(ArchiveError::TwoMeanings(location).into()),
        Some(archive) => return Ok((archive, Done::Well)),
        None if name != LATEST => return Err(ArchiveError::NoSuchArchive { name: name.into(), location }.into()),
        None => {}
    }
    let is_whole = |archive: &ArchiveInfo| !archive.name.as_str().is_some_and(series::is_checkpoint);
    let is_ours = |archive: &ArchiveInfo| archive.name.as_str().is_some_and(|name| series::is_member(name, series));
    let (ours, others): (Vec<_>, Vec<_>) = session.archives().into_iter().filter(is_whole).partition(is_ours);
    let is_of_series = !ours.is_empty();
    let mut candidates = if is_of_series { ours } else { others };
    let Some(newest) = candidates.last().map(|newest| newest.name.to_string()) else {
        let checkpoint = session.archives().pop().map(|checkpoint| checkpoint.name.to_string());
        return Err(ArchiveError::NoArchive { location, checkpoint }.into());
    };
    if !is_of_series && latest != Latest::OfAll && place.is_series_said() {
        return Err(ArchiveError::NotOfSeries { series: series.to_owned(), location, newest }.into());
    }
    let mut done = Done::Well;
    let proven = loop {
        let Some(candidate) = candidates.pop() else {
            return Err(ArchiveError::OnlyUnproven { location, newest }.into());
        };
        match session.unproven(&candidate)? {
            None => break candidate,
            Some(source) if latest == Latest::InPlace => {
                let before = candidates.last().map(|archive| archive.name.to_string());
                return Err(ArchiveError::PassedOver { newest, before, source }.into());
            }
            Some(problem) => {
                warn!("{} is passed over: {}", candidate.name, unproven_text(&problem));
                done = Done::WithWarnings;
            }
        }
    };
    let others: Vec<_> = candidates.iter().map(|archive| archive.name.as_str()).collect();
    if !is_of_series && latest == Latest::InPlace && !are_one_series(proven.name.as_str(), &others) {
        return Err(ArchiveError::NotOfSeries { series: series.to_owned(), location, newest }.into());
    }
    let now = place.clock.now();
    if is_ahead(proven.time, now) {
        let before = candidates.iter().rev().find(|archive| !is_ahead(archive.time, now));
        let newest = proven.name.to_string();
        let (moment, before) =
            (words::moment(proven.time, &place.zone), before.map(|archive| archive.name.to_string()));
        let doubt = ArchiveError::FromTheFuture { newest, moment, before };
        if latest == Latest::InPlace {
            return Err(doubt.into());
        }
        warn!("{doubt}");
    }
    if !is_of_series {
        info!("there is no archive of the series {series}: the newest of all is {}", proven.name);
    }
    Ok((proven, done))
}

/// The archive of a name, whatever that stands for besides.
pub(super) fn named(session: &Session, name: &str) -> Option<ArchiveInfo> {
    session.archive_info(&ArchiveName::from_bytes(name))
}

/// Opens the archive of a name. One whose proof is wrong is opened where borg's own word for that is given, and only if
/// it is named: `latest` never means it.
pub(super) fn open(
    place: &Place,
    session: &Session,
    name: &str,
    latest: Latest,
) -> anyhow::Result<(OpenArchive, Done)> {
    let (archive, done) = find(place, session, name, latest)?;
    let workarounds = place.environment.value(WORKAROUNDS).unwrap_or_default().to_string_lossy();
    let is_asked_for = workarounds.split(',').any(|workaround| workaround.trim() == IGNORE_INVALID_TAM);
    let opened = if is_asked_for { session.open_unproven_archive(&archive) } else { session.open_archive(&archive) };
    Ok((opened?, done))
}

/// Those of some archives that prove who made them; each of the others is said to be left alone, and they are counted.
pub(super) fn proven(session: &Session, archives: Vec<ArchiveInfo>) -> Result<(Vec<ArchiveInfo>, u64), SessionError> {
    let Proofs { proven, unproven, .. } = session.prove(archives)?;
    for (archive, problem) in &unproven {
        warn!("archive {} is left alone, unless it is named: {}", archive.name, unproven_text(problem));
    }
    Ok((proven, unproven.len() as u64))
}

/// What is wrong with an archive that proves nothing, on one line.
pub(super) fn unproven_text(problem: &ArchiveProblem) -> String {
    // What cannot be read was not forged.
    let word = if matches!(problem, ArchiveProblem::Object(_)) { "damaged" } else { "unproven" };
    format!("{word}: {}", escape(&error_text(problem)))
}

/// The history of runs is for people and the schedule: what it cannot take is no reason to fail.
pub(super) fn note(noted: Result<(), HistoryError>) {
    if let Err(error) = noted {
        warn!("`status` and the schedule know the archives as they were: {}", error_text(&error));
    }
}

/// Notes what a check or a restore has found; what was read without a lock may have seemed to be damaged.
pub(super) fn note_verdict(place: &Place, verdict: &Verdict) {
    if !place.reads_unlocked.load(Ordering::Relaxed) {
        note(place.history().checked(place.series(), &place.location(), verdict));
    }
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

/// Stands for the newest archive of the series.
pub(crate) const LATEST: &str = "latest";

/// Where borg is told what to put up with, words with commas between them.
const WORKAROUNDS: &str = "BORG_WORKAROUNDS";

/// The word for reading archives whose TAM is wrong.
const IGNORE_INVALID_TAM: &str = "ignore_invalid_archive_tam";

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
