//! How much an archive holds, roughly: enough to tell a world from what is left of one.

use crate::info::Contents;
use crate::session::{ArchiveInfo, OpenArchive, Session, SessionError};

/// How much an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Regular files.
    pub files: u64,
    /// The bytes of their content.
    pub size: u64,
}

impl Extent {
    /// What the archive says itself; the items of one that does not are counted.
    pub fn of(session: &Session, archive: &OpenArchive) -> Result<Self, SessionError> {
        let Contents { files, size, .. } = Contents::of(session, archive)?;
        Ok(Self { files, size })
    }

    /// That of a listed archive; nothing if it is damaged, as what cannot be read is worth nothing.
    pub fn of_listed(session: &Session, archive: &ArchiveInfo) -> Result<Option<Self>, SessionError> {
        match session.open_archive(archive).and_then(|open| Self::of(session, &open)) {
            Ok(extent) => Ok(Some(extent)),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether this is less than half of the other, in files or in bytes: more than a world loses from one archive to
    /// the next, unless it was made anew.
    pub fn is_far_less_than(self, other: Self) -> bool {
        self.files < other.files.div_ceil(2) || self.size < other.size.div_ceil(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_half_is_far_less() {
        let extent = |files, size| Extent { files, size };
        for (this, other, expected) in [
            (extent(1, 9), extent(5, 500_000), true),
            (extent(5, 249), extent(5, 500), true),
            (extent(2, 500), extent(5, 500), true),
            (extent(3, 250), extent(5, 500), false),
            (extent(1, 1), extent(0, 0), false),
            (extent(0, 0), extent(0, 0), false),
            (extent(0, 0), extent(1, 0), true),
        ] {
            assert_eq!(this.is_far_less_than(other), expected, "{this:?} {other:?}");
        }
    }
}
