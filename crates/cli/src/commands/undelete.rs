//! `undelete`: what deleted archives there still are, and of which others something was deleted; brings some of them back.

use std::sync::Arc;

use tracing::warn;
use worldkeeper_core::Stop;
use worldkeeper_engine::{DeletedArchives, deleted_archives, undelete as undelete_archives};

use super::archives;
use super::output::Output;
use crate::escape::{escape, escape_bytes};
use crate::open::Purpose;
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::{self, Done};
use crate::words;

/// Lists the deleted archives and the harmed ones, or brings those back that are named: all of them, or none.
pub(super) fn undelete(place: &Arc<Place>, wanted: &[String], stop: &Stop) -> anyhow::Result<Done> {
    let mut output = Output::new();
    if wanted.is_empty() {
        let session = place.session_for_undelete(Purpose::Read, stop)?;
        let DeletedArchives { archives, unread } = deleted_archives(&session)?;
        for archive in &archives {
            let held = if archive.missing.is_nothing() { "whole".to_owned() } else { archive.missing.to_string() };
            let state = if archive.is_listed { format!("damaged; what was there before is {held}") } else { held };
            let (name, time) = (escape_bytes(archive.name.as_bytes()), words::moment(archive.time, &place.zone));
            output.line(&format!("{name}  {time}  [{}]  {}", archive.id, escape(&state)))?;
        }
        output.finish()?;
        eprintln!("{} can be looked at", words::count(archives.len() as u64, "deleted archive"));
        if let Some(error) = &unread {
            warn!(
                "not all of the repository could be looked at, so there may be more, or more of them: {}",
                report::chain(error)
            );
        }
        return Ok(Done::with(unread.is_some().into()));
    }
    let mut session = place.session_for_undelete(Purpose::Write, stop)?;
    let reporter = Reporter::new(&place.screen, "undeleting");
    let stats = undelete_archives(&mut session, wanted, &reporter)?;
    for name in &stats.archives {
        output.line(&format!("{} is back", escape_bytes(name.as_bytes())))?;
    }
    output.finish()?;
    let back: Vec<_> = stats.archives.iter().map(ToString::to_string).collect();
    archives::note(place.history().undeleted(&place.location(), &back));
    Ok(Done::with(reporter.warnings()))
}
