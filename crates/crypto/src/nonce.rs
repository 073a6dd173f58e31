//! Which counter values may be used next: the reservation policy.
//!
//! AES-CTR is broken by a counter value that is used twice under one key. Every client of a repository therefore
//! reserves a range before it uses any of it, in the repository (for the other clients) and in its own state (for the
//! case that the repository was rolled back), both synced. Here is only the decision; it is pure.
//!
//! Source: borg 1.4 `crypto/nonces.py`, `NonceManager.ensure_reservation`.

use crate::Random;

/// What is known of the counter values that have been used. The missing is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The first value nobody reserved, as the repository says.
    pub repository: Option<u64>,
    /// The first value nobody reserved, as our own state says.
    pub state: Option<u64>,
    /// [`nonce_after`](crate::Key::nonce_after) the manifest object; `None` in a new repository.
    pub manifest: Option<u64>,
    /// Where the reservation ends that this process is using up.
    pub own_end: Option<u64>,
}

/// The range `start..end` of counter values; to be stored as `end` in the repository and in the state, both synced,
/// before the first value is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// The first value that may be used.
    pub start: u64,
    /// The first value that may not be used any more.
    pub end: u64,
}

/// The counter is too far advanced to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the encryption counter stands at {start:#x}, no values above {LIMIT:#x} are used: the key is worn out or the counter was tampered with"
)]
pub struct WornOut {
    /// Where the reservation would have begun.
    pub start: u64,
}

/// Counter values reserved beyond those needed at once. Each process wastes up to that many, as with stock.
pub const MARGIN: u64 = 1 << 28;

/// No counter value from here on is ever used, far away from where 64 bits wrap around.
pub const LIMIT: u64 = 1 << 63;

/// Decides which range to reserve for `needed` blocks and some more.
pub fn reserve(known: &Known, needed: u64) -> Result<Reservation, WornOut> {
    from(known.highest(), needed)
}

/// Decides the first reservation in a repository that is not new but of which the state knows nothing.
///
/// The server might hide later versions of the repository, and with them counter values that were used. A random leap
/// of 2^48 to 2^56 blocks practically cannot land on any of them. Other clients follow along, because they start from the
/// highest value they see.
pub fn reserve_adopting(known: &Known, needed: u64, random: Random<'_>) -> Result<Reservation, WornOut> {
    from(known.highest().saturating_add(leap(random)), needed)
}

impl Known {
    fn highest(&self) -> u64 {
        [self.repository, self.state, self.manifest, self.own_end].into_iter().flatten().max().unwrap_or(0)
    }
}

fn from(start: u64, needed: u64) -> Result<Reservation, WornOut> {
    let end = start.saturating_add(needed).saturating_add(MARGIN);
    if end > LIMIT {
        return Err(WornOut { start });
    }
    Ok(Reservation { start, end })
}

/// Draws between 2^48 and 2^56 blocks.
fn leap(random: Random<'_>) -> u64 {
    let mut drawn = [0; 8];
    random(&mut drawn);
    // The remainder's bias towards small values is 2^-8 at most and of no use to anybody.
    LEAP_MIN + u64::from_be_bytes(drawn) % (LEAP_MAX - LEAP_MIN + 1)
}

const LEAP_MIN: u64 = 1 << 48;
const LEAP_MAX: u64 = 1 << 56;

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Known = Known { repository: None, state: None, manifest: None, own_end: None };

    #[test]
    fn a_new_repository_begins_at_zero() {
        assert_eq!(reserve(&NOTHING, 5), Ok(Reservation { start: 0, end: 5 + (1 << 28) }));
    }

    #[test]
    fn the_highest_value_known_to_anybody_wins() {
        for known in [
            Known { repository: Some(900), state: Some(1), manifest: Some(2), own_end: Some(3) },
            Known { repository: Some(1), state: Some(900), manifest: Some(2), own_end: Some(3) },
            Known { repository: Some(1), state: Some(2), manifest: Some(900), own_end: Some(3) },
            Known { repository: Some(1), state: Some(2), manifest: Some(3), own_end: Some(900) },
            // The server lost its file, or we lost ours.
            Known { manifest: Some(900), ..NOTHING },
            Known { state: Some(900), ..NOTHING },
            Known { repository: Some(900), ..NOTHING },
        ] {
            assert_eq!(reserve(&known, 7), Ok(Reservation { start: 900, end: 907 + MARGIN }), "{known:?}");
        }
    }

    #[test]
    fn near_the_top_the_key_is_refused_and_nothing_wraps() {
        let at = |repository| reserve(&Known { repository: Some(repository), ..NOTHING }, 10);
        let last = LIMIT - MARGIN - 10;
        assert_eq!(at(last), Ok(Reservation { start: last, end: LIMIT }));
        for start in [last + 1, LIMIT, u64::MAX - 1, u64::MAX] {
            assert_eq!(at(start), Err(WornOut { start }));
        }
        assert_eq!(reserve(&NOTHING, u64::MAX), Err(WornOut { start: 0 }));
    }

    #[test]
    fn adoption_leaps_far_beyond_what_the_repository_admits() {
        let known = Known { repository: Some(5), manifest: Some(1000), ..NOTHING };
        for drawn in [0, 1, u64::MAX / 2, u64::MAX] {
            let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&drawn.to_be_bytes());
            let reservation = reserve_adopting(&known, 1, &mut random).unwrap();
            let leap = reservation.start - 1000;
            assert!((1 << 48..=1 << 56).contains(&leap), "{leap:#x}");
            assert_eq!(reservation.end, reservation.start + 1 + MARGIN);
        }
    }

    #[test]
    fn a_hundred_adoptions_fit_below_the_limit() {
        let mut known = NOTHING;
        for _ in 0..100 {
            let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&(LEAP_MAX - LEAP_MIN).to_be_bytes());
            known.repository = Some(reserve_adopting(&known, 1, &mut random).unwrap().end);
        }
    }
}
