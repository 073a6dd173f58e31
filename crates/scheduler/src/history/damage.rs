//! What checks and restores have found damaged, and nobody has found mended since.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::moment;

/// Damage of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found.
    #[serde(with = "moment")]
    pub found: Timestamp,
    /// How much, as checks count, or in how many files.
    pub problems: u64,
    /// Where it is.
    pub place: Checked,
}

/// What a check looks at, or has to look at to find damage again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checked {
    /// The stored bytes and the index.
    pub repository: bool,
    /// What they mean, of all archives.
    pub archives: bool,
    /// The content of every object, too.
    pub data: bool,
}

/// How a check, a repair or a restore left a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Damage is left.
    Damaged(Damage),
    /// There is none in what was looked at.
    Sound(Checked),
}

impl Checked {
    /// Returns whether damage in `place` would have been seen.
    fn covers(self, place: Self) -> bool {
        (self.repository || !place.repository) && (self.archives || !place.archives) && (self.data || !place.data)
    }

    fn and(self, other: Self) -> Self {
        Self {
            repository: self.repository || other.repository,
            archives: self.archives || other.archives,
            data: self.data || other.data,
        }
    }
}

impl Verdict {
    /// What is known to be damaged now, of what was.
    pub(super) fn apply(&self, before: Option<Damage>) -> Option<Damage> {
        match self {
            // Who has found this need not have looked for what was found before.
            Self::Damaged(damage) => {
                let place = before.map_or(damage.place, |before| damage.place.and(before.place));
                Some(Damage { place, ..damage.clone() })
            }
            Self::Sound(checked) => before.filter(|damage| !checked.covers(damage.place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_gone_when_who_looks_as_closely_finds_none() {
        let checked = |text: &str| Checked {
            repository: text.contains('r'),
            archives: text.contains('a'),
            data: text.contains('d'),
        };
        for (place, look, is_left) in [
            ("r", "r", false),
            ("r", "ra", false),
            ("r", "a", true),
            ("r", "", true),
            ("a", "r", true),
            ("a", "ra", false),
            ("ad", "ra", true),
            ("ad", "rad", false),
            ("ad", "ad", false),
        ] {
            let damage = Damage { found: Timestamp::UNIX_EPOCH, problems: 1, place: checked(place) };
            let left = Verdict::Sound(checked(look)).apply(Some(damage.clone()));
            assert_eq!(left.is_some(), is_left, "{place}, {look}");
            let more = Damage { problems: 2, place: checked("r"), ..damage.clone() };
            let known = Verdict::Damaged(more.clone()).apply(Some(damage)).unwrap();
            assert_eq!((known.problems, known.place), (2, checked(&format!("r{place}"))));
            assert_eq!(Verdict::Damaged(more.clone()).apply(None), Some(more));
        }
    }
}
