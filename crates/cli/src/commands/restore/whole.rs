//! Whether an archive is the whole world, asked before anything is replaced by it.

use worldkeeper_engine::{ArchiveInfo, Extent, OpenArchive, Session, SessionError, series};

use super::RestoreProblem;
use crate::commands::ArchiveError;
use crate::words;

/// Requires that an archive's list of items can be read to its end: half an archive over a world is neither.
pub(super) fn require_list(session: &Session, archive: &OpenArchive) -> anyhow::Result<()> {
    match session.require_items(archive) {
        Err(source) if source.is_damage() => {
            let older = older(session, archive).next().map(|older| older.name.to_string());
            let archive = archive.metadata.name.to_string();
            Err(RestoreProblem::List { archive, older, source: Box::new(source) }.into())
        }
        read => Ok(read?),
    }
}

/// How many older archives are looked at.
const LOOKED_AT: usize = 50;

/// Requires that the newest archive does not hold far less than one of those before it: after a loss, the game makes a new world,
/// and the next backups take that.
pub(super) fn require_no_new_world(session: &Session, newest: &OpenArchive) -> anyhow::Result<()> {
    let now = Extent::of(session, newest)?;
    for older in older(session, newest).take(LOOKED_AT) {
        if let Some((before, then)) = known(session, &older)?
            && now.is_far_less_than(then)
        {
            let newest = newest.metadata.name.to_string();
            return Err(ArchiveError::FarLess { newest, now: in_words(now), before, then: in_words(then) }.into());
        }
    }
    Ok(())
}

/// The archives of the same series that are older, newest first.
fn older(session: &Session, archive: &OpenArchive) -> impl Iterator<Item = ArchiveInfo> {
    let name = archive.metadata.name.clone();
    let series = name.as_str().and_then(series::of).map(str::to_owned);
    let before = session.archives().into_iter().rev().skip_while(move |other| other.name != name).skip(1);
    before.filter(move |other| {
        let other = other.name.as_str().filter(|other| !series::is_checkpoint(other));
        series.is_some() && other.and_then(series::of) == series.as_deref()
    })
}

/// The name of an archive, and how much it holds; nothing, if it proves nothing or cannot be read.
fn known(session: &Session, archive: &ArchiveInfo) -> Result<Option<(String, Extent)>, SessionError> {
    if session.unproven(archive)?.is_some() {
        return Ok(None);
    }
    Ok(Extent::of_listed(session, archive)?.map(|extent| (archive.name.to_string(), extent)))
}

fn in_words(extent: Extent) -> String {
    format!("{} with {}", words::count(extent.files, "file"), words::bytes(extent.size))
}
