//! A regular file that is being restored.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::{self, Errno};
use worldkeeper_archive::Item;

use super::attributes::Object;
use super::error::{Attribute, RestoreError};
use super::target::Target;

/// A regular file that is being restored, chunk after chunk. Dropped before [`finish`](Self::finish), it is removed
/// again: half a file must not pass for a whole one.
#[derive(Debug)]
#[must_use = "a file that is dropped before it is finished is removed"]
pub(crate) struct FileWriter {
    file: OwnedFd,
    item: Item,
    written: u64,
    directory: Arc<OwnedFd>,
    name: Vec<u8>,
    finished: bool,
}

impl FileWriter {
    pub(super) fn new(file: OwnedFd, item: Item, directory: Arc<OwnedFd>, name: &[u8]) -> Self {
        Self { file, item, written: 0, directory, name: name.to_vec(), finished: false }
    }

    /// Appends the next chunk.
    pub(crate) fn write(&mut self, mut chunk: &[u8]) -> Result<(), RestoreError> {
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

    /// Ends the content and sets the attributes. A file whose length is not what its item says stays, but is an error.
    pub(crate) fn finish(mut self, target: &mut Target) -> Result<(), RestoreError> {
        self.finished = true;
        target.setter().set(Object::Open(self.file.as_fd()), &self.item);
        if self.item.chunks_healthy.is_some() {
            let lost = std::io::Error::other("chunks were lost, and a repair put zeros in their place");
            target.setter().unset(&self.item, Attribute::LostContent, lost);
        }
        match self.item.size {
            Some(expected) if expected != self.written => {
                Err(RestoreError::Size { path: self.item.path.clone(), expected, written: self.written })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done where even this fails.
            _ = unlinkat(&self.directory, self.name.as_slice(), AtFlags::empty());
        }
    }
}
