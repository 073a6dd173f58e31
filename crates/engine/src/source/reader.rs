//! The content of one regular file, while others may write to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, Mode, OFlags, fadvise, openat};
use rustix::io::{self, Errno};

use super::error::{Action, SourceError};
use super::stat::Stat;

/// From this size on the kernel is told how the file is read; below, telling costs more than it brings.
const ADVISED_BYTES: u64 = 1 << 20;
/// How much of a large file is read before the kernel is told that its pages are not needed again.
const RELEASE_BYTES: u64 = 8 << 20;

/// Whether the content that was read is what the file held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was written meanwhile.
    Unchanged,
    /// It was written to, truncated or extended: the content may be a mixture. It must not be memorised.
    Changed,
}

/// Reads a regular file from its beginning to where it ended when it was opened.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: OwnedFd,
    opened: Stat,
    path: Vec<u8>,
    position: u64,
    released: u64,
    ended_early: bool,
}

impl FileReader {
    pub(super) fn new(file: OwnedFd, opened: Stat, path: &[u8]) -> Self {
        if opened.size >= ADVISED_BYTES {
            // A hint that is refused changes nothing.
            _ = fadvise(&file, 0, None, Advice::Sequential);
        }
        Self { file, opened, path: path.to_vec(), position: 0, released: 0, ended_early: false }
    }

    /// Reads into `buffer` and returns how much; 0 at the end. Never more comes than the file held when it was opened,
    /// so a file that is written to for ever ends too.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let left = self.opened.size - self.position;
        let limit = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if limit == 0 || self.ended_early {
            return Ok(0);
        }
        let read = loop {
            match io::read(&self.file, &mut buffer[..limit]) {
                Err(Errno::INTR) => {}
                result => break result.map_err(|error| SourceError::new(&self.path, Action::Read, error))?,
            }
        };
        self.ended_early = read == 0;
        self.position += read as u64;
        if self.position - self.released >= RELEASE_BYTES {
            self.release();
        }
        Ok(read)
    }

    /// How many bytes are left of what the file held when it was opened.
    pub(crate) fn remaining(&self) -> u64 {
        self.opened.size - self.position
    }

    /// Looks at the file once more. A read that stopped before the end counts as a change.
    pub(crate) fn finish(mut self) -> Result<Verdict, SourceError> {
        if self.opened.size >= ADVISED_BYTES {
            self.release();
        }
        let now = Stat::of_open(&self.file).map_err(|error| SourceError::new(&self.path, Action::Stat, error))?;
        let same = self.position == self.opened.size
            && (now.ctime_ns, now.mtime_ns, now.size) == (self.opened.ctime_ns, self.opened.mtime_ns, self.opened.size);
        Ok(if same { Verdict::Unchanged } else { Verdict::Changed })
    }

    /// Tells the kernel that what was read may leave its cache, as stock does: a backup should not push out what the
    /// game needs.
    fn release(&mut self) {
        let len = self.position - self.released;
        if let Some(len) = std::num::NonZero::new(len) {
            _ = fadvise(&self.file, self.released, Some(len), Advice::DontNeed);
        }
        self.released = self.position;
    }
}

impl AsFd for FileReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Opens what `name` in a directory is, without following a symlink, without waiting for the other end of a FIFO, and
/// where permitted without leaving a trace in its access time.
pub(super) fn open_beneath(directory: impl AsFd, name: &[u8], more: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    match openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may ask for that.
        Err(Errno::PERM) => openat(directory, name, flags, Mode::empty()),
        result => result,
    }
}
