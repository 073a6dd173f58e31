//! Items go beneath a directory.

use std::path::Path;

use worldkeeper_archive::Item;

use super::ExtractError;
use super::sink::{Content, Sink, SinkError};
use crate::restore::{FileWriter, RestoreError, RestoreOptions, Target, Unset};

/// Restores items beneath a directory.
pub(super) struct Directory {
    target: Target,
    file: Option<FileWriter>,
}

impl Directory {
    /// Opens the directory, or makes it. `report` is told of every attribute that cannot be set.
    pub(super) fn open(
        path: &Path,
        options: RestoreOptions,
        report: impl FnMut(Unset) + Send + 'static,
    ) -> Result<Self, RestoreError> {
        Ok(Self { target: Target::open(path, options, report)?, file: None })
    }
}

impl Sink for Directory {
    fn begin(&mut self, item: &Item, _: u64) -> Result<Content, SinkError> {
        self.file = self.target.place(item)?;
        Ok(if self.file.is_some() { Content::Wanted } else { Content::None })
    }

    fn write(&mut self, content: &[u8]) -> Result<(), SinkError> {
        Ok(self.file.as_mut().map_or(Ok(()), |file| file.write(content))?)
    }

    fn end(&mut self) -> Result<(), SinkError> {
        Ok(self.file.take().map_or(Ok(()), |file| file.finish(&mut self.target))?)
    }

    /// Dropping the writer leaves what was there before: half a file must not pass for a whole one.
    fn abandon(&mut self) -> Result<(), ExtractError> {
        self.file = None;
        Ok(())
    }

    /// Directories wait for their attributes until their content is there. What is there by now gets them even if no
    /// more comes.
    fn finish(self) {
        drop(self.file);
        self.target.finish();
    }
}

/// One item that cannot be restored is its own affair, a target that takes nothing more is the end.
impl From<RestoreError> for SinkError {
    fn from(error: RestoreError) -> Self {
        match error {
            error if error.concerns_target() => Self::End(error.into()),
            error @ RestoreError::Device { .. } => Self::LeftOut(Box::new(error)),
            error => Self::item(error),
        }
    }
}
