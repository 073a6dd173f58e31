//! Differences in stock's words, and in its JSON.
//!
//! Source: borg 1.4 `item.pyx`, `ItemDiff`; `helpers/parseformat.py`, `format_file_size`.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use worldkeeper_engine::{Change, Difference, OwnerName};

use crate::commands::items::{json_moment, mode, moment};
use crate::escape::escape_bytes;
use crate::{json, words};

/// A difference in one line.
pub(super) fn line(difference: &Difference, zone: &TimeZone) -> String {
    let changes: Vec<_> = difference.changes.iter().map(|change| in_words(change, zone)).collect();
    format!("{:<19} {}", changes.join(" "), escape_bytes(&difference.path))
}

/// A difference in JSON.
pub(super) fn json_line(difference: &Difference, zone: &TimeZone) -> String {
    let changes: Value = difference.changes.iter().map(|change| in_json(change, zone)).collect();
    json::line(&json!({"path": json::lossy(&difference.path), "changes": changes}))
}

fn in_words(change: &Change, zone: &TimeZone) -> String {
    let times = |what, old_ns, new_ns| {
        let text = |ns| words::moment(moment(ns), zone);
        format!("[{what}: {} -> {}]", text(old_ns), text(new_ns))
    };
    match change {
        Change::Added { size } => format!("added {:>13}", file_size(i128::from(*size), 2, false)),
        Change::Removed { size } => format!("removed {:>11}", file_size(i128::from(*size), 2, false)),
        Change::AddedOther(kind) => format!("added {kind}"),
        Change::RemovedOther(kind) => format!("removed {kind}"),
        Change::ChangedLink => "changed link".to_owned(),
        Change::Modified { bytes: None } => "modified".to_owned(),
        Change::Modified { bytes: Some((added, removed)) } => {
            let (added, removed) = (i128::from(*added), -i128::from(*removed));
            format!("{:>9} {:>9}", file_size(added, 1, true), file_size(removed, 1, true))
        }
        Change::Owner { old, new } => {
            format!("[{}:{} -> {}:{}]", owner(&old.0), owner(&old.1), owner(&new.0), owner(&new.1))
        }
        Change::Mode { old, new } => format!("[{} -> {}]", mode(*old), mode(*new)),
        Change::Ctime { old_ns, new_ns } => times("ctime", *old_ns, *new_ns),
        Change::Mtime { old_ns, new_ns } => times("mtime", *old_ns, *new_ns),
    }
}

fn in_json(change: &Change, zone: &TimeZone) -> Value {
    let time = |ns| json_moment(moment(ns), zone);
    match change {
        Change::Added { size } => json!({"type": "added", "size": size}),
        Change::Removed { size } => json!({"type": "removed", "size": size}),
        Change::AddedOther(kind) => json!({"type": format!("added {kind}")}),
        Change::RemovedOther(kind) => json!({"type": format!("removed {kind}")}),
        Change::ChangedLink => json!({"type": "changed link"}),
        Change::Modified { bytes: None } => json!({"type": "modified"}),
        Change::Modified { bytes: Some((added, removed)) } => {
            json!({"type": "modified", "added": added, "removed": removed})
        }
        Change::Owner { old, new } => json!({
            "type": "owner",
            "old_user": json_owner(&old.0), "old_group": json_owner(&old.1),
            "new_user": json_owner(&new.0), "new_group": json_owner(&new.1),
        }),
        Change::Mode { old, new } => json!({"type": "mode", "old_mode": mode(*old), "new_mode": mode(*new)}),
        Change::Ctime { old_ns, new_ns } => {
            json!({"type": "ctime", "old_ctime": time(*old_ns), "new_ctime": time(*new_ns)})
        }
        Change::Mtime { old_ns, new_ns } => {
            json!({"type": "mtime", "old_mtime": time(*old_ns), "new_mtime": time(*new_ns)})
        }
    }
}

fn owner(name: &OwnerName) -> String {
    match name {
        OwnerName::Name(Some(name)) => escape_bytes(name),
        OwnerName::Name(None) => "None".to_owned(),
        OwnerName::Id(id) => id.to_string(),
    }
}

fn json_owner(name: &OwnerName) -> Value {
    match name {
        OwnerName::Name(name) => json!(name.as_deref().map(json::lossy)),
        OwnerName::Id(id) => json!(id),
    }
}

/// A size in steps of 1000; below the first, it has no digits behind the point.
fn file_size(bytes: i128, precision: usize, signed: bool) -> String {
    let sign = if signed && bytes > 0 { "+" } else { "" };
    let (mut size, mut digits) = (bytes as f64, 0);
    let mut units = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        let rounded: f64 = format!("{size:.precision$}").parse().unwrap_or(size);
        if rounded.abs() < 1000.0 {
            break;
        }
        (size, digits, unit) = (size / 1000.0, precision, larger);
    }
    format!("{sign}{size:.digits$} {unit}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_stock() {
        for (bytes, precision, signed, expected) in [
            (0, 1, true, "0 B"),
            (999, 1, true, "+999 B"),
            (1500, 1, true, "+1.5 kB"),
            (-100, 1, true, "-100 B"),
            (999_999, 2, false, "1.00 MB"),
            (1_234_567_890, 2, false, "1.23 GB"),
        ] {
            assert_eq!(file_size(bytes, precision, signed), expected);
        }
    }
}
