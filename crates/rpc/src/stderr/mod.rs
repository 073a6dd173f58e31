//! What a server writes to its error stream: log lines, progress, and whatever else gets there.
//!
//! | line                              | from                                                                   |
//! |-----------------------------------|------------------------------------------------------------------------|
//! | `{"type": "log_message", ..}`     | 1.1 and newer, after negotiation                                       |
//! | `{"type": "progress_percent", ..}`| the same, while it checks, compacts or replays                         |
//! | `$LOG LEVEL logger Remote: text`  | the same before negotiation                                            |
//! | `$LOG LEVEL Remote: text`         | 1.0                                                                    |
//! | anything else                     | Python before it logs, ssh, a login script                             |
//!
//! The end of this stream is the end of the connection for a stock client, even while the other stream is open.
//!
//! Source: borg 1.4 `remote.py`, `handle_remote_line`; `logger.py`, `setup_logging` and `JsonFormatter`.

mod lines;
mod parse;
mod write;

pub use lines::Lines;

/// A line of a server. All text in it is escaped, fit for a terminal and a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// Something it logs.
    Log(LogMessage),
    /// How far it is with something that takes long.
    Progress(Progress),
    /// JSON of a type that is not known here; stock's client drops it with a warning.
    UnknownType(String),
    /// Anything else, in which there is no telling how much it matters.
    Text(String),
}

/// A message of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMessage {
    /// How much it matters.
    pub level: Level,
    /// The logger's name; empty from servers of 1.0.
    pub logger: String,
    /// The text.
    pub message: String,
    /// What borg calls it, if it has a name.
    pub msgid: Option<String>,
}

/// How far something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tells operations apart.
    pub operation: i64,
    /// What is done, as borg calls it: `repository.check`, `repository.compact_segments`.
    pub msgid: Option<String>,
    /// The text for a person.
    pub message: Option<String>,
    /// What is done, and what is to be done, in steps.
    pub steps: Option<(u64, u64)>,
    /// It is done.
    pub finished: bool,
}

/// Python's levels of logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is odd.
    Warning,
    /// Something went wrong.
    Error,
    /// Nothing goes on; also what has no level that is known.
    Critical,
}

impl Level {
    /// Python's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    fn from_name(name: &str) -> Self {
        let known = [Self::Debug, Self::Info, Self::Warning, Self::Error];
        known.into_iter().find(|level| level.name() == name).unwrap_or(Self::Critical)
    }
}
