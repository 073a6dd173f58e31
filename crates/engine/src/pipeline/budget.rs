//! The bound on the bytes that are under way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that threads take from and give back to.
#[derive(Debug)]
pub(crate) struct Budget {
    state: Mutex<State>,
    changed: Condvar,
    total: usize,
}

#[derive(Debug)]
struct State {
    /// `None` once it is closed.
    available: Option<usize>,
    /// How many threads wait: to wake nobody is a system call, too.
    waiting: usize,
}

/// The pipeline ends: nothing more is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let state = State { available: Some(bytes), waiting: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), total: bytes }
    }

    /// Takes `bytes` if they are available; returns whether they were. More than the total counts as the total.
    pub(crate) fn try_take(&self, bytes: usize) -> Result<bool, Closed> {
        let bytes = bytes.min(self.total);
        let mut state = self.state();
        let available = state.available.as_mut().ok_or(Closed)?;
        let is_available = *available >= bytes;
        if is_available {
            *available -= bytes;
        }
        Ok(is_available)
    }

    /// Waits until `bytes` are available and takes them. More than the total counts as the total.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Closed> {
        let bytes = bytes.min(self.total);
        let mut state = self.state();
        loop {
            match state.available.as_mut() {
                None => return Err(Closed),
                Some(available) if *available >= bytes => {
                    *available -= bytes;
                    return Ok(());
                }
                Some(_) => {
                    state.waiting += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
            }
        }
    }

    /// Gives back what was taken by a call with the same number.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        if let Some(available) = state.available.as_mut() {
            *available += bytes.min(self.total);
        }
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Ends every wait, now and later.
    pub(crate) fn close(&self) {
        self.state().available = None;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the budget when the thread that held it ends, in whatever way; so nobody waits for the dead.
pub(crate) struct CloseOnDrop<'a>(pub(crate) &'a Budget);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_the_total_waits_for_all_of_it() {
        let budget = Budget::new(10);
        budget.take(100).unwrap();
        assert_eq!(budget.try_take(1), Ok(false));
        budget.give_back(100);
        assert_eq!(budget.try_take(100), Ok(true));
        budget.give_back(100);
        budget.take(10).unwrap();
    }

    #[test]
    fn a_waiting_thread_goes_on_when_bytes_come_back_and_ends_when_it_closes() {
        let budget = Budget::new(10);
        budget.take(10).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (budget.take(5), budget.take(10)));
            budget.give_back(5);
            budget.close();
            // The first may have been served or not, depending on who was quicker; the second cannot be.
            assert_eq!(waiting.join().unwrap().1, Err(Closed));
        });
        assert_eq!(budget.take(1), Err(Closed));
    }
}
