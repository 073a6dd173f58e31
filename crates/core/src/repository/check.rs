//! The words of a repository's own check: what it looks at, what it finds, how it ended.
//!
//! This is borg's first phase, which knows of objects but not of what they mean: are the stored bytes what was
//! written, and does the index say where they are? What archives are made of is checked above.

use std::fmt;
use std::time::Duration;

use crate::ChunkId;

/// What a check looks at, and what it may change. The default looks at everything and changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Mend what is found. Needs the exclusive lock; repositories that are append-only refuse it.
    pub repair: bool,
    /// Look at entries only, not at the index, and for this long; the next check with a limit goes on where this one
    /// ends. The place is noted in the repository, so this needs the exclusive lock. Not together with `repair`.
    pub max_duration: Option<Duration>,
}

/// Told while a check goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CheckEvent<'a> {
    /// Something was found.
    Found(&'a Finding),
    /// So many of all segments have been looked at.
    Progress {
        /// Segments done.
        done: u64,
        /// All segments.
        total: u64,
    },
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, but nothing is wrong with what is stored: what a crash leaves, which the next writer cleans up.
    Note,
    /// The repository is not what was written.
    Problem,
}

/// One thing a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The segment it is about.
    pub segment: Option<u32>,
    /// Where in the segment, in bytes.
    pub offset: Option<u64>,
    /// The object it is about.
    pub id: Option<ChunkId>,
    /// What is the matter, and what was done about it.
    pub what: String,
}

impl Finding {
    /// Something that is wrong.
    pub fn problem(what: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, segment: None, offset: None, id: None, what: what.into() }
    }

    /// Something worth knowing.
    pub fn note(what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::problem(what) }
    }

    /// Says which segment it is about.
    #[must_use]
    pub fn in_segment(self, segment: u32) -> Self {
        Self { segment: Some(segment), ..self }
    }

    /// Says where in the segment it is.
    #[must_use]
    pub fn at(self, offset: impl Into<u64>) -> Self {
        Self { offset: Some(offset.into()), ..self }
    }

    /// Says which object it is about.
    #[must_use]
    pub fn of(self, id: ChunkId) -> Self {
        Self { id: Some(id), ..self }
    }
}

/// Places first: `segment 7, offset 1234, object 0123…: what`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.segment.map(|segment| format!("segment {segment}"));
        let offset = self.offset.map(|offset| format!("offset {offset}"));
        let id = self.id.map(|id| format!("object {id}"));
        let places: Vec<_> = [segment, offset, id].into_iter().flatten().collect();
        let colon = if places.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", places.join(", "), self.what)
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepositoryCheck {
    /// Segments that were looked at.
    pub segments: u64,
    /// Objects that the segments hold, each counted once; 0 if the check was limited to entries.
    pub objects: u64,
    /// Findings that are problems.
    pub problems: u64,
    /// The problems that are still there: all of them without `repair`.
    pub remaining: u64,
    /// The time was up before the last segment; the next check with a limit goes on there.
    pub unfinished: bool,
}

impl RepositoryCheck {
    /// Returns whether the repository is in order now.
    pub fn is_sound(&self) -> bool {
        self.remaining == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_place_before_it_says_what_is_wrong() {
        let id = ChunkId([0xab; 32]);
        for (finding, text) in [
            (Finding::problem("it is gone"), "it is gone".to_owned()),
            (Finding::note("it is empty").in_segment(7), "segment 7: it is empty".to_owned()),
            (
                Finding::problem("torn").in_segment(7).at(8u32).of(id),
                format!("segment 7, offset 8, object {}: torn", "ab".repeat(32)),
            ),
        ] {
            assert_eq!(finding.to_string(), text);
        }
    }
}
