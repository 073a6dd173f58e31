//! `run`: the daemon, or one archive as it would make it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::Monitor;
use worldkeeper_scheduler::job::BackupJob;
use worldkeeper_scheduler::policy::UNKNOWN_LIMIT;
use worldkeeper_scheduler::{Daemon, GameState, Job, JobOutcome, Signals, Watched};

use super::beside::DaemonSettings;
use super::elsewhere::Elsewhere;
use super::{Next, backup, containers};
use crate::args::Run;
use crate::demo;
use crate::open::Caller;
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::settings::retention_text;
use crate::words;

/// Prepares the daemon; or makes the one archive that was asked for.
pub(super) fn begin(place: Arc<Place>, options: &Run, stop: &Stop) -> anyhow::Result<Next> {
    prepare(&place, options, stop)?;
    if options.once {
        return backup::once(&place, Caller::Once, "", stop).map(Next::Ended);
    }
    Ok(Next::Daemon(place))
}

/// Backs up on schedule until a signal ends it.
pub(super) fn daemon(place: &Arc<Place>, signals: &mut Signals) -> anyhow::Result<Done> {
    let guard = place.state.claim_daemon()?;
    let limit = words::duration(UNKNOWN_LIMIT);
    containers::warn_without_socket(
        place,
        &format!("if none comes within {limit}, backups are made whether it runs or not"),
    );
    let lookout = Arc::new(Elsewhere::begin(place));
    DaemonSettings::note(place);
    let daemon = Daemon {
        interval: place.settings.interval.value,
        watch: watched(place, lookout),
        jobs: place.each().iter().map(|place| (place.name(), told_job(place))).collect(),
        clock: Arc::clone(&place.clock),
    };
    daemon.run(signals, guard)?;
    Ok(Done::Well)
}

/// What is watched, if anything is named. The socket may come after us, as both begin with the machine.
fn watched(place: &Place, lookout: Arc<Elsewhere>) -> Option<Watched> {
    let settings = &place.settings;
    let (endpoint, names) = (settings.docker.value.clone(), settings.containers.value.clone());
    let is_optional = settings.lack_docker();
    (!names.is_empty()).then_some(Watched { endpoint, names, lookout, is_optional })
}

/// Makes what is to be made, and says what is worth saying, before the first backup.
fn prepare(place: &Place, options: &Run, stop: &Stop) -> anyhow::Result<()> {
    say_what_is_done(place);
    if options.demo {
        make_missing_worlds(place)?;
    }
    backup::require_sources(place, stop)?;
    for place in place.each() {
        place.require_makeable(stop)?;
    }
    if place.state_is_fleeting() {
        warn!(
            "the state directory {} goes when this container goes, and what is in it: a generated passphrase, the key's \
             copy, caches. Mount a volume there",
            place.state.path().display()
        );
    }
    Ok(())
}

/// Makes the sources that do not exist, with a sample world in each.
fn make_missing_worlds(place: &Place) -> anyhow::Result<()> {
    for source in &place.settings.sources.value {
        if !source.exists() {
            let world: &Path = source;
            demo::make_world(world).with_context(|| format!("cannot make the sample world {}", world.display()))?;
            info!("made a sample world in {}", world.display());
        }
    }
    Ok(())
}

/// The first line of the log: what this run does, so that a wrong setting shows at once. When it does so is the next.
fn say_what_is_done(place: &Place) {
    let settings = &place.settings;
    let sources: Vec<_> = settings.sources.value.iter().map(|source| source.display().to_string()).collect();
    let repositories: Vec<_> = settings.repositories.chosen.value.iter().map(ToString::to_string).collect();
    info!(
        "worldkeeper {}: backs up {} as {} into {}, keeps {}",
        env!("CARGO_PKG_VERSION"),
        sources.join(", "),
        settings.name.value,
        repositories.join(", "),
        retention_text(&settings.retention.value),
    );
}

fn told_job(place: &Arc<Place>) -> Arc<dyn Job> {
    let reporter = Arc::new(Reporter::new(&place.screen, "backing up"));
    let job = backup::job(place, Caller::Daemon, Arc::clone(&reporter) as Arc<dyn Monitor>);
    Arc::new(ToldJob { place: Arc::clone(place), job, reporter })
}

/// A job whose progress is told anew each time.
struct ToldJob {
    place: Arc<Place>,
    job: BackupJob,
    reporter: Arc<Reporter>,
}

impl Job for ToldJob {
    fn run(&self, stop: &Stop) -> JobOutcome {
        self.reporter.begin();
        let outcome = self.job.run(stop);
        self.reporter.end();
        outcome
    }

    fn game_is(&self, known: GameState) {
        self.place.game_may_run(known.may_run());
        self.job.game_is(known);
    }

    fn last_good(&self) -> Option<Timestamp> {
        self.job.last_good()
    }

    fn cut_off(&self) -> u32 {
        self.job.cut_off()
    }
}
