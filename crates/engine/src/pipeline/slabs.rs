//! Memory for small chunks and objects, which come by the hundred thousand.
//!
//! Each by itself would be a call of the allocator to get it and one to give it back, and what the allocator takes from
//! the system for them goes back and comes again, page by page, zeroed. So they are parts of slabs, one behind the other,
//! and a slab is used again as soon as nobody has a part of it any more. What lies in one came at one time and goes at one
//! time, mostly.

use std::sync::Arc;

use bytes::BytesMut;

use super::buffers::{Buffer, Buffers};

/// Deals out buffers, for one thread: small ones as parts of slabs.
#[derive(Debug)]
pub(crate) struct Dealer {
    buffers: Arc<Buffers>,
    /// What is left of the slab that was begun last.
    slab: Option<BytesMut>,
}

/// Slabs of which nothing is left and somebody may have parts, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Slabs(Vec<BytesMut>);

impl Dealer {
    pub(crate) fn new(buffers: Arc<Buffers>) -> Self {
        Self { buffers, slab: None }
    }

    /// A buffer of `len` bytes, whatever they are.
    pub(crate) fn take(&mut self, len: usize) -> Buffer {
        if len > LONGEST_PART {
            return self.buffers.take(len);
        }
        loop {
            if let Some(part) = self.slab.as_mut().and_then(|slab| part_of(slab, len)) {
                return part.into();
            }
            self.slab = self.buffers.next_slab(self.slab.take());
            if self.slab.is_none() {
                return self.buffers.take(len);
            }
        }
    }
}

impl Default for Dealer {
    /// One without slabs.
    fn default() -> Self {
        Self::new(Buffers::new(0))
    }
}

impl Slabs {
    /// One of which nobody has a part any more, or a new one. Of several the last, which the processor may still have in its
    /// cache. `spent` is what is left of the one before.
    pub(super) fn next_after(&mut self, spent: Option<BytesMut>) -> BytesMut {
        self.0.extend(spent);
        let unused = self.0.iter_mut().rposition(|slab| slab.try_reclaim(SLAB));
        unused.map_or_else(|| BytesMut::with_capacity(SLAB), |place| self.0.remove(place))
    }

    /// Gives those back to the system of which nobody has a part any more, but for the last [`KEPT`]: large chunks come now.
    pub(super) fn give_back(&mut self) {
        let mut unused = self.0.iter_mut().map(|slab| usize::from(slab.try_reclaim(SLAB))).sum::<usize>();
        self.0.retain_mut(|slab| {
            let goes = unused > KEPT && slab.try_reclaim(SLAB);
            unused -= usize::from(goes);
            !goes
        });
    }
}

/// Splits the first `len` bytes off what is left of a slab, as zeros; `None` if there are not so many.
fn part_of(slab: &mut BytesMut, len: usize) -> Option<BytesMut> {
    let room = len.next_multiple_of(ALIGNMENT);
    if slab.capacity() < room {
        return None;
    }
    slab.resize(room, 0);
    let mut part = slab.split();
    part.truncate(len);
    Some(part)
}

/// How long a slab is, in bytes.
const SLAB: usize = 128 * 1024;
/// How many may be left when large chunks come.
const KEPT: usize = 8;
/// What is longer, in bytes, would leave much of a slab unused that it does not fit into.
const LONGEST_PART: usize = SLAB / 4;
/// Parts begin at multiples of this, as what the allocator gives does: else they would take longer to copy.
const ALIGNMENT: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slab_is_used_again_when_nobody_has_a_part_of_it() {
        let mut slabs = Slabs::default();
        let mut slab = slabs.next_after(None);
        let parts = [SLAB / 2, SLAB / 2].map(|len| part_of(&mut slab, len).unwrap());
        assert!(part_of(&mut slab, 1).is_none());
        let [first, second] = parts;
        let place = first.as_ptr();
        drop(first);
        let mut other = slabs.next_after(Some(slab));
        let whole = part_of(&mut other, SLAB).unwrap();
        assert_ne!(whole.as_ptr(), place, "somebody has half of it");
        drop(second);
        let mut again = slabs.next_after(Some(other));
        assert_eq!(part_of(&mut again, SLAB).unwrap().as_ptr(), place);
    }

    #[test]
    fn what_nobody_needs_goes_back_but_for_some() {
        let mut slabs = Slabs::default();
        let mut parts = Vec::new();
        let mut slab = None;
        for _ in 0..KEPT + 5 {
            let mut next = slabs.next_after(slab);
            parts.push(part_of(&mut next, SLAB).unwrap());
            slab = Some(next);
        }
        slabs.give_back();
        assert_eq!(slabs.0.len(), KEPT + 4, "somebody has a part of each");
        let first = parts.remove(0);
        drop(parts);
        slabs.give_back();
        assert_eq!(slabs.0.len(), KEPT + 1);
        drop(first);
    }

    proptest! {
        #[test]
        fn nobody_writes_where_others_have_written(steps in proptest::collection::vec((0..SLAB / 3, 0_usize..9), 1..100)) {
            let (mut slabs, mut slab) = (Slabs::default(), None);
            let mut taken: Vec<(BytesMut, u8)> = Vec::new();
            for (number, (len, keep)) in steps.into_iter().enumerate() {
                let mut part = loop {
                    match slab.as_mut().and_then(|slab| part_of(slab, len)) {
                        Some(part) => break part,
                        None => slab = Some(slabs.next_after(slab)),
                    }
                };
                prop_assert!(part.len() == len && part.iter().all(|byte| *byte == 0));
                part.fill(number as u8);
                taken.push((part, number as u8));
                while taken.len() > keep {
                    let (part, written) = taken.swap_remove(number % taken.len());
                    prop_assert!(part.iter().all(|byte| *byte == written));
                }
            }
            prop_assert!(slabs.0.len() < 12, "what is free is used again");
        }
    }
}
