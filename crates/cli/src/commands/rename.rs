//! `rename`: gives an archive another name.

use std::sync::Arc;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::Stop;
use worldkeeper_engine::rename as rename_archive;

use super::archives::{self, Latest};
use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;

/// Renames an archive.
pub(super) fn rename(place: &Arc<Place>, name: &str, new_name: &ArchiveName, stop: &Stop) -> anyhow::Result<Done> {
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    let reporter = Reporter::new(&place.screen, "renaming");
    // One that is called `latest` can have another name, so that the word means one thing again.
    let (archive, done) = match archives::named(&session, name) {
        Some(archive) => (archive, Done::Well),
        None => archives::find(place, &session, name, Latest::InPlace)?,
    };
    rename_archive(&mut session, &archive.name, new_name, &reporter)?;
    archives::note(place.history().renamed(&place.location(), archive.name.to_string(), &new_name.to_string()));
    let mut output = Output::new();
    output.line(&format!("renamed {} to {new_name}", archive.name))?;
    output.finish()?;
    Ok(Done::with(reporter.warnings()).max(done))
}
