//! `find`: which archives hold which version of a file.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Serialize;
use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::{ArchiveInfo, Found, Version, find as find_in_archives, series};

use super::archives;
use super::items::{self, json_moment, moment};
use super::output::Output;
use crate::args::Find;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::{self, Done};
use crate::{json, settings, words};

/// Finds paths: each is followed by its versions, from the oldest to the newest, and the archives that hold them.
pub(super) fn find(place: &Arc<Place>, options: &Find, stop: &Stop) -> anyhow::Result<Done> {
    let named = options.named.iter().map(|named| named.as_bytes());
    let selection = settings::select_anywhere(&options.patterns.0, named)?;
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    let mut archives = session.archives();
    archives
        .retain(|archive| options.consider_checkpoints || !archive.name.as_str().is_some_and(series::is_checkpoint));
    let (archives, left_alone) = archives::proven(&session, archives)?;
    let archives = options.archives.choose(archives, place.clock.now(), &place.zone);

    let mut output = Output::new();
    let (mut paths, mut found_versions, mut unread) = (0, 0, left_alone);
    find_in_archives(&session, &archives, &selection, &mut |found| {
        match found {
            Found::Path { path, versions } => {
                paths += 1;
                found_versions += versions.len() as u64;
                if !options.json_lines {
                    output.line(&escape_bytes(&path))?;
                }
                for version in &versions {
                    let holders = (&archives[version.first], &archives[version.last]);
                    output.line(&if options.json_lines {
                        json::line(&VersionJson::of(&path, version, holders, &place.zone))
                    } else {
                        line(version, holders, &place.zone)
                    })?;
                }
            }
            Found::Unread { archive, error } => {
                unread += 1;
                let name = escape_bytes(archives[archive].name.as_bytes());
                warn!("archive {name} cannot be searched to its end: {}", report::chain(&error));
            }
        }
        anyhow::Ok(())
    })?;
    output.finish()?;
    for named in selection.unmatched() {
        info!("no archive holds anything that matches {}", escape_bytes(&named));
    }
    let (versions, paths) = (words::count(found_versions, "version"), words::count(paths, "path"));
    // Standard output has findings only, for whoever counts them.
    eprintln!("{versions} of {paths} in {}", words::count(archives.len() as u64, "archive"));
    Ok(Done::with(unread))
}

/// A version in words.
fn line(version: &Version, (first, last): (&ArchiveInfo, &ArchiveInfo), zone: &TimeZone) -> String {
    let name = |archive: &ArchiveInfo| escape_bytes(archive.name.as_bytes());
    let (mode, mtime) = (items::mode(version.mode), words::moment(moment(version.mtime_ns), zone));
    let target = version.target.as_deref().map(|target| format!(" -> {}", escape_bytes(target))).unwrap_or_default();
    let damaged = if version.is_healthy { "" } else { ", damaged" };
    let archives = match version.archives {
        1 => name(first),
        2 => format!("{} and {}", name(first), name(last)),
        more => format!("{} to {}, {more} archives", name(first), name(last)),
    };
    format!("    {mode} {:8} {mtime}{damaged}{target}  in {archives}", version.size)
}

/// A version in JSON.
#[derive(Serialize)]
struct VersionJson {
    path: String,
    r#type: char,
    mode: String,
    size: u64,
    mtime: String,
    linktarget: String,
    healthy: bool,
    archives: usize,
    first: ArchiveJson,
    last: ArchiveJson,
}

/// An archive, in the words of `list --json`.
#[derive(Serialize)]
struct ArchiveJson {
    archive: String,
    id: String,
    time: String,
}

impl VersionJson {
    fn of(path: &[u8], version: &Version, (first, last): (&ArchiveInfo, &ArchiveInfo), zone: &TimeZone) -> Self {
        let archive = |archive: &ArchiveInfo| ArchiveJson {
            archive: json::lossy(archive.name.as_bytes()),
            id: archive.id.to_string(),
            time: items::json_whole_moment(archive.time, zone),
        };
        let mode = items::mode(version.mode);
        Self {
            path: json::lossy(path),
            r#type: mode.chars().next().unwrap_or('?'),
            mode,
            size: version.size,
            mtime: json_moment(moment(version.mtime_ns), zone),
            linktarget: version.target.as_deref().map(json::lossy).unwrap_or_default(),
            healthy: version.is_healthy,
            archives: version.archives,
            first: archive(first),
            last: archive(last),
        }
    }
}
