//! The verbs, one file each.

mod adopt;
mod archives;
mod backup;
mod break_lock;
mod compact;
mod containers;
mod delete;
mod list;
mod output;
mod prune;
mod restore;
mod run;
mod status;

use std::sync::Arc;

use indicatif::MultiProgress;
use worldkeeper_core::Stop;

use crate::args::Command;
use crate::place::Place;
use crate::report::Done;
use crate::settings::{Environment, Settings};

pub(crate) use archives::ArchiveError;
pub(crate) use backup::SourceMissing;
pub(crate) use containers::ContainerError;
pub(crate) use output::OutputError;
pub(crate) use restore::RestoreProblem;

/// Does what was asked for.
pub(crate) fn run(
    command: Command,
    mut settings: Settings,
    environment: Environment,
    screen: MultiProgress,
) -> anyhow::Result<Done> {
    if let Command::Adopt { repository } = &command {
        adopt::name_repository(&mut settings, repository)?;
    }
    let place = Place::open(settings, environment, screen)?;
    match command {
        Command::Run(options) => run::run(place, &options),
        Command::Backup => stoppable(place, backup::backup),
        Command::List { archive } => stoppable(place, move |place, stop| list::list(place, archive.as_deref(), stop)),
        Command::Restore(options) => stoppable(place, move |place, stop| restore::restore(place, &options, stop)),
        Command::Delete { archives } => stoppable(place, move |place, stop| delete::delete(place, &archives, stop)),
        Command::Prune { dry_run } => stoppable(place, move |place, stop| prune::prune(place, dry_run, stop)),
        Command::Compact => stoppable(place, compact::compact),
        Command::BreakLock => break_lock::break_lock(&place),
        Command::Adopt { .. } => stoppable(place, adopt::adopt),
        Command::Status => status::status(&place),
    }
}

/// Works until it is done, or a signal asks it to stop.
fn stoppable(
    place: Arc<Place>,
    work: impl FnOnce(&Arc<Place>, &Stop) -> anyhow::Result<Done> + Send + 'static,
) -> anyhow::Result<Done> {
    worldkeeper_scheduler::stoppable(move |stop| work(&place, stop))?
}
