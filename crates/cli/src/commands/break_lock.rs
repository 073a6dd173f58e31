//! `break-lock`: removes the repository's lock, whoever holds it.

use worldkeeper_core::Stop;

use super::output::Output;
use crate::place::Place;
use crate::report::Done;

/// Removes the lock, and says what that means.
pub(super) fn break_lock(place: &Place, stop: &Stop) -> anyhow::Result<Done> {
    let was_locked = place.break_lock(stop)?;
    let mut output = Output::new();
    if was_locked {
        output.line(&format!("the repository at {} is not locked any more", place.location()))?;
        output.line(
            "Had anybody been at work on it, both would now write at once, and damage it: watch the next backup.",
        )?;
    } else {
        output.line(&format!("the repository at {} was not locked", place.location()))?;
    }
    output.finish()?;
    Ok(Done::Well)
}
