//! Directories that say of themselves that they need not be kept: by the tag of a cache, or by an object of a name
//! that the user chose.
//!
//! As everywhere in the tree, what is read is a regular file and no symlink leads there: a `CACHEDIR.TAG` that is a link
//! is none, as its specification has it. Stock reads what such a link leads to, and waits for ever at a FIFO. Of an
//! object that only has to be there nothing is read, so a link counts as in stock: if it leads somewhere.
//!
//! Source: borg 1.4 `helpers/fs.py`, `dir_is_tagged`, `dir_is_cachedir`; <https://bford.info/cachedir/>.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, pread};

use super::listing::Listing;
use super::pulse::Pulse;
use super::reader::open_beneath;
use super::root::SourceRoot;
use super::stat::Stat;

/// What the tag of a cache is called.
const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";

/// How it begins.
const CACHE_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Which tags leave a directory out, with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExcludeTags {
    /// That of a cache, as with stock's `--exclude-caches`.
    pub caches: bool,
    /// Objects of these names, of whatever kind, as with stock's `--exclude-if-present`.
    pub if_present: Vec<TagName>,
    /// The directory itself and its tags are in the archive all the same, as with stock's `--keep-exclude-tags`.
    pub keep: bool,
}

impl ExcludeTags {
    /// The tags that a directory has, `None` if it has none. What cannot be looked at is no tag, as in stock.
    ///
    /// Stock stores the tag of a cache twice that is also chosen by its name, and of a tag with several links the second
    /// time a link to itself, which cannot be extracted; here it comes once.
    pub(super) fn of(&self, directory: BorrowedFd<'_>, path: &[u8], pulse: &Pulse) -> Option<Listing> {
        let mut tags = Vec::new();
        let mut look = |name, is_tag: &dyn Fn() -> bool| {
            if tags.contains(&name) {
                return;
            }
            pulse.at(&SourceRoot::join(path, name));
            if is_tag() {
                tags.push(name);
            }
        };
        if self.caches {
            look(CACHE_TAG, &|| is_cache(directory).unwrap_or(false));
        }
        for TagName(name) in &self.if_present {
            look(name, &|| Stat::of_target(directory, name).is_ok());
        }
        (!tags.is_empty()).then(|| Listing::of(&tags).expect("tags have names of objects"))
    }
}

/// Returns whether a directory has the tag of a cache. Nothing but a regular file is opened.
fn is_cache(directory: BorrowedFd<'_>) -> io::Result<bool> {
    if Stat::of(directory, CACHE_TAG)?.file_type() != FileType::RegularFile {
        return Ok(false);
    }
    let tag = open_beneath(directory, CACHE_TAG, OFlags::empty())?;
    // What was put in its place meanwhile may be of any kind.
    Ok(Stat::of_open(&tag)?.file_type() == FileType::RegularFile && has_signature(tag.as_fd())?)
}

fn has_signature(tag: BorrowedFd<'_>) -> io::Result<bool> {
    let mut read = [0; CACHE_SIGNATURE.len()];
    let mut len = 0;
    while len < read.len() {
        match pread(tag, &mut read[len..], len as u64) {
            Ok(0) => return Ok(false),
            Ok(more) => len += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(read == *CACHE_SIGNATURE)
}

/// The name of an object in a directory: it leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagName(Vec<u8>);

/// No object in a directory can have this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a file or directory, of at most 255 bytes and without slashes")]
pub struct TagNameError;

impl TagName {
    /// Takes a name that an object can have.
    pub fn new(name: &[u8]) -> Result<Self, TagNameError> {
        let is_name = !matches!(name, b"" | b"." | b"..") && name.len() <= 255 && !name.contains(&b'/');
        if is_name { Ok(Self(name.to_vec())) } else { Err(TagNameError) }
    }

    /// The name, as the file system has it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in [&b""[..], b".", b"..", b"/etc/passwd", b"a/b", b"a/", &[b'x'; 256]] {
            assert_eq!(TagName::new(name), Err(TagNameError));
        }
        for name in [&b".nobackup"[..], b"...", b"\xff", &[b'x'; 255]] {
            assert_eq!(TagName::new(name).unwrap().as_bytes(), name);
        }
    }
}
