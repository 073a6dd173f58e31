//! Memory for what must stay secret: pages of its own, that the system does not write to a swap device.

use std::ops::Deref;

use region::LockGuard;

/// A value on locked pages. Where the system locks no more memory for us (`RLIMIT_MEMLOCK`), on pages that are not.
pub(crate) struct Locked<T> {
    /// Goes first: the pages belong to others once they are freed. The value is overwritten a moment later.
    guard: Option<LockGuard>,
    page: Box<Page<T>>,
}

/// Begins and ends with a page, so that nothing else is locked with it, and, which matters more, unlocked.
#[repr(align(4096))]
struct Page<T>(T);

impl<T> Locked<T> {
    /// Moves a value there.
    pub(crate) fn new(value: T) -> Self {
        let page = Box::new(Page(value));
        let guard = region::lock(&raw const *page, size_of::<Page<T>>()).ok();
        Self { guard, page }
    }

    /// Returns whether the pages are locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.guard.is_some()
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.page.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_pages_for_itself() {
        let locked: Vec<_> = (0..3u8).map(|number| Locked::new([number; 5000])).collect();
        for (number, value) in locked.iter().enumerate() {
            assert!(value.iter().all(|found| usize::from(*found) == number));
            assert_eq!((&raw const *value.page).addr() % 4096, 0);
            assert_eq!(size_of_val(&*value.page) % 4096, 0);
        }
        drop(locked);
    }
}
