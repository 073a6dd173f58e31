//! The verbs, one file each.

mod adopt;
mod archives;
mod backup;
#[cfg(feature = "bench")]
mod bench;
mod beside;
mod break_lock;
mod check;
mod compact;
mod config;
mod containers;
mod delete;
mod diff;
mod doctor;
mod elsewhere;
mod export_tar;
mod find;
mod import_tar;
mod info;
mod items;
mod key;
mod list;
mod ourselves;
mod output;
mod prune;
mod recreate;
mod rename;
mod restore;
mod run;
mod serve;
mod several;
mod ssh_key;
mod status;
mod trust_host;
mod undelete;

use std::sync::Arc;

use indicatif::MultiProgress;
use worldkeeper_core::Stop;
use worldkeeper_scheduler::Signals;

use crate::args::{Backup, Command};
use crate::place::Place;
use crate::report::Done;
use crate::settings::{Environment, Settings};

pub(crate) use archives::{ArchiveError, LATEST};
pub(crate) use backup::SourceProblem;
pub(crate) use beside::KeepsElse;
pub(crate) use check::{CONFIRMATION, CheckProblem};
pub(crate) use containers::ContainerError;
pub(crate) use export_tar::ExportProblem;
pub(crate) use import_tar::ImportProblem;
pub(crate) use key::KeyCopyError;
pub(crate) use output::OutputError;
pub(crate) use recreate::RecreateProblem;
pub(crate) use restore::{BLANK_HOST_PATH, BLANK_IMAGE, RestoreLines, RestoreProblem};
pub(crate) use serve::serve;
pub(crate) use ssh_key::SshKeyProblem;
pub(crate) use trust_host::TrustProblem;

/// `serve` is read as borg reads it, which is so when it is the first word.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("`serve` must be the first word: it has no settings, and options of its own")]
pub(crate) struct ServeIsNotFirst;

/// What is left after a command has done what it does once.
enum Next {
    /// Nothing.
    Ended(Done),
    /// The daemon's work, which goes on until a signal.
    Daemon(Arc<Place>),
}

/// Does what was asked for.
pub(crate) fn run(
    command: Command,
    mut settings: Settings,
    environment: Environment,
    screen: MultiProgress,
    signals: &mut Signals,
) -> anyhow::Result<Done> {
    let work = move |stop: &Stop| {
        if let Command::Adopt { repository } = &command {
            settings.name_repository(repository)?;
        }
        if command.is_about_one() {
            settings.require_one()?;
        }
        if matches!(command, Command::Serve { .. }) {
            return Err(ServeIsNotFirst.into());
        }
        // It uses no repository of ours, and none of our settings.
        #[cfg(feature = "bench")]
        if let Command::Bench(options) = &command {
            return bench::bench(options, stop).map(Next::Ended);
        }
        let place = Place::open(settings, environment, screen)?;
        let place = Arc::new(Place { bypasses_lock: command.bypasses_lock(), ..place });
        let done = match command {
            Command::Run(options) => return run::begin(place, &options, stop),
            Command::Backup(Backup { comment, .. }) => backup::backup(&place, &comment, stop),
            Command::List(options) => list::list(&place, &options, stop),
            Command::Info(options) => info::info(&place, &options, stop),
            Command::Find(options) => find::find(&place, &options, stop),
            Command::Restore(options) => restore::restore(&place, &options, stop),
            Command::Diff(options) => diff::diff(&place, &options, stop),
            Command::Rename { archive, new_name } => rename::rename(&place, &archive, &new_name, stop),
            Command::Recreate(options) => recreate::recreate(&place, &options, stop),
            Command::ExportTar(options) => export_tar::export_tar(&place, &options, stop),
            Command::ImportTar(options) => import_tar::import_tar(&place, &options, stop),
            Command::Delete(options) => delete::delete(&place, &options, stop),
            Command::Undelete { archives } => undelete::undelete(&place, &archives, stop),
            Command::Prune { dry_run } => several::each(&place, stop, |place| prune::prune(place, dry_run, stop)),
            Command::Check(options) => several::each(&place, stop, |place| check::check(place, &options, stop)),
            Command::Compact { threshold } => {
                several::each(&place, stop, |place| compact::compact(place, threshold, stop))
            }
            Command::Config(options) => config::config(&place, &options, stop),
            Command::Key(what) => key::key(&place, &what, stop),
            Command::BreakLock => break_lock::break_lock(&place, stop),
            Command::Adopt { .. } => adopt::adopt(&place, stop),
            Command::TrustHost(said) => trust_host::trust_host(&place, &said, stop),
            Command::SshKey => ssh_key::ssh_key(&place),
            Command::Status { json } => status::status(&place, json),
            Command::Doctor { json } => doctor::doctor(&place, json, stop),
            Command::Serve { .. } => Err(ServeIsNotFirst.into()),
            #[cfg(feature = "bench")]
            Command::Bench(options) => bench::bench(&options, stop),
        };
        done.map(Next::Ended)
    };
    match signals.stoppable(work)?? {
        Next::Ended(done) => Ok(done),
        Next::Daemon(place) => run::daemon(&place, signals),
    }
}
