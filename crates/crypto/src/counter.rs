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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_given_before_the_first_reservation() {
        let counter = NonceCounter::new();
        assert_eq!(counter.reserved_end(), None);
        assert_eq!(counter.take(1), Err(Exhausted { needed: 1 }));
        counter.renew(Reservation { start: 10, end: 13 });
        assert_eq!(counter.reserved_end(), Some(13));
        assert_eq!(counter.take(2), Ok(10));
        assert_eq!(counter.take(2), Err(Exhausted { needed: 2 }));
        assert_eq!(counter.take(1), Ok(12), "less still fits");
        assert_eq!(counter.take(u64::MAX), Err(Exhausted { needed: u64::MAX }));
    }

    #[test]
    #[should_panic(expected = "reservations follow one another")]
    fn a_reservation_that_overlaps_the_last_is_a_mistake() {
        let counter = NonceCounter::new();
        counter.renew(Reservation { start: 0, end: 100 });
        counter.renew(Reservation { start: 99, end: 200 });
    }

    #[test]
    fn threads_never_get_the_same_block() {
        const THREADS: u64 = 8;
        static RENEWING: Mutex<()> = Mutex::new(());
        let counter = NonceCounter::new();
        let given: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let counter = &counter;
                    scope.spawn(move || {
                        let mut given = Vec::new();
                        for round in 0..2000 {
                            let blocks = 1 + (thread + round) % 7;
                            match counter.take(blocks) {
                                Ok(first) => given.push((first, blocks)),
                                // Each thread renews, at times several at once: their reservations follow one another.
                                Err(Exhausted { needed }) => {
                                    let _one_at_a_time = RENEWING.lock().unwrap();
                                    let start = counter.reserved_end().unwrap_or(0);
                                    counter.renew(Reservation { start, end: start + needed + 50 });
                                }
                            }
                        }
                        given
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });

        let mut used = BTreeSet::new();
        for (first, blocks) in given {
            for block in first..first + blocks {
                assert!(used.insert(block), "block {block} was given twice");
            }
        }
        assert!(used.len() > 10_000);
    }

    proptest! {
        #[test]
        fn blocks_are_given_once_and_from_the_reservation(
            steps in proptest::collection::vec((0u64..20, 0u64..40, 0u64..5), 1..100),
        ) {
            let counter = NonceCounter::new();
            let mut reservation = Reservation::default();
            let mut free_from = 0;
            for (blocks, size, gap) in steps {
                match counter.take(blocks) {
                    Ok(first) => {
                        prop_assert!(first >= free_from && first >= reservation.start);
                        prop_assert!(first + blocks <= reservation.end);
                        free_from = first + blocks;
                    }
                    Err(Exhausted { needed }) => {
                        prop_assert_eq!(needed, blocks);
                        prop_assert!(free_from.max(reservation.start) + blocks > reservation.end);
                        let start = reservation.end + gap;
                        reservation = Reservation { start, end: start + size };
                        counter.renew(reservation);
                    }
                }
            }
        }
    }
}
