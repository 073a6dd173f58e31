//! In which order differences are shown.
//!
//! Source: borg 1.4 `archiver.py`, `do_diff`, `key_for`.

use std::cmp::Ordering;

use worldkeeper_archive::Item;
use worldkeeper_engine::{Change, Difference};

use crate::args::{SortField, SortKey};
use crate::commands::items::size;
use crate::json;

/// What `--sort` means.
pub(super) const BY_PATH: SortKey = SortKey { field: SortField::Path, descends: false };

/// Sorts; of equal ones, the order stays.
pub(super) fn sort(differences: &mut [Difference], keys: &[SortKey]) {
    differences.sort_by(|one, other| {
        let order = keys.iter().map(|key| {
            let order = value(one, key.field).cmp(&value(other, key.field));
            if key.descends { order.reverse() } else { order }
        });
        order.fold(Ordering::Equal, Ordering::then)
    });
}

/// What a difference has for a field; all differences have the same kind of value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Text(String),
}

fn value(difference: &Difference, field: SortField) -> Value {
    let (old, new) = (difference.old.as_deref(), difference.new.as_deref());
    let text = |name: fn(&Item) -> &Option<Vec<u8>>| {
        Value::Text(new.and_then(|item| name(item).as_deref()).map(json::lossy).unwrap_or_default())
    };
    let number = |value: fn(&Item) -> i64, none: i64| new.map_or(none, value).into();
    let time = |value: fn(&Item) -> i64| i128::from(new.map_or(0, value)) - i128::from(old.map_or(0, value));
    Value::Number(match field {
        SortField::Path => return Value::Text(json::lossy(&difference.path)),
        SortField::User => return text(|item| &item.user),
        SortField::Group => return text(|item| &item.group),
        SortField::SizeAdded => added_and_removed(difference).0,
        SortField::SizeRemoved => added_and_removed(difference).1,
        SortField::SizeDiff => {
            let (added, removed) = added_and_removed(difference);
            added - removed
        }
        SortField::Size => new.map_or(0, size).into(),
        SortField::Uid => number(|item| item.uid, -1),
        SortField::Gid => number(|item| item.gid, -1),
        SortField::Ctime => number(|item| item.ctime_ns.unwrap_or(0), 0),
        SortField::Mtime => number(|item| item.mtime_ns, 0),
        SortField::CtimeDiff => time(|item| item.ctime_ns.unwrap_or(0)),
        SortField::MtimeDiff => time(|item| item.mtime_ns),
    })
}

fn added_and_removed(difference: &Difference) -> (i128, i128) {
    let sizes = difference.changes.iter().map(|change| match *change {
        Change::Modified { bytes: Some((added, removed)) } => (added, removed),
        Change::Added { size } => (size, 0),
        Change::Removed { size } => (0, size),
        _ => (0, 0),
    });
    sizes.fold((0, 0), |(added, removed), (more, less)| (added + i128::from(more), removed + i128::from(less)))
}
