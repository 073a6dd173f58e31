//! Is this the repository we left?
//!
//! Who can write to a repository's disk can put an older copy of it back, or another one in its place. Neither can be
//! seen in the repository itself; so what was seen last is kept in the state directory and held against what is found.
//! Of a repository that was never seen from here, all that speaks for it is that its manifest proves our key.
//!
//! Source: borg 1.4 `cache.py`, `SecurityManager.assert_secure`.

use jiff::Timestamp;
use worldkeeper_core::{RepositoryId, time};

use crate::state::Known;

/// What the state directory knows about a repository, held against what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is as it was left, or somebody with the key has written since.
    Known,
    /// The same, found at another place.
    Moved {
        /// Where it was.
        from: String,
    },
    /// It was never seen from here: taken over as it is.
    Adopted,
    /// It is not what was left. Only read until the user says otherwise.
    Suspicious(Suspicion),
}

/// Why a repository is not written to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Suspicion {
    /// An older copy of what we knew.
    #[error("the repository is older than it was: its manifest is of {}, one of {} was seen", time::to_text(*found), time::to_text(*seen))]
    RolledBack {
        /// The newest manifest that was seen.
        seen: Timestamp,
        /// The manifest that is there.
        found: Timestamp,
    },
    /// The same repository id with another kind of key.
    #[error("the repository's key type is {found:#04x}, it was {seen:#04x}")]
    OtherKeyType {
        /// The type byte that was seen.
        seen: u8,
        /// The type byte that is there.
        found: u8,
    },
    /// Another repository where one we know was.
    #[error("repository {found} is where repository {seen} was")]
    Replaced {
        /// The id of the one that was seen here.
        seen: RepositoryId,
        /// The id of the one that is there.
        found: RepositoryId,
    },
    /// Never seen from here and without a key, though a passphrase is at hand, or encryption was asked for: anybody could have
    /// made it.
    #[error("the repository is not encrypted, though it should be, so nothing proves that it is the right one")]
    Unproven,
    /// Never seen from here, and its key opens without a passphrase, though encryption was asked for: whoever made it can
    /// read all that goes there.
    #[error(
        "the repository's key has no passphrase, so nothing proves that it is the right one, and others may have it"
    )]
    OpenToAnybody,
}

/// What is known beside what was found.
#[derive(Default)]
pub(super) struct Evidence {
    /// What was last seen of the repository with this id.
    pub(super) known: Option<Known>,
    /// Another repository that was last seen at this location.
    pub(super) other: Option<RepositoryId>,
    /// The manifest proves no key, though a passphrase says that there should be one.
    pub(super) is_unproven: bool,
}

/// Judges a repository.
pub(super) fn judge(id: RepositoryId, found: &Known, evidence: &Evidence) -> Trust {
    if let Some(known) = &evidence.known {
        if known.key_type != found.key_type {
            return Trust::Suspicious(Suspicion::OtherKeyType { seen: known.key_type, found: found.key_type });
        }
        if found.manifest_timestamp < known.manifest_timestamp {
            let (seen, found) = (known.manifest_timestamp, found.manifest_timestamp);
            return Trust::Suspicious(Suspicion::RolledBack { seen, found });
        }
    }
    match (evidence.other, &evidence.known) {
        (Some(seen), _) => Trust::Suspicious(Suspicion::Replaced { seen, found: id }),
        (None, None) if evidence.is_unproven => Trust::Suspicious(Suspicion::Unproven),
        (None, None) => Trust::Adopted,
        // It has no location where another one was accepted in its place.
        (None, Some(known)) if !known.location.is_empty() && known.location != found.location => {
            Trust::Moved { from: known.location.clone() }
        }
        (None, Some(_)) => Trust::Known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RepositoryId = RepositoryId([1; 32]);
    const OTHER: RepositoryId = RepositoryId([2; 32]);

    fn seen(key_type: u8, location: &str, second: i64) -> Known {
        let manifest_timestamp = Timestamp::from_second(second).unwrap();
        Known { key_type, location: location.into(), manifest_timestamp, tam_required: true }
    }

    /// Judges what was found where `/r`, of key type 5 and second 100, was seen.
    fn judged(found: &Known, other: Option<RepositoryId>, is_unproven: bool) -> Trust {
        judge(ID, found, &Evidence { known: Some(seen(5, "/r", 100)), other, is_unproven })
    }

    #[test]
    fn what_is_as_it_was_or_newer_is_known() {
        for is_unproven in [false, true] {
            assert_eq!(judged(&seen(5, "/r", 100), None, is_unproven), Trust::Known);
            assert_eq!(judged(&seen(5, "/r", 101), None, is_unproven), Trust::Known);
            assert_eq!(judged(&seen(5, "/s", 101), None, is_unproven), Trust::Moved { from: "/r".into() });
        }
    }

    #[test]
    fn what_was_never_seen_is_adopted_if_it_proves_the_key() {
        let never_seen = |is_unproven| judge(ID, &seen(2, "/r", 1), &Evidence { is_unproven, ..Evidence::default() });
        assert_eq!(never_seen(false), Trust::Adopted);
        assert_eq!(never_seen(true), Trust::Suspicious(Suspicion::Unproven));
    }

    #[test]
    fn an_older_another_or_differently_keyed_one_is_suspicious() {
        let suspicious = |trust| matches!(trust, Trust::Suspicious(_));
        assert!(suspicious(judged(&seen(5, "/r", 99), None, false)));
        assert!(suspicious(judged(&seen(2, "/r", 101), None, false)));
        assert!(suspicious(judged(&seen(5, "/r", 100), Some(OTHER), false)));
        let never_seen = Evidence { other: Some(OTHER), ..Evidence::default() };
        let replaced = Trust::Suspicious(Suspicion::Replaced { seen: OTHER, found: ID });
        assert_eq!(judge(ID, &seen(5, "/r", 100), &never_seen), replaced);
        let unproven = Evidence { is_unproven: true, ..never_seen };
        assert_eq!(judge(ID, &seen(5, "/r", 100), &unproven), replaced, "which says more");
    }
}
