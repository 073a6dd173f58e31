//! The archives of a repository.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use worldkeeper_engine::{ArchiveInfo, Session, series};

use crate::args::List;
use crate::commands::items::json_whole_moment;
use crate::commands::output::Output;
use crate::escape::escape_bytes;
use crate::place::Place;
use crate::report::Done;
use crate::{json, words};

/// Lists the archives that are meant, oldest first and by name first; what runs that were cut off left only if it is
/// asked for.
pub(super) fn list(place: &Place, session: &Session, options: &List) -> anyhow::Result<Done> {
    let mut archives = session.archives();
    archives
        .retain(|archive| options.consider_checkpoints || !archive.name.as_str().is_some_and(series::is_checkpoint));
    let archives = options.archives.choose(archives, place.clock.now(), &place.zone);
    let mut output = Output::new();
    if options.json {
        output.line(&json::document(&document(session, &archives, &place.zone)))?;
        output.finish()?;
        return Ok(Done::Well);
    }
    let names: Vec<_> = archives.iter().map(|archive| escape_bytes(archive.name.as_bytes())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (name, archive) in names.iter().zip(&archives) {
        if options.short {
            output.line(name)?;
        } else {
            output.line(&format!("{name:width$}  {}", words::moment(archive.time, &place.zone)))?;
        }
    }
    output.finish()?;
    // Standard output has one archive a line and nothing else, for whoever counts them.
    eprintln!("{} in the repository at {}", words::count(archives.len() as u64, "archive"), session.location());
    Ok(Done::Well)
}

/// The archives as `borg list --json` gives them.
fn document(session: &Session, archives: &[ArchiveInfo], zone: &TimeZone) -> Value {
    let archives = archives.iter().map(|archive| {
        let name = json::lossy(archive.name.as_bytes());
        let time = json_whole_moment(archive.time, zone);
        json!({
            "archive": name, "barchive": name, "name": name, "id": archive.id.to_string(), "start": time, "time": time,
        })
    });
    json!({
        "archives": archives.collect::<Value>(),
        "encryption": {"mode": session.mode().to_string()},
        "repository": {
            "id": session.id().to_string(),
            "last_modified": json_whole_moment(session.last_modified(), zone),
            "location": session.location(),
        },
    })
}
