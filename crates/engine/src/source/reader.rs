//! The content of one regular file, while others may write to it; or of a FIFO or device that is read as one.
//!
//! Where the file system tells of a hole, the reader can be told to pass over it.

use std::io as std_io;
use std::num::NonZero;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, Mode, OFlags, SeekFrom, fadvise, openat, seek};
use rustix::io::{self, Errno};

use super::entry::Special;
use super::error::{Action, SourceError};
use super::pulse::Pulse;
use super::residence;
use super::stat::Stat;

/// From this size on the kernel is told how the file is read; below, telling costs more than it brings.
const ADVISED_BYTES: u64 = 1 << 20;
/// How much of a large file is read before the kernel is told that its pages are not needed again.
const RELEASE_BYTES: u64 = 8 << 20;
/// For how much of it the kernel is asked at a time what it had in memory.
const STRETCH: u64 = 32 << 20;

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
    /// Up to where it is known what was in memory, and what was not.
    looked_until: u64,
    absent: Vec<Range<u64>>,
    ended_early: bool,
    /// It comes as it comes: nobody knows how much it is, and it is read once.
    is_stream: bool,
    /// Up to where there is no hole, as far as that is known.
    data_until: u64,
    pulse: Pulse,
}

impl FileReader {
    /// What is said if the file is cut into too many chunks.
    pub(crate) fn too_many_chunks(&self) -> SourceError {
        SourceError::too_many_chunks(&self.path)
    }

    pub(super) fn new(file: OwnedFd, opened: Stat, path: &[u8], pulse: Pulse) -> Self {
        if opened.size >= ADVISED_BYTES {
            // A hint that is refused changes nothing.
            _ = fadvise(&file, 0, None, Advice::Sequential);
        }
        let path = path.to_vec();
        Self {
            file,
            opened,
            path,
            position: 0,
            released: 0,
            looked_until: 0,
            absent: Vec::new(),
            ended_early: false,
            is_stream: false,
            data_until: 0,
            pulse,
        }
    }

    /// Of a FIFO or device: to where it ends, if it does.
    pub(super) fn of_stream(file: OwnedFd, opened: Stat, path: &[u8], pulse: Pulse) -> Self {
        let endless = Stat { size: u64::MAX, ..opened };
        Self { is_stream: true, data_until: u64::MAX, ..Self::new(file, endless, path, pulse) }
    }

