//! The bound on the bytes that are under way.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that threads take from and give back to.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `None` once it is closed.
    state: Mutex<Option<State>>,
    changed: Condvar,
    total: usize,
}

#[derive(Debug)]
struct State {
    available: usize,
    /// What is there and must not be taken.
    withheld: usize,
    /// The least that anybody waits for, with what is withheld. To wake somebody costs more than most steps, and many give back little.
    wanted: Option<usize>,
}

/// The pipeline ends: nothing more is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let state = State { available: bytes, withheld: 0, wanted: None };
        Self { state: Mutex::new(Some(state)), changed: Condvar::new(), total: bytes }
    }

    /// Takes `bytes` if they are available; returns whether they were. More than the total counts as the total.
    pub(crate) fn try_take(&self, bytes: usize) -> Result<bool, Closed> {
        let bytes = bytes.min(self.total);
        Ok(self.state().as_mut().ok_or(Closed)?.take(bytes, self.total).is_ok())
    }

    /// Waits until `bytes` are available and takes them. More than the total counts as the total.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Closed> {
        let bytes = bytes.min(self.total);
        let mut guard = self.state();
        loop {
            let state = guard.as_mut().ok_or(Closed)?;
            let Err(wanted) = state.take(bytes, self.total) else { return Ok(()) };
            state.wanted = Some(state.wanted.map_or(wanted, |least| least.min(wanted)));
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back what was taken by a call with the same number.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut guard = self.state();
        let Some(state) = guard.as_mut() else { return };
        state.available = (state.available + bytes).min(self.total);
        // Who still finds too little says again what it wants.
        let is_awaited = state.wanted.take_if(|wanted| *wanted <= state.available).is_some();
        drop(guard);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Says that so much of the total must not be taken from now on, but where more is asked for than that leaves. What was
    /// taken before is not asked back.
    pub(crate) fn withhold(&self, bytes: usize) {
        if let Some(state) = self.state().as_mut() {
            state.withheld = bytes.min(self.total);
            state.wanted = None;
        }
        self.changed.notify_all();
    }

    /// Ends every wait, now and later.
    pub(crate) fn close(&self) {
        *self.state() = None;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes that much of the total if it is there; else returns how much has to be.
    fn take(&mut self, bytes: usize, total: usize) -> Result<(), usize> {
        let wanted = (bytes + self.withheld).min(total);
        if self.available < wanted {
            return Err(wanted);
        }
        self.available -= bytes;
        Ok(())
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
    fn what_is_withheld_is_taken_only_by_who_wants_more_than_is_left() {
        let budget = Budget::new(10);
        budget.take(2).unwrap();
        budget.withhold(4);
        assert_eq!((budget.try_take(5), budget.try_take(4)), (Ok(false), Ok(true)));
        assert_eq!(budget.try_take(9), Ok(false), "all of it has to be there");
        budget.give_back(6);
        assert_eq!(budget.try_take(9), Ok(true));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(1));
            budget.withhold(0);
            waiting.join().unwrap().unwrap();
        });
        assert_eq!(budget.try_take(1), Ok(false));
    }

    #[test]
    fn whoever_waits_is_woken_as_soon_as_there_is_enough() {
        let budget = Budget::new(1000);
        budget.take(1000).unwrap();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = [5, 700, 290]
                .map(|bytes| {
                    scope.spawn({
                        let budget = &budget;
                        move || budget.take(bytes)
                    })
                })
                .into_iter()
                .collect();
            (0..1000).for_each(|_| budget.give_back(1));
            for thread in waiting {
                thread.join().unwrap().unwrap();
            }
        });
        assert_eq!((budget.try_take(6), budget.try_take(5)), (Ok(false), Ok(true)));
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
