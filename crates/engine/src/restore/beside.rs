//! Making something beside its place, and moving it there when it is whole.
//!
//! What is in the place of an item stays until that item is complete: a damaged chunk, a full disk or a stop in the
//! middle must not cost what was there. A rename then replaces it at once, so that even a kill leaves the old or the
//! new, and at worst a name that no game gives a file and that the next restore removes.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, renameat, unlinkat};
use rustix::io::{self, Errno};

use super::there::{self, There};
use crate::random;
use crate::state::StateError;

/// Then come 16 hex digits. The name of the item is not part of it: names have lengths and alphabets of their own on
/// some file systems.
const PREFIX: &[u8] = b".worldkeeper-restore-";
const DIGITS: usize = 16;

/// Names that nothing has.
#[derive(Debug)]
pub(super) struct Names {
    next: u64,
}

impl Names {
    /// Begins where no other restore does.
    pub(super) fn draw() -> Result<Self, StateError> {
        let mut bytes = [0; 8];
        random::fill(&mut bytes)?;
        Ok(Self { next: u64::from_le_bytes(bytes) })
    }

    fn next(&mut self) -> Vec<u8> {
        let digits = format!("{:0DIGITS$x}", self.next);
        self.next = self.next.wrapping_add(1);
        [PREFIX, digits.as_bytes()].concat()
    }
}

/// Something that is not in its place yet. Dropped before it is moved there, it is removed.
#[derive(Debug)]
#[must_use = "what is not moved to its place is removed"]
pub(super) struct Beside {
    directory: Arc<OwnedFd>,
    name: Vec<u8>,
    is_in_place: bool,
}

impl Beside {
    /// Calls `make` with a name for something new in `directory`; `make` fails if the name is taken.
    pub(super) fn make<T>(
        directory: &Arc<OwnedFd>,
        names: &mut Names,
        make: impl FnOnce(&OwnedFd, &[u8]) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let name = names.next();
        let made = make(directory, &name)?;
        Ok((Self { directory: Arc::clone(directory), name, is_in_place: false }, made))
    }

    /// A descriptor that names it and does not open it. Fails if that is of another kind: others may write to the
    /// directory too.
    pub(super) fn descriptor(&self, kind: FileType) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let object = openat(&self.directory, &self.name, flags, Mode::empty())?;
        let found = FileType::from_raw_mode(fstat(&object)?.st_mode);
        if found == kind { Ok(object) } else { Err(Errno::STALE) }
    }

    /// Looks at what is in a place that it may belong to.
    pub(super) fn look(&self, place: &[u8]) -> There {
        There::at(&self.directory, place)
    }

    /// Copies its content, which is a regular file's, into the one that is in its place, where none can be moved to; returns that one.
    pub(super) fn pour_into(self, place: &[u8]) -> std::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let content = openat(&self.directory, &self.name, flags, Mode::empty())?;
        there::pour(content, &self.directory, place)
    }

    /// Moves it to where it belongs. What is there is replaced, but for a directory that is not empty.
    pub(super) fn move_to(mut self, place: &[u8]) -> io::Result<()> {
        let rename = || renameat(&self.directory, &self.name, &self.directory, place);
        match rename() {
            // Directories and other things do not replace each other at once. Nothing is lost by taking away an empty
            // directory first; and a directory is made in the place of something else with nothing left to fail.
            Err(Errno::ISDIR) => unlinkat(&self.directory, place, AtFlags::REMOVEDIR).and_then(|()| rename()),
            Err(Errno::NOTDIR) => unlinkat(&self.directory, place, AtFlags::empty()).and_then(|()| rename()),
            renamed => renamed,
        }?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_in_place {
            remove(&self.directory, &self.name);
        }
    }
}

/// Removes what restores that were killed have left in a directory, which was just opened for reading.
pub(super) fn remove_leftovers(directory: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    // What cannot be listed may be restored into all the same.
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_bytes();
        if is_ours(name) {
            remove(directory, name);
        }
    }
}

fn is_ours(name: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(is_digit))
}

/// Nothing more can be done where even this fails.
fn remove(directory: &OwnedFd, name: &[u8]) {
    if unlinkat(directory, name, AtFlags::empty()) == Err(Errno::ISDIR) {
        _ = unlinkat(directory, name, AtFlags::REMOVEDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_and_no_others_are() {
        let mut names = Names { next: u64::MAX };
        assert_eq!(names.next(), b".worldkeeper-restore-ffffffffffffffff");
        let name = names.next();
        assert_eq!(name, b".worldkeeper-restore-0000000000000000");
        assert!(is_ours(&name));
        for other in [&name[1..], &name[..name.len() - 1], &[&name[..], b"0"].concat(), b".worldkeeper-restore-", b""] {
            assert!(!is_ours(other));
        }
        assert!(!is_ours(b".worldkeeper-restore-000000000000000G"));
        assert!(!is_ours(b".worldkeeper-restore-000000000000000A"));
    }
}
