//! `list`: the archives of the repository, or what is in one.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use worldkeeper_archive::Item;
use worldkeeper_core::Stop;
use worldkeeper_engine::SessionError;

use super::archives::{self, Latest};
use super::output::Output;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::words;

/// Lists archives, oldest first and by name first; or the items of one, as `borg list` does.
pub(super) fn list(place: &Arc<Place>, archive: Option<&str>, stop: &Stop) -> anyhow::Result<Done> {
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    let mut output = Output::new();
    let Some(name) = archive else {
        let archives = session.archives();
        let names: Vec<_> = archives.iter().map(|archive| escape_bytes(archive.name.as_bytes())).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, archive) in names.iter().zip(&archives) {
            output.line(&format!("{name:width$}  {}", words::moment(archive.time, &place.zone)))?;
        }
        output.finish()?;
        // Standard output has one archive a line and nothing else, for whoever counts them.
        eprintln!("{} in the repository at {}", words::count(archives.len() as u64, "archive"), session.location());
        return Ok(Done::Well);
    };
    let archive = session.open_archive(&archives::find(&session, name, place.series(), Latest::OfAll)?)?;
    for item in session.items(&archive) {
        if stop.is_requested() {
            return Err(SessionError::Stopped.into());
        }
        output.line(&line(&item?, &place.zone))?;
    }
    output.finish()?;
    Ok(Done::Well)
}

/// An item as stock lists it.
///
/// Source: borg 1.4 `archiver.py`, `_list_archive`: `{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}`.
fn line(item: &Item, zone: &TimeZone) -> String {
    let path = escape_bytes(&item.path);
    let source = item.source.as_deref().map(escape_bytes);
    let is_symlink = item.mode & TYPE == SYMLINK;
    let (size, extra) = match (&item.source, source) {
        (Some(target), Some(text)) if is_symlink => (target.len() as u64, format!(" -> {text}")),
        (_, Some(text)) => (item.size.unwrap_or(0), format!(" link to {text}")),
        _ => (item.size.unwrap_or(0), String::new()),
    };
    let owner = |name: &Option<Vec<u8>>, id: i64| name.as_deref().map_or_else(|| id.to_string(), escape_bytes);
    let (user, group) = (owner(&item.user, item.uid), owner(&item.group, item.gid));
    let mtime = Timestamp::from_nanosecond(item.mtime_ns.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mode = mode(item.mode);
    format!("{mode} {user:6} {group:6} {size:8} {} {path}{extra}", words::moment(mtime, zone))
}

/// A mode as `ls -l` shows it.
fn mode(mode: u32) -> String {
    let kind = match mode & TYPE {
        SYMLINK => 'l',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o040_000 => 'd',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o100_000 => '-',
        _ => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Where the mode holds the type.
const TYPE: u32 = 0o170_000;
const SYMLINK: u32 = 0o120_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_ls() {
        for (bits, expected) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o102_644, "-rw-r-Sr--"),
            (0o041_777, "drwxrwxrwt"),
            (0o010_000, "p---------"),
            (0, "?---------"),
        ] {
            assert_eq!(mode(bits), expected);
        }
    }

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
        assert!(line(&item, &TimeZone::UTC).ends_with(" world/level.dat link to world/other"));
        item.mode = 0o120_777;
        item.path = b"a\nb".to_vec();
        assert!(line(&item, &TimeZone::UTC).ends_with("       11 Tue, 2023-11-14 22:13:20 a\\nb -> world/other"));
    }
}
