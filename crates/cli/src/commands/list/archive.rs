//! What is in an archive, as stock lists it.
//!
//! Source: borg 1.4 `archiver.py`, `_list_archive`; `helpers/parseformat.py`, `ItemFormatter`.

use jiff::tz::TimeZone;
use serde::Serialize;
use tracing::info;
use worldkeeper_archive::Item;
use worldkeeper_core::Stop;
use worldkeeper_engine::{OpenArchive, Selection, Session, SessionError};

use crate::args::List;
use crate::commands::items::{self, SYMLINK, TYPE, size};
use crate::commands::output::Output;
use crate::escape::escape_bytes;
use crate::place::Place;
use crate::report::Done;
use crate::{json, words};

/// Lists the items that are meant, one on each line.
pub(super) fn list(
    place: &Place,
    session: &Session,
    archive: &OpenArchive,
    selection: &Selection,
    options: &List,
    stop: &Stop,
) -> anyhow::Result<Done> {
    let mut output = Output::new();
    for item in session.items(archive) {
        if stop.is_requested() {
            return Err(SessionError::Stopped.into());
        }
        let item = item?;
        // Part files of a checkpoint repeat what the whole file has.
        if item.part.is_none() && selection.selects(&item.path)? {
            output.line(&match (options.json_lines, options.short) {
                (true, _) => json::line(&ItemJson::of(&item, &place.zone)),
                (false, true) => escape_bytes(&item.path),
                (false, false) => line(&item, &place.zone),
            })?;
        }
    }
    output.finish()?;
    // Stock says nothing; as a hint at a name that was mistyped it is no warning here either.
    for path in selection.unmatched() {
        info!("nothing in the archive matches {}", escape_bytes(&path));
    }
    Ok(Done::Well)
}

/// An item in words: `{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}`.
fn line(item: &Item, zone: &TimeZone) -> String {
    let path = escape_bytes(&item.path);
    let extra = match item.source.as_deref().map(escape_bytes) {
        Some(target) if item.mode & TYPE == SYMLINK => format!(" -> {target}"),
        Some(master) => format!(" link to {master}"),
        None => String::new(),
    };
    let owner = |name: &Option<Vec<u8>>, id: i64| name.as_deref().map_or_else(|| id.to_string(), escape_bytes);
    let (user, group) = (owner(&item.user, item.uid), owner(&item.group, item.gid));
    let (mode, size, mtime) = (mode(item), size(item), words::moment(items::moment(item.mtime_ns), zone));
    format!("{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}")
}

/// An item in JSON; the order of the fields is stock's.
#[derive(Serialize)]
struct ItemJson {
    r#type: char,
    mode: String,
    user: OwnerJson,
    group: OwnerJson,
    uid: i64,
    gid: i64,
    path: String,
    healthy: bool,
    source: String,
    linktarget: String,
    flags: u32,
    size: u64,
    mtime: String,
}

/// A name, or the number where there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum OwnerJson {
    Name(String),
    Id(i64),
}

impl ItemJson {
    fn of(item: &Item, zone: &TimeZone) -> Self {
        let owner = |name: &Option<Vec<u8>>, id: i64| match name.as_deref() {
            None | Some([]) => OwnerJson::Id(id),
            Some(name) => OwnerJson::Name(json::lossy(name)),
        };
        let source = item.source.as_deref().map(json::lossy).unwrap_or_default();
        Self {
            r#type: items::mode(item.mode).remove(0),
            mode: mode(item),
            user: owner(&item.user, item.uid),
            group: owner(&item.group, item.gid),
            uid: item.uid,
            gid: item.gid,
            path: json::lossy(&item.path),
            healthy: item.chunks_healthy.is_none(),
            linktarget: source.clone(),
            source,
            flags: item.bsdflags.unwrap_or(0),
            size: size(item),
            mtime: items::json_moment(items::moment(item.mtime_ns), zone),
        }
    }
}

/// The mode; a further link to a file has an `h` where others have their type.
fn mode(item: &Item) -> String {
    let mode = items::mode(item.mode);
    let is_link = item.mode & TYPE != SYMLINK && item.source.as_ref().is_some_and(|master| !master.is_empty());
    if is_link { format!("h{}", &mode[1..]) } else { mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_look_as_stock_lists_them() {
        let mut item = Item {
            path: b"world/level.dat".to_vec(),
            mode: 0o100_640,
            uid: 1000,
            group: Some(b"game".to_vec()),
            mtime_ns: 1_700_000_000_000_000_000,
            size: Some(1_800),
            ..Item::default()
        };
        let expected = "-rw-r----- 1000   game       1800 Tue, 2023-11-14 22:13:20 world/level.dat";
        assert_eq!(line(&item, &TimeZone::UTC), expected);
        item.source = Some(b"world/other".to_vec());
        let found = line(&item, &TimeZone::UTC);
        assert!(found.starts_with("hrw-r-----") && found.ends_with(" world/level.dat link to world/other"), "{found}");
        item.mode = 0o120_777;
        item.path = b"a\nb".to_vec();
        assert!(line(&item, &TimeZone::UTC).ends_with("       11 Tue, 2023-11-14 22:13:20 a\\nb -> world/other"));
    }

    #[test]
    fn json_is_that_of_stock() {
        let item = Item { path: b"\xff".to_vec(), mode: 0o100_644, user: Some(b"root".to_vec()), ..Item::default() };
        let expected = "{\"type\": \"-\", \"mode\": \"-rw-r--r--\", \"user\": \"root\", \"group\": 0, \"uid\": 0, \"gid\": 0, \
                        \"path\": \"?\", \"healthy\": true, \"source\": \"\", \"linktarget\": \"\", \"flags\": 0, \
                        \"size\": 0, \"mtime\": \"1970-01-01T00:00:00.000000\"}";
        assert_eq!(json::line(&ItemJson::of(&item, &TimeZone::UTC)), expected);
    }
}
