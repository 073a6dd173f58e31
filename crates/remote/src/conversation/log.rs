//! What a server says on its error stream, in our log: bounded, whatever it says.

use std::collections::VecDeque;

use tracing::{debug, error, info, warn};
use worldkeeper_rpc::stderr::{Level, Line, Lines};

/// How many lines of one session are logged.
const MAX_LOGGED: usize = 500;
/// How many of the last lines explain why a session has ended.
const LAST_WORDS: usize = 3;
/// The longest line that explains anything.
const MAX_WORDS: usize = 300;

/// Reads a server's lines.
#[derive(Debug, Default)]
pub(super) struct ServerLog {
    lines: Lines,
    logged: usize,
    last: VecDeque<String>,
}

impl ServerLog {
    /// The lines that have ended.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Vec<Line> {
        let lines = self.lines.receive(bytes);
        for line in &lines {
            let text = match line {
                Line::Log(message) if message.level >= Level::Warning => &message.message,
                Line::Text(text) => text,
                _ => continue,
            };
            if self.last.len() == LAST_WORDS {
                self.last.pop_front();
            }
            self.last.push_back(text.chars().take(MAX_WORDS).collect());
        }
        lines
    }

    /// Writes a line into our log.
    pub(super) fn write(&mut self, line: &Line) {
        self.logged += 1;
        match self.logged {
            ..=MAX_LOGGED => log(line),
            // One more, so that it is known.
            count if count == MAX_LOGGED + 1 => warn!("the server says too much, the rest is not logged"),
            _ => {}
        }
    }

    /// What it said last, in one line, with what it had not ended yet.
    pub(super) fn last_words(&mut self) -> String {
        if let Some(Line::Text(text)) = self.lines.finish() {
            self.last.push_back(text.chars().take(MAX_WORDS).collect());
        }
        Vec::from(std::mem::take(&mut self.last)).join(" / ")
    }
}

fn log(line: &Line) {
    match line {
        Line::Log(said) => match said.level {
            Level::Debug => debug!("server: {}", said.message),
            Level::Info => info!("server: {}", said.message),
            Level::Warning => warn!("server: {}", said.message),
            Level::Error | Level::Critical => error!("server: {}", said.message),
        },
        Line::Progress(progress) => {
            if let Some(message) = &progress.message {
                debug!("server: {message}");
            }
        }
        Line::Text(text) => warn!("server: {text}"),
        other => debug!("server: {other:?}"),
    }
}
