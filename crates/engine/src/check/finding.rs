//! What a check finds, in the words of the repository's own check.

use std::fmt;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::ChunkId;
use worldkeeper_core::repository::Severity;

/// One thing that a check of the archives has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The archive it is about.
    pub archive: Option<ArchiveName>,
    /// The path in the archive.
    pub path: Option<Vec<u8>>,
    /// The object it is about.
    pub chunk: Option<ChunkId>,
    /// What is the matter, and what was done about it or could be.
    pub what: String,
    /// It is not there any more once the repair is committed. Never without a repair.
    pub is_mended: bool,
}

impl Finding {
    /// Something that is wrong.
    pub(super) fn problem(what: impl Into<String>) -> Self {
        let (archive, path, chunk, what) = (None, None, None, what.into());
        Self { severity: Severity::Problem, archive, path, chunk, what, is_mended: false }
    }

    /// Something worth knowing.
    pub(super) fn note(what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::problem(what) }
    }

    pub(super) fn in_archive(self, archive: &ArchiveName) -> Self {
        Self { archive: Some(archive.clone()), ..self }
    }

    pub(super) fn at(self, path: &[u8]) -> Self {
        Self { path: Some(path.to_vec()), ..self }
    }

    pub(super) fn of(self, chunk: ChunkId) -> Self {
        Self { chunk: Some(chunk), ..self }
    }

    /// Says whether a repair that is under way mends it.
    pub(super) fn mended(self, is_mended: bool) -> Self {
        Self { is_mended, ..self }
    }
}

/// Places first: `archive world-1, path level.dat, object 0123…: what`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archive = self.archive.as_ref().map(|archive| format!("archive {archive}"));
        let path = self.path.as_ref().map(|path| format!("path {}", String::from_utf8_lossy(path)));
        let chunk = self.chunk.map(|chunk| format!("object {chunk}"));
        let places: Vec<_> = [archive, path, chunk].into_iter().flatten().collect();
        let colon = if places.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", places.join(", "), self.what)
    }
}
