//! `compact`: gives back the space of what was deleted.

use std::sync::Arc;

use worldkeeper_core::Stop;
use worldkeeper_engine::compact as compact_repository;

use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// What is said where nothing is freed, and somebody waits for it.
pub(super) const KEEPS_EVERYTHING: &str = "the repository is append-only: what is deleted still takes its space";

/// Compacts the repository: its segments of which more than so many per cent can be freed.
pub(super) fn compact(place: &Arc<Place>, threshold_percent: u8, stop: &Stop) -> anyhow::Result<Done> {
    let repository = place.existing_repository(Purpose::Write, Caller::Hand, stop)?;
    let keeps_everything = repository.keeps_everything();
    let mut session = place.session_of(repository, Purpose::Write, stop)?;
    let stats = compact_repository(&mut session, threshold_percent)?;
    let mut output = Output::new();
    output.line(&format!("freed {}", words::bytes(stats.freed_bytes)))?;
    if keeps_everything {
        output.line(&format!("{KEEPS_EVERYTHING}, until that is ended by: worldkeeper config append_only 0"))?;
    }
    output.finish()?;
    Ok(Done::Well)
}
