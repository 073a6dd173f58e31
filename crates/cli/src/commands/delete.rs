//! `delete`: archives, by name or by what the flags say of them.

use std::sync::Arc;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::Stop;
use worldkeeper_engine::{delete as delete_archives, force_delete, series};

use super::archives::{self, ArchiveError};
use super::compact::KEEPS_EVERYTHING;
use super::output::Output;
use crate::args::Delete;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::words;

/// Deletes all of the archives, or none if one is not there, or, but by `--force`, one cannot be read.
pub(super) fn delete(place: &Arc<Place>, options: &Delete, stop: &Stop) -> anyhow::Result<Done> {
    let purpose = if options.dry_run { Purpose::Read } else { Purpose::Write };
    let repository = place.existing_repository(purpose, Caller::Hand, stop)?;
    let keeps_everything = repository.keeps_everything();
    let mut session = place.session_of(repository, purpose, stop)?;
    let names: Vec<_> = if options.which.is_all() {
        options.archives.iter().map(|name| ArchiveName::from_bytes(name.as_str())).collect()
    } else {
        let mut archives = session.archives();
        // What runs that were cut off left is the next backup's to take away, as far as it is of no use any more.
        archives.retain(|archive| !archive.name.as_str().is_some_and(series::is_checkpoint));
        if options.force == 0 {
            // What nothing proves is neither counted nor taken away on its own.
            (archives, _) = archives::proven(&session, archives)?;
        }
        let archives = options.which.choose(archives, place.clock.now(), &place.zone);
        archives.into_iter().map(|archive| archive.name).collect()
    };
    let mut output = Output::new();
    if options.dry_run {
        if let Some(name) = names.iter().find(|name| session.archive_info(name).is_none()) {
            let (name, location) = (escape_bytes(name.as_bytes()), session.location());
            return Err(ArchiveError::NoSuchArchive { name, location }.into());
        }
        for name in &names {
            output.line(&format!("would delete {}", escape_bytes(name.as_bytes())))?;
        }
        output.finish()?;
        return Ok(Done::Well);
    }
    if names.is_empty() {
        output.line("no archive is as asked for: nothing is deleted")?;
        output.finish()?;
        return Ok(Done::Well);
    }
    let reporter = Reporter::new(&place.screen, "deleting");
    let delete = if options.force > 0 { force_delete } else { delete_archives };
    let stats = delete(&mut session, &names, &reporter)?;
    let deleted: Vec<_> = names.iter().map(ToString::to_string).collect();
    archives::note(place.history().deleted(&place.location(), &deleted));
    let given_back = if keeps_everything {
        KEEPS_EVERYTHING.to_owned()
    } else {
        format!("`compact` gives back up to {}", words::bytes(stats.stored_bytes))
    };
    output.line(&format!("deleted {}; {given_back}", words::count(stats.archives, "archive")))?;
    if stats.unread > 0 {
        output.line(&format!(
            "{} could not be read: what nothing else needs of it is still there, until it is cleared away by: worldkeeper \
             check --repair",
            words::count(stats.unread, "archive")
        ))?;
    }
    output.finish()?;
    Ok(Done::with(reporter.warnings()))
}
