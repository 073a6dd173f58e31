//! The entries of one directory, in the order in which stock takes them.
//!
//! That order is by inode number: on many file systems it is the order on the disk, so that reading seeks less. But files that
//! belong to another one come right after it, so that as little as possible happens in between.
//! Source: borg 1.4 `helpers/fs.py`, `scandir_inorder`.

use std::collections::{HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;
use rustix::io;
use worldkeeper_core::append;

use super::pulse::Pulse;

/// The names in a directory, by inode number; those of one inode as the directory gave them.
///
/// Names lie one after the other in one buffer: a directory may hold millions.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    names: Vec<u8>,
    /// Inode number and where the name lies.
    entries: Vec<(u64, u32, u8)>,
    next: usize,
    /// How many of the entries come for the second time, behind all others.
    again: usize,
    /// Some belong to others.
    has_followers: bool,
}

impl Listing {
    /// Reads a directory; `buffer` takes what the kernel gives at a time.
    pub(crate) fn read(directory: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>], pulse: &Pulse) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut entries = RawDir::new(directory, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            listing.push(entry.ino(), entry.file_name().to_bytes())?;
            if entries.is_buffer_empty() {
                pulse.goes_on();
            }
        }
        listing.sort();
        Ok(listing)
    }

    /// These names alone, in their order.
    pub(crate) fn of(names: &[&[u8]]) -> io::Result<Self> {
        let mut listing = Self::default();
        names.iter().try_for_each(|name| listing.push(0, name))?;
        Ok(listing)
    }

    /// The next name.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let (_, start, len) = *self.entries.get(self.next)?;
        self.next += 1;
        Some(&self.names[start as usize..][..usize::from(len)])
    }

    /// Lets the name that came last come once more, when all others have; `false` if it has come twice.
    pub(crate) fn again(&mut self) -> bool {
        let first_time = self.entries.len() - self.again;
        let last = self.next.checked_sub(1).filter(|last| *last < first_time);
        let entry = last.map(|last| self.entries[last]);
        self.again += usize::from(entry.is_some());
        self.entries.extend(entry);
        entry.is_some()
    }

    /// Moves every name that belongs to another one here, by `main_of`, to behind that one.
    pub(crate) fn follow(&mut self, main_of: impl Fn(&[u8]) -> Option<&[u8]>) {
        let names = &self.names;
        let name = |&(_, start, len): &(u64, u32, u8)| &names[start as usize..][..usize::from(len)];
        let mains: HashSet<_> = self.entries.iter().filter_map(|entry| main_of(name(entry))).collect();
        if mains.is_empty() {
            return;
        }
        self.has_followers = true;
        let places = self.entries.iter().enumerate().filter(|(_, entry)| mains.contains(name(entry)));
        let places: HashMap<_, _> = places.map(|(place, entry)| (name(entry), place)).collect();
        let mut ordered: Vec<_> = self.entries.iter().copied().enumerate().collect();
        ordered.sort_by_cached_key(|(own, entry)| {
            let main = main_of(name(entry)).and_then(|main| places.get(main));
            main.map_or((*own, false, *own), |main| (*main, true, *own))
        });
        self.entries = ordered.into_iter().map(|(_, entry)| entry).collect();
    }

    /// Returns whether some belong to others, as far as [`follow`](Self::follow) was told.
    pub(crate) fn has_followers(&self) -> bool {
        self.has_followers
    }

    fn push(&mut self, ino: u64, name: &[u8]) -> io::Result<()> {
        if matches!(name, b"." | b"..") {
            return Ok(());
        }
        // A name that is no name must not lead elsewhere, whatever the file system is.
        if name.is_empty() || name.contains(&b'/') {
            return Err(io::Errno::IO);
        }
        let len = u8::try_from(name.len()).map_err(|_| io::Errno::NAMETOOLONG)?;
        let start = u32::try_from(self.names.len()).map_err(|_| io::Errno::OVERFLOW)?;
        append(&mut self.names, name);
        self.entries.push((ino, start, len));
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_by_key(|(ino, ..)| *ino);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_inode_number_and_links_of_one_inode_as_they_came() {
        let mut listing = Listing::default();
        for (ino, name) in [(9, "b"), (2, "."), (3, "z"), (9, "a"), (1, ".."), (1, "...")] {
            listing.push(ino, name.as_bytes()).unwrap();
        }
        listing.sort();
        let mut names = Vec::new();
        while let Some(name) = listing.next() {
            names.push(String::from_utf8(name.to_vec()).unwrap());
        }
        assert_eq!(names, ["...", "z", "b", "a"]);
    }

    #[test]
    fn a_name_comes_twice_at_most() {
        let mut listing = Listing::of(&[b"a", b"b"]).unwrap();
        assert!(!listing.again());
        for (name, comes_again) in [(b"a", true), (b"b", true), (b"a", false), (b"b", false)] {
            assert_eq!(listing.next(), Some(&name[..]));
            assert_eq!(listing.again(), comes_again);
        }
        assert_eq!(listing.next(), None);
    }

    #[test]
    fn what_belongs_to_another_follows_it() {
        let mut listing = Listing::default();
        for (ino, name) in [(1, "a-wal"), (2, "b-wal"), (3, "c"), (4, "a-wal-wal"), (5, "a"), (6, "d"), (7, "a-wa")] {
            listing.push(ino, name.as_bytes()).unwrap();
        }
        listing.sort();
        listing.follow(|name| name.strip_suffix(b"-wal"));
        let names: Vec<_> =
            std::iter::from_fn(|| listing.next().map(|name| String::from_utf8_lossy(name).into_owned())).collect();
        assert_eq!(names, ["a-wal-wal", "b-wal", "c", "a", "a-wal", "d", "a-wa"]);
    }

    #[test]
    fn a_name_with_a_slash_is_no_name() {
        assert!(Listing::default().push(1, b"../x").is_err());
        assert!(Listing::default().push(1, b"").is_err());
        assert!(Listing::default().push(1, &[b'x'; 256]).is_err());
    }
}
