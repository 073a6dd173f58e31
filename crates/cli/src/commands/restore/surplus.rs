//! What lies in the sources and is not in the archive that was put over them: a world of two ages, unless somebody sees it.
//!
//! What no backup takes says nothing of a world's age: the locks of games, and sockets.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::hash::BuildHasher;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tracing::warn;
use worldkeeper_engine::{OpenArchive, Session, SessionError};

use super::origin::Part;
use crate::commands::backup::GAME_LOCKS;
use crate::escape::escape_bytes;
use worldkeeper_scheduler::words::grouped;

/// What was found. A directory that is not in the archive counts once, whatever is in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Surplus {
    entries: u64,
    /// One of them, as the archive would call it.
    example: Option<Vec<u8>>,
}

/// Says what stays beside what was restored to `parts`. Returns how many entries there are.
pub(super) fn warn_of(session: &Session, archive: &OpenArchive, parts: &[Part]) -> Result<u64, SessionError> {
    // A number for each path: of a million, the paths would take a hundred megabytes beside a game.
    let hasher = RandomState::new();
    let mut known = HashSet::new();
    for item in session.items(archive) {
        known.insert(hasher.hash_one(&item?.path[..]));
    }
    let mut surplus = Surplus::default();
    let mut is_known = |path: &[u8]| known.contains(&hasher.hash_one(path));
    for Part { root, paths } in parts {
        if paths.is_empty() {
            surplus.look(root, b"", &mut is_known);
        }
        for path in paths {
            surplus.look(&root.join(OsStr::from_bytes(path)), path, &mut is_known);
        }
    }
    if let Some(example) = &surplus.example {
        let (archive, example) = (escape_bytes(archive.metadata.name.as_bytes()), escape_bytes(example));
        warn!(
            "beside what was restored stays what archive {archive} does not have, {}, like {example}. It may be newer than that \
             world, or left out of backups: then no archive has it",
            words(surplus.entries)
        );
    }
    Ok(surplus.entries)
}

fn words(entries: u64) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{} entries", grouped(entries)) }
}

impl Surplus {
    /// Looks at what is in a directory, which the archive calls `stored`. What cannot be read is not known to be there.
    fn look(&mut self, directory: &Path, stored: &[u8], is_known: &mut dyn FnMut(&[u8]) -> bool) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = if stored.is_empty() { name.into_vec() } else { [stored, b"/", name.as_bytes()].concat() };
            if !is_known(&path) {
                if !is_never_archived(&entry) {
                    self.entries += 1;
                    self.example.get_or_insert(path);
                }
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.look(&entry.path(), &path, is_known);
            }
        }
    }
}

/// Returns whether no archive of ours has it, whatever was said.
fn is_never_archived(entry: &DirEntry) -> bool {
    let is_lock = || GAME_LOCKS.iter().any(|lock| entry.file_name() == *lock);
    entry.file_type().is_ok_and(|kind| kind.is_socket() || (!kind.is_dir() && is_lock()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_the_archive_does_not_have_is_found_once() {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        for path in ["world/region/r.0.0.mca", "world/region/r.9.9.mca", "world/new/a", "world/new/b"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            fs::write(path, b"").expect("it is ours");
        }
        let known: &[&[u8]] = &[b"world", b"world/region", b"world/region/r.0.0.mca"];
        let mut surplus = Surplus::default();
        surplus.look(&folder.path().join("world"), b"world", &mut |path| known.contains(&path));
        assert_eq!(surplus.entries, 2);
        surplus = Surplus::default();
        surplus.look(&folder.path().join("world/region"), b"world/region", &mut |path| known.contains(&path));
        assert_eq!(surplus, Surplus { entries: 1, example: Some(b"world/region/r.9.9.mca".to_vec()) });
        // What a server holds while it runs, and leaves, is in no archive.
        for name in ["session.lock", "new/session.lock"] {
            fs::write(folder.path().join("world").join(name), b"").expect("it is ours");
        }
        let _socket = UnixListener::bind(folder.path().join("world/console")).expect("it is ours");
        fs::create_dir(folder.path().join("world/region/session.lock")).expect("it is ours");
        surplus = Surplus::default();
        surplus.look(&folder.path().join("world"), b"world", &mut |path| known.contains(&path) || path == b"world/new");
        assert_eq!(surplus.entries, 4, "two files, one region, and a directory that is no lock");
        surplus = Surplus::default();
        surplus.look(&folder.path().join("nowhere"), b"nowhere", &mut |_| false);
        assert_eq!(surplus, Surplus::default());
    }
}
