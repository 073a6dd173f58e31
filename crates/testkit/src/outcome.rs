//! How a command ended and what it said, with the assertions tests make about it.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Output, Stdio};

/// A command that has ended.
#[must_use = "an outcome nobody looks at hides a failure"]
pub struct Outcome {
    command: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Outcome {
    /// Runs `command` to its end, without standard input.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self::from_output(command, output)
    }

    /// Names the command an output belongs to.
    pub fn from_output(command: &Command, output: Output) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let command = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Self { command, status: output.status, stdout: output.stdout, stderr: output.stderr }
    }

    /// The exit code; `None` if a signal ended the command.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The number of the signal that ended the command.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// What it wrote on standard output, which must be text.
    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|error| panic!("{error} on standard output of {self}"))
    }

    /// What it wrote on standard error; bytes that are no text are replaced.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<String> {
        self.stdout().lines().map(str::to_owned).collect()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// Asserts that each of `words` stands somewhere in what was said, whatever the case of its letters.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let said = self.said();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "{word:?} was not said:\n{self}");
        }
        self
    }

    /// Asserts that `word` was not said.
    #[track_caller]
    pub fn does_not_say(self, word: &str) -> Self {
        assert!(!self.said().contains(&word.to_lowercase()), "{word:?} was said:\n{self}");
        self
    }

    /// Both outputs, in lower case and with line breaks and their indents as single spaces, because messages are wrapped.
    fn said(&self) -> String {
        let both = format!("{}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr());
        both.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command,
            self.status,
            String::from_utf8_lossy(&self.stdout),
            self.stderr()
        )
    }
}
