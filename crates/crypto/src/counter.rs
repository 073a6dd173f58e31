//! Hands reserved counter values out to many threads.

use std::sync::{Mutex, PoisonError};

use crate::nonce::Reservation;

/// The current reservation is used up, or what is left of it is too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {needed} counter values are left of the reservation")]
pub struct Exhausted {
    /// How many blocks were asked for: the least that the next reservation must hold.
    pub needed: u64,
}

/// What is left of the current [`Reservation`]. No value is ever handed out twice.
///
/// A new counter has nothing to give, so that no reservation is made where nothing is sealed. A lock, because giving
/// and renewing must not interleave: a value drawn past the old end, judged by the new end, would be given twice.
#[derive(Debug, Default)]
pub struct NonceCounter {
    left: Mutex<Reservation>,
}

impl NonceCounter {
    /// A counter with nothing to give before it is [renewed](Self::renew).
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `blocks` values, the first of which is returned.
    pub fn take(&self, blocks: u64) -> Result<u64, Exhausted> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.end - left.start < blocks {
            return Err(Exhausted { needed: blocks });
        }
        let first = left.start;
        left.start += blocks;
        Ok(first)
    }

    /// Goes on with the next reservation, which is durable by now; what was left of the old one is never used.
    ///
    /// # Panics
    ///
    /// If `next` begins before the old reservation ends: its values may have been given already.
    pub fn renew(&self, next: Reservation) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(left.end <= next.start && next.start <= next.end, "reservations follow one another");
        *left = next;
    }

    /// Where the current reservation ends; `None` before the first.
    pub fn reserved_end(&self) -> Option<u64> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        (left.end != 0).then_some(left.end)
    }
}
