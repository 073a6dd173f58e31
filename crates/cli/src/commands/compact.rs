//! `compact`: gives back the space of what was deleted.

use std::sync::Arc;

use worldkeeper_core::Stop;
use worldkeeper_engine::compact as compact_repository;

use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// Compacts the repository: its segments of which more than so many per cent can be freed.
pub(super) fn compact(place: &Arc<Place>, threshold_percent: u8, stop: &Stop) -> anyhow::Result<Done> {
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    let stats = compact_repository(&mut session, threshold_percent)?;
    let mut output = Output::new();
    output.line(&format!("freed {}", words::bytes(stats.freed_bytes)))?;
    output.finish()?;
    Ok(Done::Well)
}
