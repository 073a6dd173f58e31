//! `diff`: what differs between two archives.

mod order;
mod words;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::{DiffOptions, Difference, Finding, are_cut_alike, diff as diff_archives};

use super::archives::{self, Latest};
use super::output::{Output, OutputError};
use crate::args::Diff;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::settings;

/// Says what differs, as `borg diff` does: a line for each item.
///
/// Source: borg 1.4 `archiver.py`, `do_diff`.
pub(super) fn diff(place: &Arc<Place>, options: &Diff, stop: &Stop) -> anyhow::Result<Done> {
    let named = options.paths.iter().map(|path| path.as_os_str().as_bytes());
    let diff_options = DiffOptions {
        selection: settings::select(&options.patterns.0, named)?,
        content_only: options.content_only,
        numeric_ids: options.numeric_ids,
        same_chunker_params: options.same_chunker_params,
    };
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    let open = |name: &str| archives::open(place, &session, name, Latest::OfAll);
    let ((old, first), (new, second)) = (open(&options.archive1)?, open(&options.archive2)?);
    match are_cut_alike(&old, &new) {
        _ if options.same_chunker_params => {}
        Some(true) => {}
        Some(false) => info!("files were cut differently in the two archives: what is in them is read and compared"),
        None => info!(
            "an archive does not say how files were cut in it: what is in them is read and compared; \
             --same-chunker-params is your word that there is no difference"
        ),
    }

    let mut output = Output::new();
    let mut write = |difference: &Difference| -> Result<(), OutputError> {
        output.line(&if options.json_lines {
            words::json_line(difference, &place.zone)
        } else {
            words::line(difference, &place.zone)
        })
    };
    let sort_keys = if options.sort { vec![order::BY_PATH] } else { options.sort_by.clone() };
    let (mut sorted, mut written, mut lost_links) = (Vec::new(), Ok(()), 0);
    let mut tell = |finding| match finding {
        Finding::Difference(difference) if !sort_keys.is_empty() => sorted.push(difference),
        Finding::Difference(difference) if written.is_ok() => written = write(&difference),
        Finding::Difference(_) => {}
        Finding::LostLink { path, source } => {
            lost_links += 1;
            let (path, source) = (escape_bytes(&path), escape_bytes(&source));
            warn!("{path} is a link to {source}, which was not compared: whether it differs is not known");
        }
    };
    diff_archives(&session, &old, &new, &diff_options, &mut tell)?;
    written?;
    order::sort(&mut sorted, &sort_keys);
    sorted.iter().try_for_each(write)?;
    output.finish()?;
    let found = archives::warn_of_unmatched(&new, &diff_options.selection);
    Ok(Done::with(lost_links).max(found).max(first).max(second))
}
