//! One piece of memory for all that is large.
//!
//! Of what was never used the system has nothing to give; of what was, the parts with the lowest addresses are used first,
//! so that no more of it is touched than is in use at once.

use bytes::BytesMut;

/// The parts of it that nobody has.
#[derive(Debug)]
pub(super) struct Pool {
    /// In order of address; no two of them are neighbours.
    free: Vec<BytesMut>,
    /// How long all of it is, in bytes.
    len: usize,
    /// The address where it begins, and how much of it was dealt out from there, in bytes.
    begin: usize,
    touched: usize,
}

/// A part of it.
pub(super) struct Part {
    /// At least as long as was asked for.
    pub(super) part: BytesMut,
    /// It holds memory that was not used before.
    pub(super) is_more_than_before: bool,
}

impl Pool {
    pub(super) fn new(bytes: usize) -> Self {
        let all = BytesMut::zeroed(bytes);
        Self { begin: all.as_ptr() as usize, free: vec![all], len: bytes, touched: 0 }
    }

    /// The first part that has room for `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<Part> {
        let len = len.next_multiple_of(STEP);
        let place = self.free.iter().position(|part| part.len() >= len)?;
        let found = &mut self.free[place];
        let part = if found.len() == len { self.free.remove(place) } else { found.split_to(len) };
        let end = part.as_ptr_range().end as usize - self.begin;
        let is_more_than_before = end > self.touched;
        self.touched = self.touched.max(end);
        Some(Part { part, is_more_than_before })
    }

    /// Puts a part back between its neighbours.
    pub(super) fn give_back(&mut self, part: BytesMut) {
        let place = self.free.partition_point(|other| other.as_ptr() < part.as_ptr());
        self.free.insert(place, part);
        self.join(place);
        if place > 0 {
            self.join(place - 1);
        }
    }

    /// Gives what was used back to the system if that is much, and nobody has any of it.
    pub(super) fn begin_anew(&mut self) {
        let [all] = &mut self.free[..] else { return };
        if all.len() == self.len && self.touched > MUCH {
            // In turn, so that it is there once.
            *all = BytesMut::new();
            *all = BytesMut::zeroed(self.len);
            (self.begin, self.touched) = (all.as_ptr() as usize, 0);
        }
    }

    /// Returns whether as much of it was used as many large chunks take.
    pub(super) fn is_spread(&self) -> bool {
        self.touched > SPREAD
    }

    /// Joins a part and the next one if there is nothing between them.
    fn join(&mut self, place: usize) {
        let touches = |next: &BytesMut| self.free[place].as_ptr_range().end == next.as_ptr();
        if self.free.get(place + 1).is_some_and(touches) {
            let next = self.free.remove(place + 1);
            self.free[place].unsplit(next);
        }
    }
}

/// Lengths of parts are multiples of this, so that no splinters are left.
const STEP: usize = 64 * 1024;
/// More of it, in bytes, is not kept for the next large chunks where small ones come.
const MUCH: usize = 16 * 1024 * 1024;
/// What a tree of nothing but large chunks uses, less a little; one that has some among others does not.
const SPREAD: usize = 48 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn free(pool: &Pool) -> Vec<usize> {
        pool.free.iter().map(BytesMut::len).collect()
    }

    fn take(pool: &mut Pool, len: usize) -> BytesMut {
        pool.take(len).unwrap().part
    }

    #[test]
    fn what_was_given_back_is_taken_again_the_lowest_first() {
        let mut pool = Pool::new(10 * STEP);
        let [first, second, third] = [3, 2, 4].map(|steps| pool.take(steps * STEP).unwrap());
        assert!(first.is_more_than_before && third.is_more_than_before);
        let (low, high) = (first.part.as_ptr(), third.part.as_ptr());
        pool.give_back(third.part);
        pool.give_back(first.part);
        let again = pool.take(2 * STEP + 1).unwrap();
        assert_eq!((again.part.as_ptr(), again.part.len()), (low, 3 * STEP));
        assert!(!again.is_more_than_before);
        let behind = take(&mut pool, 4 * STEP);
        assert_eq!(behind.as_ptr(), high);
        assert!(pool.take(2 * STEP).is_none());
        for part in [second.part, again.part, behind] {
            pool.give_back(part);
        }
        assert_eq!(free(&pool), [10 * STEP], "all of it is one again");
    }

    #[test]
    fn what_was_used_goes_back_if_it_is_much_and_nobody_has_any_of_it() {
        let mut pool = Pool::new(2 * MUCH);
        let mut begins_anew = |taken: usize, somebody_has_some: bool| {
            let (part, other) = (take(&mut pool, taken), take(&mut pool, 1));
            pool.give_back(part);
            if somebody_has_some {
                pool.begin_anew();
                pool.give_back(other);
            } else {
                pool.give_back(other);
                pool.begin_anew();
            }
            pool.touched == 0
        };
        assert!(!begins_anew(MUCH - STEP, false), "it is not much");
        assert!(!begins_anew(MUCH, true), "somebody has some of it");
        assert!(begins_anew(MUCH, false));
        assert_eq!(free(&pool), [2 * MUCH]);
        assert!(!pool.is_spread());
        assert!(pool.take(2 * MUCH).unwrap().is_more_than_before);
    }

    #[test]
    fn it_is_spread_until_it_begins_anew() {
        let mut pool = Pool::new(2 * SPREAD);
        let [some, more] = [SPREAD, STEP].map(|len| pool.take(len).unwrap().part);
        assert!(pool.is_spread());
        pool.give_back(more);
        pool.begin_anew();
        assert!(pool.is_spread(), "somebody has some of it");
        pool.give_back(some);
        pool.begin_anew();
        assert!(!pool.is_spread());
    }

    proptest! {
        #[test]
        fn nobody_writes_where_others_have_written(steps in proptest::collection::vec((1..5 * STEP, 0_usize..6), 1..60)) {
            let mut pool = Pool::new(12 * STEP);
            let mut taken: Vec<(BytesMut, u8)> = Vec::new();
            for (number, (len, keep)) in steps.into_iter().enumerate() {
                if let Some(Part { mut part, .. }) = pool.take(len) {
                    prop_assert!(part.len() >= len);
                    part.fill(number as u8);
                    taken.push((part, number as u8));
                }
                while taken.len() > keep {
                    let (part, written) = taken.swap_remove(number % taken.len());
                    prop_assert!(part.iter().all(|byte| *byte == written));
                    pool.give_back(part);
                }
            }
            for (part, _) in taken {
                pool.give_back(part);
            }
            prop_assert_eq!(free(&pool), [12 * STEP]);
        }
    }
}
