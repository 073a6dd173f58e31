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
