//! The directories between the target and an item, opened one beneath the other and never through a symlink.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::{self, Errno};

use super::beside::remove_leftovers;

/// Levels beneath the target whose directories stay open; the innermost one does in any case.
const OPEN_LEVELS: usize = 32;

/// What is open of the way to the last item: the next one is mostly in the same directory.
#[derive(Debug)]
pub(super) struct Parents {
    target: Arc<OwnedFd>,
    levels: Vec<(Vec<u8>, Option<Arc<OwnedFd>>)>,
}

impl Parents {
    pub(super) fn new(target: OwnedFd) -> Self {
        Self { target: Arc::new(target), levels: Vec::new() }
    }

    /// Opens the directory at `path` beneath the target; with `create`, makes what is missing of the way and clears
    /// the rest of it of what killed restores left.
    ///
    /// Fails with `NOTDIR` or `LOOP` where something on the way is no directory.
    pub(super) fn open(&mut self, path: &[&[u8]], create: bool) -> io::Result<Arc<OwnedFd>> {
        let common = self.levels.iter().zip(path).take_while(|((name, _), part)| name == *part).count();
        self.levels.truncate(common);
        while self.levels.last().is_some_and(|(_, directory)| directory.is_none()) {
            self.levels.pop();
        }
        for name in &path[self.levels.len()..] {
            let parent = self.innermost();
            let directory = Arc::new(open_directory(&parent, name, create)?);
            // What lies between is opened again when the way goes there; paths may have any number of parts.
            if let Some((_, between)) = self.levels.get_mut(OPEN_LEVELS..).and_then(|deep| deep.last_mut()) {
                *between = None;
            }
            self.levels.push((name.to_vec(), Some(directory)));
        }
        Ok(self.innermost())
    }

    /// Opens the directory at `path` beneath the target from the top; the way to the items stays open.
    pub(super) fn open_aside(&self, path: &[&[u8]]) -> io::Result<Arc<OwnedFd>> {
        Self { target: Arc::clone(&self.target), levels: Vec::new() }.open(path, false)
    }

    fn innermost(&self) -> Arc<OwnedFd> {
        let directory = self.levels.last().and_then(|(_, directory)| directory.as_ref());
        Arc::clone(directory.unwrap_or(&self.target))
    }
}

fn open_directory(parent: &OwnedFd, name: &[u8], create: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(directory) => {
            if create {
                remove_leftovers(&directory);
            }
            Ok(directory)
        }
        Err(Errno::NOENT) if create => {
            mkdirat(parent, name, Mode::from_raw_mode(0o777))?;
            openat(parent, name, flags, Mode::empty())
        }
        Err(error) => Err(error),
    }
}
