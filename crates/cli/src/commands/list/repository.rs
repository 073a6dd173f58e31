//! The archives of a repository.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use worldkeeper_core::error_text;
use worldkeeper_engine::{ArchiveInfo, ArchiveProblem, Proofs, Session, series};

use crate::args::List;
use crate::commands::archives::unproven_text;
use crate::commands::items::json_whole_moment;
use crate::commands::output::Output;
use crate::escape::escape_bytes;
use crate::place::Place;
use crate::report::Done;
use crate::{json, words};

/// Lists the archives that are meant, oldest first and by name first; what runs that were cut off left only if it is
/// asked for. Those that do not prove who made them are told apart: no script shall take one for the newest.
pub(super) fn list(place: &Place, session: &Session, options: &List) -> anyhow::Result<Done> {
    let is_hidden = |archive: &ArchiveInfo| {
        !options.consider_checkpoints && archive.name.as_str().is_some_and(series::is_checkpoint)
    };
    let (hidden, archives): (Vec<_>, Vec<_>) = session.archives().into_iter().partition(is_hidden);
    let Proofs { proven, mut unproven, .. } = session.prove(archives)?;
    let chosen = |archives| options.archives.choose(archives, place.clock.now(), &place.zone);
    let archives = chosen(proven);
    let apart = chosen(unproven.iter().map(|(archive, _)| archive.clone()).collect());
    unproven.retain(|(archive, _)| apart.contains(archive));
    let mut output = Output::new();
    if options.json {
        output.line(&json::document(&document(session, &archives, &unproven, &place.zone)))?;
        output.finish()?;
        return Ok(Done::Well);
    }
    let remark = |problem| format!("  {}", unproven_text(problem));
    let apart = unproven.iter().map(|(archive, problem)| (archive, remark(problem)));
    let lines: Vec<_> = archives.iter().map(|archive| (archive, String::new())).chain(apart).collect();
    let names: Vec<_> = lines.iter().map(|(archive, _)| escape_bytes(archive.name.as_bytes())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut told = Vec::new();
    for (name, (archive, remark)) in names.into_iter().zip(&lines) {
        let is_listed = remark.is_empty() || options.consider_unproven;
        let line = if options.short && is_listed {
            name
        } else {
            format!("{name:width$}  {}{remark}", words::moment(archive.time, &place.zone))
        };
        if is_listed {
            output.line(&line)?;
        } else {
            told.push(line);
        }
    }
    output.finish()?;
    // Standard output has one archive a line and nothing else, for whoever counts them.
    eprintln!("{} in the repository at {}", words::count(archives.len() as u64, "archive"), session.location());
    if !unproven.is_empty() {
        let more = if told.is_empty() { "" } else { ", which only --consider-unproven lists:" };
        eprintln!("and {}{more}", words::count(unproven.len() as u64, "unproven archive"));
        for line in &told {
            eprintln!("{line}");
        }
    }
    if !hidden.is_empty() {
        let hidden = words::count(hidden.len() as u64, "checkpoint");
        eprintln!("and {hidden} of runs that were cut off: --consider-checkpoints lists them, too");
    }
    Ok(Done::Well)
}

/// The archives as `borg list --json` gives them; those that are unproven apart, where no reader of borg's finds them.
fn document(
    session: &Session,
    archives: &[ArchiveInfo],
    unproven: &[(ArchiveInfo, ArchiveProblem)],
    zone: &TimeZone,
) -> Value {
    let about = |archive: &ArchiveInfo| {
        let name = json::lossy(archive.name.as_bytes());
        let time = json_whole_moment(archive.time, zone);
        json!({
            "archive": name, "barchive": name, "name": name, "id": archive.id.to_string(), "start": time, "time": time,
        })
    };
    let mut document = json!({
        "archives": archives.iter().map(about).collect::<Value>(),
        "encryption": {"mode": session.mode().to_string()},
        "repository": {
            "id": session.id().to_string(),
            "last_modified": json_whole_moment(session.last_modified(), zone),
            "location": session.location(),
        },
    });
    if !unproven.is_empty() {
        let unproven = unproven.iter().map(|(archive, problem)| {
            let mut about = about(archive);
            about["reason"] = error_text(problem).into();
            about
        });
        document["unproven"] = unproven.collect();
    }
    document
}
