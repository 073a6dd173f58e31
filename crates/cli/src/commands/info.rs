//! `info`: how much the repository holds and takes, and what an archive says of itself.

mod archive;
mod repository;

use std::sync::Arc;

use serde_json::{Value, json};
use worldkeeper_core::Stop;
use worldkeeper_crypto::KeyStorage;
use worldkeeper_engine::{RepositoryStats, Session, repository_stats};

use super::archives::{self, Latest};
use super::items::json_whole_moment;
use super::output::Output;
use crate::args::Info;
use crate::json;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::words;
use archive::About;
use repository::Held;

/// Tells about the repository, or about archives, as `borg info` does.
///
/// Source: borg 1.4 `archiver.py`, `do_info`.
pub(super) fn info(place: &Arc<Place>, options: &Info, stop: &Stop) -> anyhow::Result<Done> {
    let repository = place.existing_repository(Purpose::Read, Caller::Hand, stop)?;
    let is_about_archives = options.archive.is_some() || !options.archives.is_all();
    let held = (!is_about_archives).then(|| Held::of(&repository)).transpose()?;
    let mut session = place.session_of(repository, Purpose::Read, stop)?;
    let reporter = Reporter::new(&place.screen, "reading");
    let (text, left_alone) = if let Some(held) = held {
        let stats = repository_stats(&mut session, &reporter)?;
        let text = if options.json {
            json::document(&held.json(place, &session, &stats)?)
        } else {
            held.text(&session, &stats).join("\n")
        };
        (text, 0)
    } else {
        about_archives(place, options, &mut session, &reporter)?
    };
    reporter.end();
    let mut output = Output::new();
    if text.is_empty() {
        tracing::info!("no archive is as asked for");
    } else {
        output.line(&text)?;
    }
    output.finish()?;
    Ok(Done::with(reporter.warnings() + left_alone))
}

/// What is to be said of the archives that are meant, and how many are left alone.
fn about_archives(
    place: &Place,
    options: &Info,
    session: &mut Session,
    reporter: &Reporter,
) -> anyhow::Result<(String, u64)> {
    let (chosen, left_alone) = if let Some(name) = &options.archive {
        let (archive, done) = archives::find(place, session, name, Latest::OfAll)?;
        (vec![archive], u64::from(done == Done::WithWarnings))
    } else {
        let (proven, left_alone) = archives::proven(session, session.archives())?;
        (options.archives.choose(proven, place.clock.now(), &place.zone), left_alone)
    };
    let about = chosen.iter().map(|archive| About::of(session, archive, reporter)).collect::<Result<Vec<_>, _>>()?;
    if !options.json {
        let texts: Vec<_> = about.iter().map(|about| about.text(&place.zone).join("\n")).collect();
        return Ok((texts.join("\n\n"), left_alone));
    }
    let stats = repository_stats(session, reporter)?;
    let mut document = basics(place, session, &stats)?;
    document["archives"] = about.iter().map(|about| about.json(&place.zone)).collect();
    Ok((json::document(&document), left_alone))
}

/// What stock says of the repository whatever it was asked about.
fn basics(place: &Place, session: &Session, stats: &RepositoryStats) -> anyhow::Result<Value> {
    let mut encryption = json!({"mode": session.mode().to_string()});
    if session.mode().key_storage() == KeyStorage::KeyFile
        && let Some(path) = place.key_files.path_of(session.id())?
    {
        encryption["keyfile"] = path.display().to_string().into();
    }
    Ok(json!({
        "cache": {
            "path": state_directory(place, session),
            "stats": {
                "total_size": stats.size,
                "total_csize": stats.csize,
                "unique_size": stats.unique_size,
                "unique_csize": stats.unique_csize,
                "total_unique_chunks": stats.unique_chunks,
                "total_chunks": stats.chunks,
            },
        },
        "encryption": encryption,
        "repository": {
            "id": session.id().to_string(),
            "last_modified": json_whole_moment(session.last_modified(), &place.zone),
            "location": session.location(),
        },
    }))
}

/// Where we keep what we know of the repository: what stock has in its cache and in its security directory.
fn state_directory(place: &Place, session: &Session) -> String {
    place.state.repository(session.id()).path().display().to_string()
}

/// A line of the table of sizes.
fn sizes(what: &str, [original, compressed, deduplicated]: [u64; 3]) -> String {
    let [original, compressed, deduplicated] = [original, compressed, deduplicated].map(words::bytes);
    format!("{what:<15}{original:>15}{compressed:>15}{deduplicated:>15}")
}

/// What stands above it.
fn sizes_header() -> String {
    format!("{:<15}{:>15}{:>15}{:>15}", "", "original", "compressed", "deduplicated")
}
