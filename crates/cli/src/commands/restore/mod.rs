//! `restore`: puts what an archive holds back, or elsewhere.
//!
//! Without `--to` it goes where the sources are now, and only with `--overwrite` if something is there. With `--stdout`
//! it needs no place; with `--dry-run` it is what would go there, and nothing need be free.

mod missing;
mod origin;
mod sidecar;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{StatVfsMountFlags, statvfs};
use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_docker::State;
use worldkeeper_engine::{
    Destination, ExtractError, ExtractOptions, ExtractStats, RestoreOptions, Selection, Wanted, extract,
};
use worldkeeper_scheduler::history::{Checked, Damage, Verdict};

use super::archives::{self, Latest};
use super::containers;
use super::output::Output;
use crate::args::Restore;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::rights::require_writable;
use crate::{settings, words};
use origin::Part;
pub(super) use origin::stored_path;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreProblem {
    /// Something is there.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The target is no directory, or cannot be looked at.
    #[error("cannot restore into {}", path.display())]
    Target {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing can be written there.
    #[error("{} is mounted read-only", path.display())]
    ReadOnly {
        /// Where.
        path: PathBuf,
        /// A command that can.
        command: String,
    },
    /// It ended before all was there.
    #[error("what is restored into {} is not complete: restore it again, with --overwrite", path.display())]
    Incomplete {
        /// Where.
        path: PathBuf,
        /// Why it ended.
        source: ExtractError,
    },
    /// It would take the place of a link.
    #[error("{} is a symbolic link: what is restored would take its place, and not go where it leads", .0.display())]
    Link(PathBuf),
    /// The archive's content has no place here.
    #[error("{path} is in none of the sources, so there is no original place to put it")]
    NoOrigin {
        /// As in the archive.
        path: String,
    },
    /// Nothing of what was asked for is in the archive.
    #[error("archive {archive} holds nothing of {wanted}")]
    NothingMatches {
        /// Its name.
        archive: String,
        /// What was asked for.
        wanted: String,
    },
}

/// Restores an archive, or some of what is in it.
pub(super) fn restore(place: &Arc<Place>, options: &Restore, stop: &Stop) -> anyhow::Result<Done> {
    let (patterns, paths): (Vec<_>, Vec<_>) =
        options.paths.iter().map(|path| path.as_os_str().as_bytes()).partition(|path| Selection::is_pattern(path));
    let paths: Vec<_> = paths.into_iter().map(|path| stored_path(Path::new(OsStr::from_bytes(path)))).collect();
    let writes_files = !options.stdout && !options.dry_run;
    let in_place = !options.stdout && options.to.is_none();
    let sources = &place.settings.sources.value;
    let parts = match &options.to {
        Some(target) => {
            let wrong = |error| RestoreProblem::Target { path: target.clone(), source: io::Error::other(error) };
            vec![Part { root: settings::path(target.as_os_str()).map_err(wrong)?, paths: Vec::new() }]
        }
        None if in_place => origin::parts(sources, &paths)
            .and_then(|parts| {
                // A pattern means what it matches, from whichever source that came.
                if patterns.is_empty() { Ok(parts) } else { origin::parts(sources, &[]) }
            })
            .map_err(|path| RestoreProblem::NoOrigin { path: escape_bytes(&path) })?,
        None => vec![Part { root: PathBuf::new(), paths: Vec::new() }],
    };
    let means_all = paths.is_empty() && patterns.is_empty() && options.patterns.0.is_empty();
    // What holds all of the archive names nothing in particular.
    let named = paths.iter().map(Vec::as_slice).filter(|path| !path.is_empty()).chain(patterns);
    let mut selection = settings::select(&options.patterns.0, named)?;
    if means_all && parts.iter().all(|part| !part.paths.is_empty()) {
        // The sources are meant, then: an archive of others has nothing for them.
        parts.iter().flat_map(|part| &part.paths).for_each(|path| selection.include_path(path));
    }
    if in_place {
        // What is put back would take the place of the link, and not go to where the game is now.
        let is_wanted = |source: &Path| {
            let source = stored_path(source);
            let source = Path::new(OsStr::from_bytes(&source));
            let mut wanted = paths.iter().map(|path| Path::new(OsStr::from_bytes(path)));
            paths.is_empty() || wanted.any(|path| path.starts_with(source) || source.starts_with(path))
        };
        let is_link = |source: &&PathBuf| source.components().collect::<PathBuf>().is_symlink();
        if let Some(path) = sources.iter().filter(|source| is_wanted(source)).find(is_link) {
            return Err(RestoreProblem::Link(path.clone()).into());
        }
    }
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    // In a repository of several games, another one's world must not come over this one.
    let latest = if in_place { Latest::OfOnlySeries } else { Latest::OfAll };
    let archive = archives::open(place, &session, &options.archive, latest)?;
    let targets = options.to.as_ref().map_or(sources.as_slice(), std::slice::from_ref);
    if writes_files {
        // All of the target is looked at before any of it is touched.
        for target in targets {
            require_free(place, target, options.overwrite)?;
        }
    }
    if writes_files && !options.overwrite {
        // Something has to be made in it. Of the sources, not all need be meant.
        options.to.as_deref().map_or(Ok(()), require_takes_files)?;
    }
    if in_place && writes_files {
        warn_of_running_game(place)?;
    }

    let name = escape_bytes(archive.metadata.name.as_bytes());
    let reporter = Reporter::new(&place.screen, "restoring").listing(options.list);
    let mut total = ExtractStats::default();
    let mut stdout = io::stdout();
    for Part { root, paths } in parts {
        let (selection, strip_components) = (selection.clone(), options.strip_components);
        let wanted = Wanted { selection, within: paths, strip_components };
        let destination = if options.stdout {
            Destination::Stream(&mut stdout)
        } else if options.dry_run {
            Destination::Nowhere
        } else {
            info!("restoring {name} into {}", root.display());
            Destination::Directory(&root)
        };
        let Restore { numeric_ids, sparse, devices, setuid, .. } = *options;
        let restore = RestoreOptions { numeric_ids, sparse, devices, setuid };
        let extract_options = ExtractOptions { wanted, restore, ..ExtractOptions::default() };
        let is_new = !root.exists();
        let extracted = extract(&session, &archive, destination, &extract_options, &reporter);
        if is_new && !extracted.as_ref().is_ok_and(|stats| stats.files + stats.others > 0) {
            // Nothing may be there yet, or nothing was meant to be.
            let _ = fs::remove_dir(&root);
        }
        total.add(extracted.map_err(|source| incomplete(targets, writes_files, source))?);
    }
    reporter.end();
    let unmatched: Vec<_> = selection.unmatched().iter().map(|path| escape_bytes(path)).collect();
    if total.files + total.others + total.failed + total.left_out == 0 && !selection.is_everything() {
        let wanted = if unmatched.is_empty() { "what was asked for".to_owned() } else { unmatched.join(", ") };
        return Err(RestoreProblem::NothingMatches { archive: name, wanted }.into());
    }
    let found = archives::warn_of_unmatched(&archive, &selection);
    missing::warn_of(&total);
    if total.damaged > 0 {
        // Who reads all objects finds it again, and whether it is mended.
        let damage_place = Checked { archives: true, data: true, ..Checked::default() };
        let damage = Damage { found: place.clock.now(), problems: total.damaged, place: damage_place };
        archives::note_verdict(place, &Verdict::Damaged(damage));
    }
    let done = if options.dry_run { "could restore" } else { "restored" };
    let summary = format!("{done} {}, {}, from {name}", words::count(total.files, "file"), words::bytes(total.size));
    if options.stdout {
        info!("{summary}");
    } else {
        let mut output = Output::new();
        output.line(&summary)?;
        output.finish()?;
    }
    Ok(if total.has_warnings() { Done::WithWarnings } else { found })
}

/// Says that not all is there, if something may be.
fn incomplete(targets: &[PathBuf], writes_files: bool, source: ExtractError) -> anyhow::Error {
    let has_some = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    match targets.iter().find(|path| writes_files && has_some(path)) {
        Some(path) => RestoreProblem::Incomplete { path: path.clone(), source }.into(),
        None => source.into(),
    }
}

/// Requires that a directory can be written to, and that nothing is in it unless that may be replaced.
fn require_free(place: &Place, target: &Path, overwrite: bool) -> Result<(), RestoreProblem> {
    let failed = |source| RestoreProblem::Target { path: target.to_owned(), source };
    let absolute = std::path::absolute(target).map_err(failed)?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let mount = statvfs(existing).map_err(|error| failed(error.into()))?;
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(RestoreProblem::ReadOnly { path: target.to_owned(), command: sidecar::command(place, &absolute) });
    }
    if overwrite {
        return Ok(());
    }
    match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(RestoreProblem::NotEmpty(target.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Requires that something can be made in a directory, or that itself can be made.
fn require_takes_files(target: &Path) -> Result<(), RestoreProblem> {
    let failed = |source| RestoreProblem::Target { path: target.to_owned(), source };
    let absolute = std::path::absolute(target).map_err(failed)?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    require_writable(existing).map_err(failed)
}

/// A game that runs writes its own state over what is restored under it.
fn warn_of_running_game(place: &Place) -> anyhow::Result<()> {
    for (name, state) in containers::states(place)? {
        if state.is_ok_and(|container| container.state == State::Running) {
            warn!("container {name} runs: what is restored under it is lost when it saves. Better stop it first");
        }
    }
    Ok(())
}
