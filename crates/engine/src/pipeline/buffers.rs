//! Memory for chunks and objects that is used again.
//!
//! What is large comes from the system page by page, each zeroed, and goes back there: that was a tenth of the time of a
//! backup of data that does not compress. So a run takes one piece of memory for all of it, and deals out parts of it. Of
//! what was never used the system has nothing to give; of what was, the parts with the lowest addresses are used first, so
//! that no more of it is touched than is in use at once.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::slabs::{LONGEST_PART, Slabs, part_of};

/// Memory that is dealt out.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// What nobody has, in order of address; no two of them are neighbours. `None` once it is given up.
    free: Mutex<Option<Vec<BytesMut>>>,
    /// How long all of it is, in bytes.
    len: usize,
    /// The address up to which it was dealt out.
    touched: AtomicUsize,
    /// Where [dealers](Dealer) have theirs from.
    slabs: Mutex<Option<Slabs>>,
}

/// Deals out buffers, for one thread: small ones as parts of slabs.
#[derive(Debug)]
pub(crate) struct Dealer {
    buffers: Arc<Buffers>,
    /// What is left of the slab that was begun last.
    slab: Option<BytesMut>,
}

/// Bytes of a length of their own. Whoever takes it writes all of them: what it holds first is left from before.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// At least `len` bytes.
    bytes: BytesMut,
    len: usize,
    /// What it is a part of, if it is one.
    home: Option<Arc<Buffers>>,
}

impl Buffers {
    /// So many bytes; where they do not suffice, each buffer gets memory of its own.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let all = BytesMut::zeroed(bytes);
        let (free, slabs) = if all.is_empty() { (None, None) } else { (Some(vec![all]), Some(Slabs::default())) };
        let (free, slabs) = (Mutex::new(free), Mutex::new(slabs));
        Arc::new(Self { free, len: bytes, touched: AtomicUsize::new(0), slabs })
    }

    /// A buffer of `len` bytes, whatever they are.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        match self.find(len) {
            Some(bytes) => Buffer { bytes, len, home: Some(Arc::clone(self)) },
            None => Buffer { bytes: BytesMut::zeroed(len), len, home: None },
        }
    }

    /// The first part that is large enough.
    fn find(&self, len: usize) -> Option<BytesMut> {
        if len < SMALL {
            return None;
        }
        let len = len.next_multiple_of(STEP);
        let mut free = self.free();
        let free = free.as_mut()?;
        let place = free.iter().position(|part| part.len() >= len)?;
        let end = free[place].as_ptr() as usize + len;
        if self.touched.fetch_max(end, Ordering::Relaxed) < end
            && let Some(slabs) = self.slabs().as_mut()
        {
            // Large ones come, and more of them than before: there are fewer small ones.
            slabs.give_back();
        }
        if free[place].len() == len { Some(free.remove(place)) } else { Some(free[place].split_to(len)) }
    }

    /// Gives what was used back to the system if that is much and nobody has any of it: small chunks come now, and are not
    /// of it.
    fn begin_anew(&self) {
        let mut free = self.free();
        let Some([all]) = free.as_deref_mut() else { return };
        let is_much = self.touched.load(Ordering::Relaxed) > all.as_ptr() as usize + MUCH;
        if is_much && all.len() == self.len {
            // In turn, so that it is there once.
            *all = BytesMut::new();
            *all = BytesMut::zeroed(self.len);
            self.touched.store(0, Ordering::Relaxed);
        }
    }

    /// Puts a part back between its neighbours.
    fn give_back(&self, part: BytesMut) {
        let mut free = self.free();
        let Some(free) = free.as_mut() else { return };
        let place = free.partition_point(|other| other.as_ptr() < part.as_ptr());
        free.insert(place, part);
        join(free, place);
        if place > 0 {
            join(free, place - 1);
        }
    }

    /// Gives it back to the system, at once or with the last part that somebody has.
    pub(crate) fn give_up(&self) {
        *self.free() = None;
        *self.slabs() = None;
    }

    fn slabs(&self) -> MutexGuard<'_, Option<Slabs>> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self) -> MutexGuard<'_, Option<Vec<BytesMut>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Dealer {
    /// One without slabs.
    fn default() -> Self {
        Self::new(Buffers::new(0))
    }
}

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
            if let Some(bytes) = self.slab.as_mut().and_then(|slab| part_of(slab, len)) {
                return Buffer { bytes, len, home: None };
            }
            match self.buffers.slabs().as_mut() {
                Some(slabs) => self.slab = Some(slabs.next_after(self.slab.take())),
                None => return self.buffers.take(len),
            }
            self.buffers.begin_anew();
        }
    }
}

