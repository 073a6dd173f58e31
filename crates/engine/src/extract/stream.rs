//! Content without files: to a stream, or, where an archive is only tried, to nowhere.

use std::io::Write;

use worldkeeper_archive::Item;

use super::ExtractError;
use super::sink::{Content, Sink, SinkError};

/// Writes the content of regular files, one after the other; without an output, looks whether it could.
pub(super) struct Stream<'a> {
    output: Option<&'a mut (dyn Write + Send)>,
    path: Vec<u8>,
    expected: Option<u64>,
    written: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(output: Option<&'a mut (dyn Write + Send)>) -> Self {
        Self { output, path: Vec::new(), expected: None, written: 0 }
    }
}

impl Sink for Stream<'_> {
    /// One file follows the other, unless it is only tried what would come to a directory.
    fn has_places(&self) -> bool {
        self.output.is_none()
    }

    fn begin(&mut self, item: &Item, size: u64) -> Result<Content, SinkError> {
        // A further link has no size and no chunks: its content came with the first.
        let has_content = size > 0 || item.size.is_some();
        (self.path, self.expected, self.written) = (item.path.clone(), item.size, 0);
        Ok(if has_content { Content::Wanted } else { Content::None })
    }

    fn write(&mut self, content: &[u8]) -> Result<(), SinkError> {
        if let Some(output) = &mut self.output {
            output.write_all(content).map_err(|error| SinkError::End(ExtractError::Output(error)))?;
        }
        self.written += content.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<(), SinkError> {
        SinkError::unless_whole(std::mem::take(&mut self.path), self.expected, self.written)
    }

    fn abandon(&mut self) -> Result<(), ExtractError> {
        Ok(())
    }

    fn finish(self) {}
}
