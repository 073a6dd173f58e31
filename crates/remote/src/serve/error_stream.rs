//! What a client is told beside its answers: log lines, and how far something is.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use worldkeeper_core::Clock;
use worldkeeper_rpc::stderr::{Level, LogMessage, Progress};

/// The error stream of a server. Clones write to the same one.
///
/// Whoever cannot be told is not told: that a line cannot be written ends nothing. The next answer will find out.
#[derive(Clone)]
pub struct ErrorStream(Arc<Shared>);

struct Shared {
    stream: Mutex<Box<dyn Write + Send>>,
    clock: Arc<dyn Clock>,
    /// What matters less is not said.
    level: Level,
    /// The client understands JSON.
    is_json: AtomicBool,
}

impl ErrorStream {
    /// Writes to `stream`, in the form for clients of which nothing is known yet, what is of `level` or above.
    pub fn new(stream: impl Write + Send + 'static, level: Level, clock: Arc<dyn Clock>) -> Self {
        let stream: Box<dyn Write + Send> = Box::new(stream);
        Self(Arc::new(Shared { stream: Mutex::new(stream), clock, level, is_json: AtomicBool::new(false) }))
    }

    /// From now on in JSON.
    pub fn speak_json(&self) {
        self.0.is_json.store(true, Ordering::SeqCst);
    }

    /// Writes a line of the log, if it matters enough.
    pub fn log(&self, level: Level, logger: &str, message: &str) {
        if level < self.0.level {
            return;
        }
        let message = LogMessage { level, logger: logger.to_owned(), message: message.to_owned(), msgid: None };
        let lines = if self.is_json() { message.to_json_line(self.now()) } else { message.to_legacy_lines() };
        self.write(&lines);
    }

    /// Says how far something is; to those clients that understand it.
    pub(super) fn progress(&self, progress: &Progress) {
        if self.is_json() {
            self.write(&progress.to_json_line(self.now()));
        }
    }

    fn is_json(&self) -> bool {
        self.0.is_json.load(Ordering::SeqCst)
    }

    fn now(&self) -> f64 {
        self.0.clock.now().as_millisecond() as f64 / 1000.0
    }

    fn write(&self, lines: &str) {
        let mut stream = self.0.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.write_all(lines.as_bytes()).and_then(|()| stream.flush());
    }
}

impl fmt::Debug for ErrorStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorStream").field("level", &self.0.level).finish_non_exhaustive()
    }
}