/// Joins a part and the next one if there is nothing between them.
fn join(parts: &mut Vec<BytesMut>, place: usize) {
    let touches = |next: &BytesMut| parts[place].as_ptr_range().end == next.as_ptr();
    if parts.get(place + 1).is_some_and(touches) {
        let next = parts.remove(place + 1);
        parts[place].unsplit(next);
    }
}

/// What is shorter, in bytes, is small.
pub(super) const SMALL: usize = 64 * 1024;
/// More of what large ones used, in bytes, is not kept for the next of them where small ones come.
const MUCH: usize = 16 * 1024 * 1024;
/// Lengths of parts are multiples of this, so that no splinters are left.
const STEP: usize = 64 * 1024;

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Buffer> for Bytes {
    /// The same memory; it goes home with the last who has it.
    fn from(mut buffer: Buffer) -> Self {
        if buffer.home.is_some() {
            return Self::from_owner(buffer);
        }
        buffer.bytes.truncate(buffer.len);
        std::mem::take(&mut buffer.bytes).freeze()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How long the free parts are.
    fn free(buffers: &Buffers) -> Vec<usize> {
        buffers.free().iter().flatten().map(BytesMut::len).collect()
    }

    #[test]
    fn what_was_given_back_is_taken_again_the_lowest_first() {
        let buffers = Buffers::new(10 * STEP);
        let [first, second, third] = [3, 2, 4].map(|steps| buffers.take(steps * STEP));
        let (low, high) = (first.as_ptr(), third.as_ptr());
        drop(third);
        drop(first);
        let again = buffers.take(2 * STEP + 1);
        assert_eq!((again.as_ptr(), again.len()), (low, 2 * STEP + 1));
        assert_eq!(buffers.take(4 * STEP).as_ptr(), high);
        drop((second, again));
        assert_eq!(free(&buffers), [10 * STEP], "all of it is one again");
    }

    #[test]
    fn where_it_does_not_suffice_there_is_other_memory() {
        let buffers = Buffers::new(2 * STEP);
        let all = buffers.take(2 * STEP);
        let mut more = buffers.take(STEP);
        assert!(more.home.is_none() && more.len() == STEP);
        more.fill(7);
        drop((more, all));
        assert!(buffers.take(300).home.is_none());
        assert!(Buffers::new(0).take(STEP).home.is_none());
    }

    #[test]
    fn what_large_ones_used_goes_back_when_small_ones_come() {
        let buffers = Buffers::new(2 * MUCH);
        let mut dealer = Dealer::new(Arc::clone(&buffers));
        let anew = |dealer: &mut Dealer| {
            // Until a slab is at its end.
            (0..100).for_each(|_| drop(dealer.take(LONGEST_PART)));
            buffers.touched.load(Ordering::Relaxed) == 0
        };
        drop(dealer.take(MUCH));
        assert!(!anew(&mut dealer), "it is not much");
        let much = dealer.take(MUCH + 1);
        assert!(!anew(&mut dealer), "somebody has it");
        drop(much);
        assert!(anew(&mut dealer));
        assert_eq!(free(&buffers), [2 * MUCH]);
        drop(dealer.take(2 * MUCH));
    }

    #[test]
    fn what_is_given_up_is_dealt_out_no_more() {
        let buffers = Buffers::new(2 * STEP);
        let taken = buffers.take(STEP);
        buffers.give_up();
        assert!(buffers.take(STEP).home.is_none());
        drop(taken);
        assert!(buffers.take(STEP).home.is_none());
    }

    proptest! {
        #[test]
        fn nobody_writes_where_others_have_written(steps in proptest::collection::vec((1..5 * STEP, 0_usize..6), 1..60)) {
            let buffers = Buffers::new(12 * STEP);
            let mut taken: Vec<(Buffer, u8)> = Vec::new();
            for (number, (len, keep)) in steps.into_iter().enumerate() {
                let mut buffer = buffers.take(len);
                buffer.fill(number as u8);
                taken.push((buffer, number as u8));
                while taken.len() > keep {
                    let (buffer, written) = taken.swap_remove(number % taken.len());
                    prop_assert!(buffer.iter().all(|byte| *byte == written));
                }
            }
            drop(taken);
            prop_assert_eq!(free(&buffers), [12 * STEP]);
        }
    }
}
