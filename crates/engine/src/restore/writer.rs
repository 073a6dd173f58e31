//! A regular file that is being restored.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{SeekFrom, ftruncate, seek};
use rustix::io::{self, Errno, fcntl_dupfd_cloexec};
use worldkeeper_archive::Item;

use super::attributes::Object;
use super::beside::Beside;
use super::error::RestoreError;
use super::target::Target;
use super::there::There;

/// A regular file that is being restored, chunk after chunk. It takes its place when it is [finished](Self::finish);
/// dropped before, it leaves what is there as it is: half a file must not pass for a whole one.
#[derive(Debug)]
#[must_use = "a file that is dropped before it is finished is not restored"]
pub(crate) struct FileWriter {
    file: OwnedFd,
    beside: Beside,
    name: Vec<u8>,
    item: Item,
    written: u64,
    sparse: bool,
    /// Whether the last chunk is a hole, which the file does not reach to the end of by itself.
    ends_in_hole: bool,
}

impl FileWriter {
    /// A file beside its place, which has the name `name`.
    pub(super) fn new(file: OwnedFd, beside: Beside, name: &[u8], item: Item, sparse: bool) -> Self {
        Self { file, beside, name: name.to_vec(), item, written: 0, sparse, ends_in_hole: false }
    }

    /// Appends the next chunk. As stock, only whole chunks become holes.
    pub(crate) fn write(&mut self, mut chunk: &[u8]) -> Result<(), RestoreError> {
        self.ends_in_hole = self.sparse && is_zeros(chunk);
        if self.ends_in_hole {
            self.written += chunk.len() as u64;
            let moved = seek(&self.file, SeekFrom::Start(self.written));
            return moved.map(|_| ()).map_err(|error| RestoreError::io(&self.item.path, "write", error));
        }
        while !chunk.is_empty() {
            match io::write(&self.file, chunk) {
                Ok(written) => {
                    chunk = &chunk[written..];
                    self.written += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(RestoreError::io(&self.item.path, "write", error)),
            }
        }
        Ok(())
    }

    /// Ends the content, sets the attributes and puts the file in its place. One whose length is not what its item
    /// says stays, but is an error. One whose lost content was replaced by zeros takes the place of no other file.
    pub(crate) fn finish(self, target: &mut Target) -> Result<(), RestoreError> {
        let Self { file, beside, name, item, written, ends_in_hole, .. } = self;
        if ends_in_hole {
            ftruncate(&file, written).map_err(|error| RestoreError::io(&item.path, "write", error))?;
        }
        require_written(&file).map_err(|error| RestoreError::io(&item.path, "write", error))?;
        let there = beside.look(&name);
        if item.chunks_healthy.is_some() && there != There::Other {
            target.setter().set(Object::Open(file.as_fd()), &item);
            let moved = beside.move_to(&with_zeros(&name));
            moved.map_err(|error| RestoreError::io(&item.path, "create what goes beside", error))?;
            return Err(RestoreError::Zeroed { beside: with_zeros(&item.path), path: item.path });
        }
        let failed = |action, error: std::io::Error| RestoreError::io(&item.path, action, error);
        let file = if there == There::MountedFile {
            let poured = beside.pour_into(&name).map_err(|error| failed("write", error))?;
            require_written(&poured).map_err(|error| failed("write", error))?;
            target.setter().set(Object::Open(poured.as_fd()), &item);
            poured
        } else {
            target.setter().set(Object::Open(file.as_fd()), &item);
            beside.move_to(&name).map_err(|error| failed("create", error.into()))?;
            file
        };
        target.is_placed(&item);
        target.setter().set_flags(Object::Open(file.as_fd()), &item);
        match item.size {
            Some(expected) if expected != written => Err(RestoreError::Size { path: item.path, expected, written }),
            _ => Ok(()),
        }
    }
}

/// Asks for the errors that a file system says only when a file is closed: one of a network, or of FUSE, may find its disk
/// full, or a quota met, as late as that. The file itself is needed yet, so it is a duplicate of its descriptor that is closed.
fn require_written(file: &OwnedFd) -> std::io::Result<()> {
    loop {
        match nix::unistd::close(fcntl_dupfd_cloexec(file, 0)?) {
            // It is closed all the same, and nothing is known.
            Err(nix::errno::Errno::EINTR) => {}
            closed => return Ok(closed?),
        }
    }
}

/// The name or path of a file that goes beside another one of this name or path.
fn with_zeros(name: &[u8]) -> Vec<u8> {
    [name, b".with-zeros"].concat()
}

fn is_zeros(chunk: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    chunk.chunks(ZEROS.len()).all(|piece| *piece == ZEROS[..piece.len()])
}
