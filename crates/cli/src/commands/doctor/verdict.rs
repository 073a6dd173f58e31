//! What was looked at, and what is to be said of it.

use std::error::Error;

use serde::Serialize;

use crate::report;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Nobody has looked, for it needs something else that failed.
    NotTried,
    /// There is no way to tell.
    Unknown,
    /// Backups are made, and somebody should look.
    Warning,
    /// No backup can be made like this.
    Failed,
}

impl Verdict {
    /// In words of the same width at most.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotTried => "not tried",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What.
    #[serde(rename = "check")]
    pub(super) name: &'static str,
    /// How it is.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Check {
    /// Something that is as it should be.
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    /// Something that cannot be told, and why.
    pub(super) fn unknown(name: &'static str, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::ok(name, why) }
    }

    /// Something nobody has looked at, and why.
    pub(super) fn not_tried(name: &'static str, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotTried, ..Self::ok(name, why) }
    }

    /// Something to look at, and what to do.
    pub(super) fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(name, found) }
    }

    /// What keeps backups from being made, and what to do.
    pub(super) fn failed(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::warning(name, found, remedy) }
    }

    /// What keeps backups from being made, in the words and with the hint of its error.
    pub(super) fn error(name: &'static str, error: &(dyn Error + 'static)) -> Self {
        let check = Self { verdict: Verdict::Failed, ..Self::ok(name, report::chain(error)) };
        Self { remedy: report::advice(error), ..check }
    }
}
