//! `recreate`: makes archives anew, with less in them, or compressed, cut or described in another way.

use std::env;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use tracing::info;
use worldkeeper_archive::Item;
use worldkeeper_core::Stop;
use worldkeeper_engine::{RecreateOptions, Recreater, is_temporary};

use super::archives::{self, Latest};
use super::items::{SYMLINK, TYPE};
use super::output::Output;
use crate::args::Recreate;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::settings::{self, Origin, Setting};
use crate::words;

/// What was asked for would change nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecreateProblem {
    /// Everything stays as it is.
    #[error("there is nothing to do: archive {0} would be what it is")]
    NothingToDo(String),
    /// An interrupted stock left it.
    #[error("{0} is what an interrupted recreate left behind")]
    Temporary(String),
}

/// Makes an archive anew, or several, one after the other.
pub(super) fn recreate(place: &Arc<Place>, options: &Recreate, stop: &Stop) -> anyhow::Result<Done> {
    let named = options.paths.iter().map(|path| path.as_os_str().as_bytes());
    // What the environment says is meant for new archives.
    let chunker_params = match &place.settings.create.chunker_params {
        Setting { value, origin: Origin::Flag(_) } => Some(*value),
        _ => None,
    };
    let recreate_options = RecreateOptions {
        selection: settings::select(&options.patterns.0, named)?,
        compression: place.settings.compression.value,
        recompress: options.recompress,
        chunker_params,
        comment: options.comment.clone(),
        time: options.timestamp,
        cmdline: env::args_os().map(OsStringExt::into_vec).collect(),
        dry_run: options.dry_run,
    };
    let purpose = if options.dry_run { Purpose::Read } else { Purpose::Write };
    let mut session = place.session(purpose, Caller::Hand, stop)?;
    let (archives, left_alone) = if let Some(name) = &options.archive {
        let (archive, done) = archives::find(place, &session, name, Latest::InPlace)?;
        (vec![archive], u64::from(done == Done::WithWarnings))
    } else {
        let (proven, left_alone) = archives::proven(&session, session.archives())?;
        (options.archives.choose(proven, place.clock.now(), &place.zone), left_alone)
    };
    let reporter = Reporter::new(&place.screen, "recreating");
    let mut recreater = Recreater::new(&recreate_options);
    let mut output = Output::new();
    for archive in archives {
        let name = escape_bytes(archive.name.as_bytes());
        if is_temporary(&archive.name) {
            if options.archive.is_some() {
                return Err(RecreateProblem::Temporary(name).into());
            }
            continue;
        }
        let mut written = Ok(());
        let mut tell = |item: &Item, stays: bool| {
            if options.list && written.is_ok() {
                written = output.line(&format!("{} {}", fate(item, stays, options.dry_run), escape_bytes(&item.path)));
            }
        };
        let stats = recreater.recreate(&mut session, &archive.name, options.target.as_ref(), &mut tell, &reporter)?;
        written?;
        match stats {
            None if options.archive.is_some() => return Err(RecreateProblem::NothingToDo(name).into()),
            None => info!("archive {name} is as it should be"),
            Some(stats) if options.dry_run => {
                output.line(&format!("{name} would lose {}", words::count(stats.left_out, "item")))?;
            }
            Some(stats) => output.line(&format!(
                "{name} is made anew: {}, {}; {} left out, {} stored",
                words::count(stats.files, "file"),
                words::bytes(stats.size),
                words::count(stats.left_out, "item"),
                words::bytes(stats.stored_bytes)
            ))?,
        }
    }
    reporter.end();
    output.finish()?;
    Ok(Done::with(reporter.warnings() + left_alone))
}

/// What becomes of an item, in a letter of stock's.
fn fate(item: &Item, stays: bool, dry_run: bool) -> char {
    match item.mode & TYPE {
        _ if !stays => 'x',
        _ if dry_run => '-',
        SYMLINK => 's',
        0o040_000 => 'd',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'f',
        0o100_000 => 'A',
        _ => '?',
    }
}
