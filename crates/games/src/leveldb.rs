//! LevelDB databases of Minecraft Bedrock, in a world's `db` folder.
//!
//! A database is many files, and whether they fit together nobody can tell from one of them. What can be told is whether
//! the two small ones that everything hangs on are there at all: `CURRENT` names the manifest, which lists the others.

use worldkeeper_core::{Defects, FileFormat, Judge};

use crate::blank::Blank;
use crate::path::{is_within, name};

/// The files by which a LevelDB database is opened.
#[derive(Clone, Copy, Debug)]
pub struct LevelDb;

impl FileFormat for LevelDb {
    fn judge(&self, path: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        match name(path) {
            _ if !is_within(path, &["db"]) => None,
            b"CURRENT" => Some(Box::new(Current { head: Vec::new(), blank: Blank::new() })),
            name if is_manifest(name) => Some(Box::new(Blank::new())),
            _ => None,
        }
    }
}

/// `CURRENT`: the name of a manifest, and a newline.
struct Current {
    head: Vec<u8>,
    blank: Blank,
}

impl Judge for Current {
    fn look(&mut self, bytes: &[u8]) {
        self.blank.see(bytes);
        let room = MAX_CURRENT - self.head.len();
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        self.blank.tell(&mut defects);
        let names_manifest = self.head.strip_suffix(b"\n").is_some_and(is_manifest);
        if !names_manifest && defects.is_empty() {
            defects.add(format_args!("it names no manifest"));
        }
        defects
    }
}

/// Longer than any name of a manifest.
const MAX_CURRENT: usize = 64;

fn is_manifest(name: &[u8]) -> bool {
    let number = name.strip_prefix(b"MANIFEST-").unwrap_or_default();
    (6..=20).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
}
