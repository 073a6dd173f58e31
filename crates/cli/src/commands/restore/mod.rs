//! `restore`: puts what an archive holds back, or elsewhere.
//!
//! Without `--to` it goes where the sources are now, and only with `--overwrite` if something is there. With `--stdout`
//! it needs no place; with `--dry-run` it is what would go there, and nothing need be free.

mod durable;
mod missing;
mod origin;
mod sidecar;
mod surplus;
mod target;
mod volumes;
mod whole;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::{
    Destination, ExtractError, ExtractOptions, ExtractStats, RestoreOptions, Selection, SessionError, Wanted, extract,
};
use worldkeeper_scheduler::history::{Checked, Damage, Verdict};

use super::archives::{self, Latest};
use super::containers;
use super::output::{Output, OutputError};
use crate::args::Restore;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::{settings, words};
use origin::Part;
pub(super) use origin::stored_path;
pub(crate) use sidecar::Lines as RestoreLines;
pub(crate) use volumes::{BLANK_HOST_PATH, BLANK_IMAGE};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreProblem {
    /// Something is there.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// Something is where a path that was named would go.
    #[error("{} is there", .0.display())]
    Exists(PathBuf),
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
        /// What can.
        lines: RestoreLines,
    },
    /// It ended before all was there.
    #[error("what is restored into {} is not complete{}", path.display(), again(source))]
    Incomplete {
        /// Where.
        path: PathBuf,
        /// Why it ended.
        source: ExtractError,
    },
    /// What it lists is not all known, and what is there would be replaced by half of it.
    #[error("the list of items of archive {archive} is damaged: nothing was restored")]
    List {
        /// Its name.
        archive: String,
        /// The newest of those of its series that are older.
        older: Option<String>,
        /// What is wrong with the list.
        source: Box<SessionError>,
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

/// What helps, unless it is the archive that is damaged.
fn again(error: &ExtractError) -> &'static str {
    if error.is_damage() { "" } else { ": restore it again, with --overwrite" }
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
    let named = paths.iter().map(Vec::as_slice).filter(|path| !path.is_empty()).chain(patterns.iter().copied());
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
    let latest = if in_place { Latest::InPlace } else { Latest::OfNoOther };
    let (archive, found) = archives::open(place, &session, &options.archive, latest)?;
    let name = escape_bytes(archive.metadata.name.as_bytes());
    let targets = options.to.as_ref().map_or(sources.as_slice(), std::slice::from_ref);
    if writes_files && in_place && options.archive == archives::LATEST {
        whole::require_no_new_world(&session, &archive)?;
    }
    if writes_files {
        // What is named by its path, and keeps that name, is in the way of nothing else.
        let has_patterns = !patterns.is_empty() || !options.patterns.0.is_empty();
        let are_paths = !has_patterns && options.strip_components == 0 && !paths.iter().any(Vec::is_empty);
        let named: Vec<_> = match options.to {
            _ if !are_paths || paths.is_empty() => Vec::new(),
            None => parts.clone(),
            Some(_) => parts.iter().map(|part| Part { root: part.root.clone(), paths: paths.clone() }).collect(),
        };
        target::require_free(place, targets, &named, options, &name)?;
        if options.overwrite && in_place {
            whole::require_list(&session, &archive)?;
        }
    }
    let may_run = in_place && writes_files && warn_of_game(place)?;

    let reporter = Reporter::new(&place.screen, "restoring").listing(options.list);
    let mut total = ExtractStats::default();
    // Not the buffered one: what is left in that at the end goes nowhere, and nobody hears of it.
    let raw_output = || io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(OutputError);
    let mut output = options.stdout.then(raw_output).transpose()?;
    for Part { root, paths } in parts.clone() {
        let (selection, strip_components) = (selection.clone(), options.strip_components);
        let wanted = Wanted { selection, within: paths, strip_components };
        let destination = if let Some(output) = &mut output {
            Destination::Stream(output)
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
        total.add(extracted.map_err(|source| target::incomplete(targets, writes_files, source))?);
    }
    let settled = if writes_files { durable::settle(&parts) } else { Ok(()) };
    reporter.end();
    let unmatched: Vec<_> = selection.unmatched().iter().map(|path| escape_bytes(path)).collect();
    if total.files + total.others + total.failed + total.left_out == 0 && !selection.is_everything() {
        let wanted = if unmatched.is_empty() { "what was asked for".to_owned() } else { unmatched.join(", ") };
        return Err(RestoreProblem::NothingMatches { archive: name, wanted }.into());
    }
    let found = found.max(archives::warn_of_unmatched(&archive, &selection));
    missing::warn_of(&total);
    // One that was named is what somebody wants, whatever is in it.
    let is_empty = total.files + total.failed == 0 && selection.is_everything() && options.archive == archives::LATEST;
    if is_empty {
        warn!("archive {name} holds no file at all: `worldkeeper list` shows those before it");
    }
    let is_mixed = in_place && means_all && writes_files && surplus::warn_of(&session, &archive, &parts)? > 0;
    if total.damaged > 0 {
        // Who reads all objects finds it again, and whether it is mended.
        let damage_place = Checked { archives: true, data: true, ..Checked::default() };
        let damage = Damage { found: place.clock.now(), problems: total.damaged, place: damage_place };
        archives::note_verdict(place, &Verdict::Damaged(damage));
    }
    settled?;
    let done = if options.dry_run { "could restore" } else { "restored" };
    let summary = format!("{done} {}, {}, from {name}", words::count(total.files, "file"), words::bytes(total.size));
    if options.stdout {
        info!("{summary}");
    } else {
        let mut output = Output::new();
        output.line(&summary)?;
        output.finish()?;
    }
    Ok(if total.has_warnings() || is_mixed || is_empty || may_run { Done::WithWarnings } else { found })
}

/// A game that runs writes its own state over what is restored under it. Returns whether one may.
fn warn_of_game(place: &Place) -> anyhow::Result<bool> {
    let games = containers::that_may_run(place)?;
    for game in &games {
        warn!("{game}: what is restored under a game that runs is lost when it saves. Better stop it first");
    }
    Ok(!games.is_empty())
}
