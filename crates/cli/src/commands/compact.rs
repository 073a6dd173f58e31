//! `compact`: gives back the space of what was deleted.

use std::sync::Arc;

use worldkeeper_core::Stop;
use worldkeeper_engine::{DEFAULT_THRESHOLD_PERCENT, compact as compact_repository};

use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// Compacts the repository.
pub(super) fn compact(place: &Arc<Place>, stop: &Stop) -> anyhow::Result<Done> {
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    let stats = compact_repository(&mut session, DEFAULT_THRESHOLD_PERCENT)?;
    let mut output = Output::new();
    output.line(&format!("freed {}", words::bytes(stats.freed_bytes)))?;
    output.finish()?;
    Ok(Done::Well)
}
