//! Standard output, for what a command answers.

use std::io::{self, BufWriter, Stdout, Write};

/// Lines on standard output.
pub(super) struct Output(BufWriter<Stdout>);

/// Standard output takes nothing more. Usual where somebody reads only the first lines.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[source] pub(crate) io::Error);

impl Output {
    /// Begins to write.
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), OutputError> {
        writeln!(self.0, "{line}").map_err(OutputError)
    }

    /// Writes out what is still held back.
    pub(super) fn finish(mut self) -> Result<(), OutputError> {
        self.0.flush().map_err(OutputError)
    }
}
