//! `adopt`: the user's word that a repository is right although it is not as it was left.

use std::sync::Arc;

use worldkeeper_core::{RepositoryId, Stop};
use worldkeeper_engine::Trust;

use super::output::Output;
use crate::open::{AccessError, Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// Takes the repository as it is from now on.
pub(super) fn adopt(place: &Arc<Place>, stop: &Stop) -> anyhow::Result<Done> {
    let mut session = match place.session(Purpose::Adopt, Caller::Hand, stop) {
        Err(AccessError::Gone { location, id }) => return accept_gone(place, &location, id),
        session => session?,
    };
    let (location, id) = (session.location(), session.id());
    let trust = session.trust().clone();
    let is_counter_new = session.accept(&place.state)?;
    let accepted = match trust {
        Trust::Known if is_counter_new => {
            format!("the repository at {location} is as it was left, but for its counter")
        }
        Trust::Known => format!("the repository at {location} is as it was left, there was nothing to accept"),
        Trust::Suspicious(suspicion) => format!("accepted: {suspicion}"),
        Trust::Moved { from } => format!("the repository at {location} is the one that was at {from}"),
        Trust::Adopted => format!("the repository at {location} is known from now on"),
    };
    let mut output = Output::new();
    output.line(&accepted)?;
    if is_counter_new {
        output.line(
            "its file `nonce` could not be read and is made anew: the counter goes on far beyond what was used",
        )?;
    }
    let archives = words::count(session.archives().len() as u64, "archive");
    output.line(&format!("backups go on into repository {id}, {archives}"))?;
    output.finish()?;
    Ok(Done::Well)
}

/// Expects no repository any more where one was.
fn accept_gone(place: &Place, location: &str, id: RepositoryId) -> anyhow::Result<Done> {
    place.state.forget_location(location)?;
    let mut output = Output::new();
    output.line(&format!("accepted: repository {id} is not at {location} any more"))?;
    output.line("the next backup makes a new repository there")?;
    output.finish()?;
    Ok(Done::Well)
}
