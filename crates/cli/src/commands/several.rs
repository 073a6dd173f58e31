//! What is done to all repositories does to each what it would do to it alone: one that fails leaves the others alone.

use std::sync::Arc;

use worldkeeper_core::Stop;

use super::output::{Output, OutputError};
use crate::place::Place;
use crate::report::{self, Done};

/// Not all repositories fared well; what was wrong with each is said already.
#[derive(Debug, thiserror::Error)]
#[error("{} of {of} repositories failed: {}", failed.len(), failed.join(", "))]
pub(crate) struct SomeFailed {
    failed: Vec<String>,
    of: usize,
}

/// Does the same to each repository, in turn. Where there are several, says which.
///
/// # Errors
///
/// The error, if there is one repository. [`SomeFailed`] after all had their turn; at once, if nobody reads what is said or a
/// stop was asked for.
pub(super) fn each(
    place: &Arc<Place>,
    stop: &Stop,
    work: impl Fn(&Arc<Place>) -> anyhow::Result<Done>,
) -> anyhow::Result<Done> {
    let places = place.each();
    if let [only] = &places[..] {
        return work(only);
    }
    let (mut worst, mut failed) = (Done::Well, Vec::new());
    for place in &places {
        let mut output = Output::new();
        output.line(&format!("{}: {}", place.name(), place.location()))?;
        output.finish()?;
        match work(place) {
            Ok(done) => worst = worst.max(done),
            Err(error) if stop.is_requested() || error.is::<OutputError>() => return Err(error),
            Err(error) => {
                report::say(&error.context(format!("repository {}", place.name())));
                failed.push(place.name());
            }
        }
    }
    if failed.is_empty() { Ok(worst) } else { Err(SomeFailed { failed, of: places.len() }.into()) }
}
