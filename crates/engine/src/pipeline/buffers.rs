//! Memory for chunks and objects that is used again.
//!
//! What is large comes from the system page by page, each zeroed, and goes back there: that was a tenth of the time of a
//! backup of data that does not compress. So a run takes one piece of memory for all of it, and deals out parts of it
//! ([`Pool`]). What is small, each thread's [dealer](super::Dealer) deals out of slabs.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::pool::Pool;
use super::slabs::Slabs;

/// Memory that is dealt out. Small chunks and large ones come in turn, mostly: what the ones need no more is given back to
/// the system when the others come.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// For what is large; `None` once it is given up.
    pool: Mutex<Option<Pool>>,
    /// Where dealers have theirs from.
    slabs: Mutex<Option<Slabs>>,
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
        let (pool, slabs) = if bytes == 0 { (None, None) } else { (Some(Pool::new(bytes)), Some(Slabs::default())) };
        Arc::new(Self { pool: Mutex::new(pool), slabs: Mutex::new(slabs) })
    }

    /// A buffer of `len` bytes, whatever they are.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        match self.find(len) {
            Some(bytes) => Buffer { bytes, len, home: Some(Arc::clone(self)) },
            None => BytesMut::zeroed(len).into(),
        }
    }

    fn find(&self, len: usize) -> Option<BytesMut> {
        if len < SMALL {
            return None;
        }
        let found = self.pool().as_mut()?.take(len)?;
        if found.is_more_than_before
            && let Some(slabs) = self.slabs().as_mut()
        {
            slabs.give_back();
        }
        Some(found.part)
    }

    /// A slab for a dealer, instead of what is left of its last one; `None` once all is given up.
    pub(super) fn next_slab(&self, spent: Option<BytesMut>) -> Option<BytesMut> {
        let slab = self.slabs().as_mut()?.next_after(spent);
        if let Some(pool) = self.pool().as_mut() {
            pool.begin_anew();
        }
        Some(slab)
    }

    /// Returns whether large chunks have left much memory touched that small ones have no use for.
    pub(crate) fn are_spread(&self) -> bool {
        self.pool().as_ref().is_some_and(Pool::is_spread)
    }

    /// Gives it back to the system, at once or with the last part that somebody has.
    pub(crate) fn give_up(&self) {
        *self.pool() = None;
        *self.slabs() = None;
    }

    fn slabs(&self) -> MutexGuard<'_, Option<Slabs>> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> MutexGuard<'_, Option<Pool>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is shorter, in bytes, is small.
pub(super) const SMALL: usize = 64 * 1024;

impl From<BytesMut> for Buffer {
    fn from(bytes: BytesMut) -> Self {
        Self { len: bytes.len(), bytes, home: None }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        BytesMut::from(Bytes::from(bytes)).into()
    }
}

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
        std::mem::take(&mut buffer.bytes).freeze()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take()
            && let Some(pool) = home.pool().as_mut()
        {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_or_small_has_memory_of_its_own() {
        let buffers = Buffers::new(2 * SMALL);
        let all = buffers.take(2 * SMALL);
        assert!(all.home.is_some());
        let mut more = buffers.take(SMALL);
        assert!(more.home.is_none() && more.len() == SMALL);
        more.fill(7);
        drop((more, all));
        assert!(buffers.take(SMALL - 1).home.is_none());
        assert!(Buffers::new(0).take(SMALL).home.is_none());
    }

    #[test]
    fn what_others_have_the_bytes_of_goes_home_with_the_last_of_them() {
        let buffers = Buffers::new(SMALL);
        let (bytes, other) = {
            let bytes = Bytes::from(buffers.take(SMALL));
            (bytes.clone(), bytes.slice(3..))
        };
        drop(bytes);
        assert!(buffers.take(SMALL).home.is_none());
        drop(other);
        assert!(buffers.take(SMALL).home.is_some());
    }

    #[test]
    fn what_is_given_up_is_dealt_out_no_more() {
        let buffers = Buffers::new(2 * SMALL);
        let taken = buffers.take(SMALL);
        buffers.give_up();
        assert!(buffers.take(SMALL).home.is_none());
        drop(taken);
        assert!(buffers.take(SMALL).home.is_none());
        assert!(buffers.next_slab(None).is_none());
    }
}
