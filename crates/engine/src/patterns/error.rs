//! What can be wrong with patterns: how they are written (nothing is done), or how long they take (one object).

use std::error::Error as StdError;

use thiserror::Error;

/// A pattern or a command cannot be understood.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A command is none of borg's.
    #[error("{line:?} begins with none of +, -, !, R and P")]
    NoCommand {
        /// All of it.
        line: String,
    },
    /// A command says what to do, but not to what.
    #[error("{line:?} is a command without a value")]
    NoValue {
        /// All of it.
        line: String,
    },
    /// A style is none of borg's.
    #[error("there is no pattern style {style:?}; expected fm, sh, re, pp or pf")]
    NoStyle {
        /// Its name.
        style: String,
    },
    /// A pattern has no meaning, or needs too much room.
    #[error("the pattern {pattern:?} cannot be compiled")]
    Invalid {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        reason: Box<dyn StdError + Send + Sync>,
    },
    /// Something is wrong within a file.
    #[error("line {number}")]
    Line {
        /// Which line, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        reason: Box<PatternError>,
    },
}

impl PatternError {
    pub(super) fn on_line(self, number: usize) -> Self {
        Self::Line { number, reason: Box::new(self) }
    }
}

/// A regular expression needs so many attempts at a path that whether it matches is not found out.
#[derive(Debug, Error)]
#[error("the pattern {pattern:?} takes too long to match")]
pub struct PatternTooSlow {
    /// The pattern, as it was given.
    pub pattern: String,
}
