//! The one place where an error becomes text and an exit code.
//!
//! ```text
//! error: what could not be done
//! caused by: why
//! hint: what to do about it
//! ```

mod hints;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::commands::OutputError;
use crate::escape::escape;

/// How a command ended that did what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Done {
    /// All is well.
    Well,
    /// Something was amiss, and was said.
    WithWarnings,
}

impl Done {
    /// The end of a command that gave so many warnings.
    pub(crate) fn with(warnings: u64) -> Self {
        if warnings == 0 { Self::Well } else { Self::WithWarnings }
    }
}

/// Says how a command ended, on standard error if it failed, and gives the exit code.
pub(crate) fn end(result: anyhow::Result<Done>) -> ExitCode {
    match result {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::WithWarnings) => ExitCode::from(1),
        // Who reads the first lines only has what he wanted.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(2)
        }
    }
}

/// Says what failed, its causes and what to do, on standard error.
pub(crate) fn say(error: &anyhow::Error) {
    // Where nobody can be told, the exit code still tells.
    let _ = writeln!(io::stderr(), "{}", text(error));
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<OutputError>().is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
}

/// The error, its causes and what to do, each on a line of its own.
fn text(error: &anyhow::Error) -> String {
    let mut lines = Vec::new();
    let mut said = String::new();
    for (index, cause) in error.chain().enumerate() {
        let line = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if index > 0 && said.ends_with(&line) {
            continue;
        }
        let label = if index == 0 { "error" } else { "caused by" };
        lines.push(format!("{label}: {}", escape(&line)));
        said = line;
    }
    lines.extend(advice(error.as_ref()).map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

/// What to do about an error or what has caused it.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    anyhow::Chain::new(error).find_map(hint)
}

/// What to do about an error, its causes not counted. Only what is to be copied stands on lines of its own.
fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut hint = escape(&hints::hint(error)?).into_owned();
    for line in hints::lines(error) {
        hint.push_str("\n    ");
        hint.push_str(&escape(&line));
    }
    Some(hint)
}

/// What mounts a directory of the host in the compose file, line by line.
pub(crate) fn mount(directory: &Path) -> String {
    hints::mount("./backups", directory).join("\n")
}

/// The error and its causes in one line, for the log.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    escape(&worldkeeper_core::error_text(error)).into_owned()
}