    /// Reads into `buffer` and returns how much; 0 at the end. Never more comes than the file held when it was opened,
    /// so a file that is written to for ever ends too.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let left = self.opened.size - self.position;
        let limit = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if limit == 0 || self.ended_early {
            return Ok(0);
        }
        self.look_ahead();
        let read = loop {
            let buffer = &mut buffer[..limit];
            let read = if self.is_stream {
                io::read(&self.file, buffer)
            } else {
                io::pread(&self.file, buffer, self.position)
            };
            match read {
                Err(Errno::INTR) => {}
                result => break result.map_err(|error| SourceError::new(&self.path, Action::Read, error))?,
            }
        };
        self.pulse.goes_on();
        self.ended_early = read == 0;
        self.position += read as u64;
        if self.position.saturating_sub(self.released) >= RELEASE_BYTES {
            self.release();
        }
        Ok(read)
    }

    /// Fills `buffer` with what lies at `offset` now, wherever the next read begins.
    pub(crate) fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> std_io::Result<()> {
        while !buffer.is_empty() {
            match io::pread(&self.file, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(std_io::ErrorKind::UnexpectedEof.into()),
                read => {
                    let read = read?;
                    offset += read as u64;
                    buffer = &mut buffer[read..];
                }
            }
            self.pulse.goes_on();
        }
        Ok(())
    }

    /// What the kernel said of the file when it was opened.
    pub(crate) fn opened(&self) -> &Stat {
        &self.opened
    }

    /// What it says now.
    pub(crate) fn stat(&self) -> std_io::Result<Stat> {
        Ok(Stat::of_open(&self.file)?)
    }

    /// Returns whether it was written to since it was opened, as far as its times and its size tell.
    pub(crate) fn has_changed(&self) -> std_io::Result<bool> {
        let now = self.stat()?;
        let opened = &self.opened;
        Ok((now.ctime_ns, now.mtime_ns, now.size) != (opened.ctime_ns, opened.mtime_ns, opened.size))
    }

    /// Where the next read begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What the file held when it was opened, in bytes; more than any holds if that is not known.
    pub(crate) fn size(&self) -> u64 {
        self.opened.size
    }

    /// Lets the next read begin elsewhere: at what was read, or behind what need not be.
    pub(crate) fn go_to(&mut self, position: u64) {
        self.position = position.min(self.opened.size);
        self.released = self.released.max(self.position);
    }

    /// How many zeros from `position` on need not be read, because the file system has nothing there.
    ///
    /// It says so of what the file holds now: what was cut off meanwhile is no hole.
    pub(crate) fn hole_at(&mut self, position: u64) -> u64 {
        if position < self.data_until || position >= self.opened.size {
            return 0;
        }
        let end = match seek(&self.file, SeekFrom::Data(position)) {
            Ok(data) if data > position => data,
            Ok(_) => {
                // Where nobody can say, all is data.
                self.data_until = seek(&self.file, SeekFrom::Hole(position)).unwrap_or(u64::MAX);
                return 0;
            }
            // Nothing comes any more, or the end lies before.
            Err(Errno::NXIO) => Stat::of_open(&self.file).map_or(0, |now| now.size),
            Err(_) => {
                self.data_until = u64::MAX;
                return 0;
            }
        };
        end.min(self.opened.size).saturating_sub(position)
    }

    /// How many bytes from `position` on are data, to the next hole or the end; as found by [`hole_at`](Self::hole_at).
    pub(crate) fn data_at(&self, position: u64) -> u64 {
        self.data_until.min(self.opened.size).saturating_sub(position)
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
        if self.is_stream {
            return Ok(Verdict::Unchanged);
        }
        let has_changed = self.has_changed().map_err(|error| SourceError::new(&self.path, Action::Stat, error))?;
        let same = self.position == self.opened.size && !has_changed;
        Ok(if same { Verdict::Unchanged } else { Verdict::Changed })
    }

    /// Before a large file is read: asks what of it is in memory already.
    fn look_ahead(&mut self) {
        if self.position < self.looked_until || self.opened.size < ADVISED_BYTES || self.is_stream {
            return;
        }
        self.release();
        self.looked_until = self.opened.size.min(self.position + STRETCH);
        self.absent = residence::absent(&self.file, self.position..self.looked_until);
    }

    /// Tells the kernel that what was read may leave its cache, as stock does, unless it was there before: a backup should
    /// not push out what the game needs.
    fn release(&mut self) {
        for part in &self.absent {
            let (start, end) = (part.start.max(self.released), part.end.min(self.position));
            if let Some(len) = NonZero::new(end.saturating_sub(start)) {
                _ = fadvise(&self.file, start, Some(len), Advice::DontNeed);
            }
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
    open_without_trace(directory, name, OFlags::NOFOLLOW | OFlags::NONBLOCK | more)
}

/// Opens a FIFO or device, and waits until there is somebody at the other end.
pub(super) fn open_special(directory: impl AsFd, name: &[u8], special: Special) -> io::Result<OwnedFd> {
    let flags = match special {
        Special::Itself => OFlags::NOFOLLOW,
        Special::Target => OFlags::empty(),
    };
    open_without_trace(directory, name, flags)
}

fn open_without_trace(directory: impl AsFd, name: &[u8], more: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    match openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may ask for that.
        Err(Errno::PERM) => openat(directory, name, flags, Mode::empty()),
        result => result,
    }
}
