//! The chunks that wait for a sealer.
//!
//! Digests of several chunks side by side cost little more than one, so that one sealer with much to do takes less of the
//! processor than two with little. One leads: it takes what comes, and waits a moment for company. It begins where enough
//! wait, or whoever stores is about to run out: the slower the repository, the less is taken from the game. The others
//! help where it is the leader that all wait for, and where there is more to do than digests: with a batch at a time, which
//! they finish before they look again.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sealer::Job;
use crate::pipeline::Closed;

/// What waits, first come, first served.
#[derive(Default)]
pub(super) struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
    /// How many go side by side.
    lanes: usize,
    /// All that may be under way, in bytes.
    room: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    /// Bytes of chunks that were sealed and are not stored yet.
    sealed: usize,
    /// A sealer leads.
    is_led: bool,
    /// It has more to do than digests.
    is_laborious: bool,
    supply: Supply,
}

/// What is known of those that will come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Supply {
    /// They come.
    #[default]
    Flows,
    /// There is no room for more, until some are done.
    IsFull,
    /// No more will come.
    IsComplete,
    /// Nobody wants any.
    IsClosed,
}

/// What a sealer begins with.
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    /// It takes what comes, too.
    pub(super) leads: bool,
}

impl Jobs {
    /// For sealers that do `lanes` digests side by side, where `room` is all that may be under way, in bytes.
    pub(super) fn new(lanes: usize, room: usize) -> Self {
        Self { lanes, room, ..Self::default() }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Closed> {
        let mut state = self.state();
        if state.supply == Supply::IsClosed {
            return Err(Closed);
        }
        state.waiting_bytes += job.plain.len();
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Says that there is no room for more, or that there is again.
    pub(super) fn full(&self, is_full: bool) {
        let mut state = self.state();
        state.supply = match (state.supply, is_full) {
            (Supply::IsClosed, _) => Supply::IsClosed,
            (_, true) => Supply::IsFull,
            (_, false) => Supply::Flows,
        };
        drop(state);
        self.changed.notify_all();
    }

    /// Says that this was all.
    pub(super) fn complete(&self) {
        let mut state = self.state();
        if state.supply != Supply::IsClosed {
            state.supply = Supply::IsComplete;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the work, whatever waits: a reader that hangs never says that it has no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.supply = Supply::IsClosed;
        // Memory goes back where it came from without the lock.
        let unwanted = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        drop(unwanted);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().supply == Supply::IsClosed
    }

    /// What a sealer that rests begins with; `None` at the end.
    pub(super) fn wait(&self) -> Option<Batch> {
        let mut state = self.state();
        loop {
            let is_over = state.waiting.is_empty() && state.supply == Supply::IsComplete;
            if is_over || state.supply == Supply::IsClosed {
                return None;
            }
            if !state.is_led && self.is_time(&state) {
                let jobs: Vec<_> = state.pop().into_iter().collect();
                if !jobs.is_empty() {
                    state.is_led = true;
                    return Some(Batch { jobs, leads: true });
                }
            }
            if state.is_led && self.is_crowded(&state) {
                let jobs = (0..self.lanes).map_while(|_| state.pop()).collect();
                return Some(Batch { jobs, leads: false });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns whether it is time for a leader.
    fn is_time(&self, state: &State) -> bool {
        let has_company = state.waiting.len() >= self.lanes || state.waiting_bytes >= self.room / 3;
        has_company || state.supply != Supply::Flows || state.sealed < self.room / ENOUGH
    }

    /// Returns whether the leader is who all the rest waits for, and others can take something off its hands.
    fn is_crowded(&self, state: &State) -> bool {
        (state.is_laborious || self.lanes == 1) && state.waiting_bytes >= self.room / 5 * 2
    }

    /// The leader's next one, if there is one.
    pub(super) fn next(&self) -> Option<Job> {
        self.state().pop()
    }

    /// As [`next`](Self::next), for a leader with too little to do: waits a moment, where more can come.
    pub(super) fn next_soon(&self) -> Option<Job> {
        let state = self.state();
        let patience = if state.sealed < self.room / ENOUGH { HASTE } else { PATIENCE };
        let may_come = |state: &mut State| state.waiting.is_empty() && state.supply == Supply::Flows;
        let waited = self.changed.wait_timeout_while(state, patience, may_come);
        waited.unwrap_or_else(PoisonError::into_inner).0.pop()
    }

    /// Says whether there is more to do than digests, which only suffer where they are shared out.
    pub(super) fn laborious(&self, is_laborious: bool) {
        self.state().is_laborious = is_laborious;
        self.changed.notify_all();
    }

    /// The leader has nothing left.
    pub(super) fn lead_no_more(&self) {
        self.state().is_led = false;
        self.changed.notify_all();
    }

    /// A chunk of so many bytes was sealed.
    pub(super) fn sealed(&self, bytes: usize) {
        self.state().sealed += bytes;
    }

    /// It was stored.
    pub(super) fn stored(&self, bytes: usize) {
        let mut state = self.state();
        state.sealed -= bytes;
        if !state.is_led && !state.waiting.is_empty() && self.is_time(&state) {
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever stores has enough to do with this part of the room.
const ENOUGH: usize = 4;
/// How long a leader waits for company if whoever stores has nothing to do: as long as it takes to read some chunks.
const HASTE: Duration = Duration::from_millis(5);
/// And if there is enough to store.
const PATIENCE: Duration = Duration::from_millis(100);

impl State {
    fn pop(&mut self) -> Option<Job> {
        let job = self.waiting.pop_front()?;
        self.waiting_bytes -= job.plain.len();
        Some(job)
    }
}

/// Closes when the run ends, in whatever way.
pub(super) struct CloseOnDrop<'a>(pub(super) &'a Jobs);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::sealer::Plain;
    use super::*;

    fn job(number: u64, bytes: usize) -> Job {
        Job { number, plain: Plain::Zeros(bytes) }
    }

    fn number(job: Option<Job>) -> Option<u64> {
        job.map(|job| job.number)
    }

    /// The numbers of a batch, and whether who got it leads.
    fn batch(batch: Option<Batch>) -> Option<(Vec<u64>, bool)> {
        batch.map(|batch| (batch.jobs.iter().map(|job| job.number).collect(), batch.leads))
    }

    #[test]
    fn one_leads_and_others_help_where_it_is_crowded() {
        let jobs = Jobs::new(2, 100);
        jobs.push(job(0, 10)).unwrap();
        assert_eq!(batch(jobs.wait()), Some((vec![0], true)), "nothing is sealed, so it is time");
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| batch(jobs.wait()));
            (1..=4).for_each(|number| jobs.push(job(number, 10)).unwrap());
            assert!(!jobs.is_crowded(&jobs.state()), "there is nothing that could be shared out");
            jobs.laborious(true);
            assert_eq!(helper.join().unwrap(), Some((vec![1, 2], false)), "as many as go side by side");
        });
        assert_eq!(number(jobs.next()), Some(3), "the leader takes what there is");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| batch(jobs.wait()));
            jobs.lead_no_more();
            assert_eq!(other.join().unwrap(), Some((vec![4], true)), "nobody leads");
        });
    }

    #[test]
    fn nobody_begins_to_lead_as_long_as_there_is_enough_to_store() {
        let jobs = Jobs::new(3, 100);
        jobs.sealed(30);
        jobs.push(job(0, 1)).unwrap();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| batch(jobs.wait()));
            jobs.stored(10);
            assert_eq!(leader.join().unwrap(), Some((vec![0], true)), "what is sealed runs out");
        });
        jobs.lead_no_more();
        jobs.sealed(10);
        (1..4).for_each(|number| jobs.push(job(number, 1)).unwrap());
        assert_eq!(batch(jobs.wait()), Some((vec![1], true)), "three are there");
        jobs.lead_no_more();
        jobs.full(true);
        assert_eq!(batch(jobs.wait()), Some((vec![2], true)), "no more can come");
        jobs.full(false);
        jobs.lead_no_more();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| (batch(jobs.wait()), batch(jobs.wait())));
            jobs.complete();
            assert_eq!(leader.join().unwrap(), (Some((vec![3], true)), None), "no more will come");
        });
    }

    #[test]
    fn a_leader_waits_for_company_as_long_as_it_can_come() {
        let jobs = Jobs::new(3, 400);
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| number(jobs.next_soon()));
            jobs.push(job(0, 10)).unwrap();
            // It came in time, or is still there.
            assert_eq!(leader.join().unwrap().or_else(|| number(jobs.next())), Some(0));
        });
        jobs.sealed(100);
        jobs.full(true);
        assert_eq!(number(jobs.next_soon()), None);
        jobs.full(false);
        jobs.complete();
        assert_eq!(number(jobs.next_soon()), None);
    }

    #[test]
    fn the_end_of_the_run_ends_every_wait_and_lets_nothing_in() {
        let jobs = Jobs::new(3, 400);
        jobs.sealed(100);
        jobs.push(job(0, 10)).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| batch(jobs.wait()));
            drop(CloseOnDrop(&jobs));
            assert_eq!(other.join().unwrap(), None);
        });
        assert!(jobs.is_closed() && jobs.push(job(2, 10)).is_err());
        assert_eq!(number(jobs.next()), None, "what waited is gone");
    }
}
