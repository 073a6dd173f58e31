//! Whether all of an archive is known, asked before anything is replaced by it: half an archive over a world is neither.

use worldkeeper_engine::{OpenArchive, Session, series};

use super::RestoreProblem;

/// Requires that an archive's list of items can be read to its end.
pub(super) fn require_list(session: &Session, archive: &OpenArchive) -> anyhow::Result<()> {
    match session.require_items(archive) {
        Err(source) if source.is_damage() => Err(RestoreProblem::List {
            archive: archive.metadata.name.to_string(),
            older: older(session, archive),
            source,
        }
        .into()),
        read => Ok(read?),
    }
}

/// The newest archive of the same series that is older.
fn older(session: &Session, archive: &OpenArchive) -> Option<String> {
    let name = archive.metadata.name.as_str()?;
    let mut before = session.archives().into_iter().rev().skip_while(|other| other.name != archive.metadata.name).skip(1);
    let is_of_series = |other: &str| !series::is_checkpoint(other) && series::of(other) == series::of(name);
    before.find_map(|other| other.name.as_str().filter(|other| is_of_series(other)).map(str::to_owned))
}
