//! `delete`: archives, by name.

use std::sync::Arc;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::Stop;
use worldkeeper_engine::{delete as delete_archives, force_delete};

use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::words;

/// Deletes all of the archives, or none if one is not there, or, but by `force`, one cannot be read.
pub(super) fn delete(place: &Arc<Place>, names: &[String], force: bool, stop: &Stop) -> anyhow::Result<Done> {
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    let reporter = Reporter::new(&place.screen, "deleting");
    let names: Vec<_> = names.iter().map(|name| ArchiveName::from_bytes(name.as_str())).collect();
    let delete = if force { force_delete } else { delete_archives };
    let stats = delete(&mut session, &names, &reporter)?;
    let mut output = Output::new();
    output.line(&format!(
        "deleted {}; `compact` gives back up to {}",
        words::count(stats.archives, "archive"),
        words::bytes(stats.stored_bytes)
    ))?;
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
