//! `config`: the settings that the repository itself holds.

use std::sync::Arc;

use worldkeeper_core::Stop;

use super::output::Output;
use crate::args::Config;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;

/// Prints settings of the repository, or changes one, as `borg config` does.
pub(super) fn config(place: &Arc<Place>, options: &Config, stop: &Stop) -> anyhow::Result<Done> {
    let open = |purpose| place.existing_repository(purpose, Caller::Hand, stop);
    // A server lets nobody see or change them.
    let what = "show or change its settings: that is for whoever has its directory";
    let mut output = Output::new();
    match (&options.name, &options.value) {
        (None, _) => {
            let repository = open(Purpose::Read)?;
            output.line("[repository]")?;
            for (name, value) in repository.require_local(what)?.settings() {
                output.line(&format!("{name} = {value}"))?;
            }
        }
        (Some(name), None) if !options.delete => {
            output.line(&open(Purpose::Read)?.require_local(what)?.setting(name)?)?;
        }
        (Some(name), value) => open(Purpose::Write)?.require_local(what)?.set(name, value.as_deref())?,
    }
    output.finish()?;
    Ok(Done::Well)
}
