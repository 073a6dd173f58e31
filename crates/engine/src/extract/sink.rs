//! Where restored items go: the end of the pipeline hands them over in archive order.

use std::error::Error;

use worldkeeper_archive::Item;

use super::ExtractError;
use crate::restore::RestoreError;
use crate::session::SessionError;

/// Takes the items of an archive, one after the other, each with its content.
pub(crate) trait Sink {
    /// Returns whether an item takes the place of an earlier one that has the same path.
    fn has_places(&self) -> bool {
        true
    }

    /// Begins an item, whose chunks have `size` bytes together.
    fn begin(&mut self, item: &Item, size: u64) -> Result<Content, SinkError>;

    /// Takes the next piece of the content of the item that was begun.
    fn write(&mut self, content: &[u8]) -> Result<(), SinkError>;

    /// Ends the content.
    fn end(&mut self) -> Result<(), SinkError>;

    /// Is told that no more of the content comes. Fails if the sink cannot go on without it.
    fn abandon(&mut self) -> Result<(), ExtractError>;

    /// Is told that the list of items has a gap here. Fails if the sink must not lack what was in it.
    fn gap(&mut self, _error: SessionError) -> Result<(), ExtractError> {
        Ok(())
    }

    /// Is told that no more items come, whether all came or not.
    fn finish(self);
}

/// Whether an item's content is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// It is; `end` or `abandon` follows.
    Wanted,
    /// The item is done.
    None,
}

/// Why an item is not where it should be.
pub(crate) enum SinkError {
    /// Nobody asked for what it is.
    LeftOut(Box<dyn Error + Send + Sync>),
    /// It cannot be restored; the next one may fare better.
    Item(Box<dyn Error + Send + Sync>),
    /// None will.
    End(ExtractError),
}

impl SinkError {
    /// A failure that is the item's own.
    pub(crate) fn item(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Item(Box::new(error))
    }

    /// Requires that as much was written as the item says, if it says so.
    pub(crate) fn unless_whole(path: Vec<u8>, expected: Option<u64>, written: u64) -> Result<(), Self> {
        match expected {
            Some(expected) if expected != written => Err(Self::item(RestoreError::Size { path, expected, written })),
            _ => Ok(()),
        }
    }
}
