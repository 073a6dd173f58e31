//! `backup`: one archive, now. And what a backup is made of, for `run` too.

use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::{env, fs, io, thread};

use worldkeeper_core::Stop;
use worldkeeper_engine::{CreateOptions, Monitor, OldCheckpoints, ask, username};
use worldkeeper_scheduler::job::BackupJob;

use super::beside::DaemonSettings;
use super::elsewhere::Elsewhere;
use super::{containers, several};
use crate::open::{Caller, Opener};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::{self, Done};

/// Files that a game holds locked, and whose content means nothing after a restore.
pub(super) const GAME_LOCKS: [&str; 1] = ["session.lock"];

/// What is named as a source holds nothing to back up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceProblem {
    /// It is not there, or cannot be looked at or into.
    #[error("the source {} cannot be backed up", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The archive would hold the link, as stock's does, and nothing of the world.
    #[error("the source {} is a symbolic link, and a link is all that would be backed up", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
}

/// Makes one archive in each repository. Whoever asks for it by hand gets it whether the game runs or not.
pub(super) fn backup(place: &Arc<Place>, comment: &str, stop: &Stop) -> anyhow::Result<Done> {
    once(place, Caller::Hand, comment, stop)
}

/// Makes one archive in each repository. Only what runs on schedule is tidied up on schedule: by hand, `prune` does it.
pub(super) fn once(place: &Arc<Place>, caller: Caller, comment: &str, stop: &Stop) -> anyhow::Result<Done> {
    require_sources(place, stop)?;
    containers::require(place)?;
    if caller == Caller::Once {
        DaemonSettings::require_same_retention(place)?;
        DaemonSettings::note_once(place);
    }
    several::each(place, stop, |place| archive(place, caller, comment, stop))
}

/// Makes one archive in one repository.
fn archive(place: &Arc<Place>, caller: Caller, comment: &str, stop: &Stop) -> anyhow::Result<Done> {
    let reporter = Arc::new(Reporter::new(&place.screen, "backing up"));
    let mut job = job(place, caller, Arc::clone(&reporter) as Arc<dyn Monitor>);
    comment.clone_into(&mut job.options.comment);
    if caller == Caller::Hand {
        job.rules = None;
    }
    let made = job.backup(stop)?;
    Ok(Done::with(made.warnings().max(reporter.warnings())))
}

/// Requires that there is something to back up, before anything is made or locked.
pub(super) fn require_sources(place: &Place, stop: &Stop) -> anyhow::Result<()> {
    let (limit, read_special) = (place.settings.create.read_timeout.value, place.settings.create.read_special.value);
    for path in &place.settings.sources.value {
        let own_path = path.clone();
        ask(path, &place.clock, stop, limit, move || require_source(&own_path, read_special))??;
    }
    Ok(())
}

/// Requires that every source can be read, too. A backup does without those that cannot, as long as one can.
pub(super) fn require_readable_sources(place: &Place, stop: &Stop) -> anyhow::Result<()> {
    require_sources(place, stop)?;
    let limit = place.settings.create.read_timeout.value;
    for path in &place.settings.sources.value {
        let own_path = path.clone();
        ask(path, &place.clock, stop, limit, move || require_readable(&own_path))??;
    }
    Ok(())
}

fn require_readable(path: &Path) -> Result<(), SourceProblem> {
    let opened = if path.is_dir() {
        fs::read_dir(path).map(drop)
    } else if path.is_file() {
        fs::File::open(path).map(drop)
    } else {
        // To open what is no file can mean something.
        Ok(())
    };
    opened.map_err(|source| SourceProblem::Missing { path: path.to_owned(), source })
}

fn require_source(path: &Path, read_special: bool) -> Result<(), SourceProblem> {
    let missing = |source| SourceProblem::Missing { path: path.to_owned(), source };
    // A slash at the end would lead through a link; what is archived is the link all the same.
    let plain: PathBuf = path.components().collect();
    if fs::symlink_metadata(&plain).map_err(missing)?.is_symlink() {
        let target = path.canonicalize().map_err(missing)?;
        if read_special && is_special(&target.metadata().map_err(missing)?) {
            return Ok(());
        }
        return Err(SourceProblem::Link { path: path.to_owned(), target });
    }
    Ok(())
}

/// What can be read and is no file.
fn is_special(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}

/// What is done when a backup is due.
pub(super) fn job(place: &Arc<Place>, caller: Caller, monitor: Arc<dyn Monitor>) -> BackupJob {
    let is_partial = DaemonSettings::holds_else(place, caller);
    let old_checkpoints = if is_partial { OldCheckpoints::Stay } else { OldCheckpoints::Go };
    BackupJob {
        repository: Box::new(Opener { place: Arc::clone(place), caller, told: Once::new() }),
        options: CreateOptions { old_checkpoints, ..create_options(place) },
        rules: Some(place.settings.retention.value.clone()),
        zone: place.zone.clone(),
        history: place.history(),
        notes_begin: caller == Caller::Daemon,
        is_partial,
        is_presumed: AtomicBool::default(),
        whereabouts: Elsewhere::question(place),
        hint: report::advice,
        monitor,
        clock: Arc::clone(&place.clock),
        began: place.began,
    }
}

/// How an archive is made here, and of what.
pub(super) fn create_options(place: &Place) -> CreateOptions {
    let settings = &place.settings;
    CreateOptions {
        old_checkpoints: OldCheckpoints::default(),
        series: settings.name.value.clone(),
        sources: settings.sources.value.clone(),
        left_out: settings
            .repositories
            .all()
            .filter_map(|repository| repository.location.local())
            .map(|directory| (directory.to_owned(), "the repository"))
            .chain([(place.state.path().to_owned(), "the state directory")])
            .collect(),
        patterns: settings.patterns.clone(),
        tags: settings.create.tags.to_tags(),
        left_out_names: GAME_LOCKS.map(str::to_owned).to_vec(),
        compression: settings.compression.value,
        verify: settings.create.verify.value,
        chunker_params: settings.create.chunker_params.value,
        sparse: settings.create.sparse.value,
        one_file_system: settings.create.one_file_system.value,
        read_special: settings.create.read_special.value,
        formats: if settings.create.world_checks.value { worldkeeper_games::FORMATS } else { &[] },
        cuts: if settings.create.world_cuts.value { worldkeeper_games::FORMATS } else { &[] },
        checkpoint_interval: settings.create.checkpoint_interval.value,
        read_timeout: settings.create.read_timeout.value,
        comment: String::new(),
        cmdline: env::args_os().map(OsStringExt::into_vec).collect(),
        hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        username: username(),
        cwd: env::current_dir().map(|cwd| cwd.as_os_str().as_bytes().to_vec()).unwrap_or_default(),
        sealers: thread::available_parallelism().map_or(1, Into::into),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("world")).unwrap();
        symlink("world", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        assert!(require_source(&at("world"), false).is_ok());
        symlink("/dev/null", at("device")).unwrap();
        assert!(require_source(&at("device"), false).is_err());
        assert!(require_source(&at("device"), true).is_ok());
        for link in ["link", "link/", "link/."] {
            let problem = require_source(&at(link), true).unwrap_err();
            let world = at("world").canonicalize().unwrap();
            assert!(matches!(&problem, SourceProblem::Link { target, .. } if *target == world), "{link}: {problem}");
        }
        for missing in ["dangling", "wrold"] {
            let problem = require_source(&at(missing), false).unwrap_err();
            assert!(matches!(problem, SourceProblem::Missing { .. }), "{missing}: {problem}");
        }
    }
}
