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
    /// Rung where a sealer that rests may have something to do.
    rest: Condvar,
    /// Rung where the leader waits for company, and some may have come. To wake somebody costs more than to seal a small
    /// chunk does, so it is not done for nothing.
    company: Condvar,
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
    /// It waits for company.
    is_lonely: bool,
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
pub(super) struct Batch<'a> {
    pub(super) jobs: Vec<Job>,
    /// For the one that takes what comes, too.
    pub(super) lead: Option<Lead<'a>>,
}

/// The lead among the sealers. Who drops it, by a panic too, leaves it to the others.
pub(super) struct Lead<'a>(&'a Jobs);

impl Jobs {
    /// For sealers that do `lanes` digests side by side, where `room` is all that may be under way, in bytes.
    pub(super) fn new(lanes: usize, room: usize) -> Self {
        Self { lanes, room, ..Self::default() }
    }

    /// Adds some to those that wait.
    pub(super) fn push(&self, jobs: impl IntoIterator<Item = Job>) -> Result<(), Closed> {
        let mut state = self.state();
        if state.supply == Supply::IsClosed {
            return Err(Closed);
        }
        for job in jobs {
            state.waiting_bytes += job.plain.len();
            state.waiting.push_back(job);
        }
        let is_for_others = if state.is_led { self.is_crowded(&state) } else { self.is_time(&state) };
        let is_for_leader = std::mem::take(&mut state.is_lonely);
        drop(state);
        if is_for_leader {
            self.company.notify_one();
        }
        if is_for_others {
            self.rest.notify_all();
        }
        Ok(())
    }

    /// Everybody looks what has become of it.
    fn ring(&self, mut state: MutexGuard<'_, State>) {
        state.is_lonely = false;
        drop(state);
        self.company.notify_one();
        self.rest.notify_all();
    }

    /// Says that there is no room for more, or that there is again.
    pub(super) fn full(&self, is_full: bool) {
        let mut state = self.state();
        state.supply = match (state.supply, is_full) {
            (Supply::IsClosed, _) => Supply::IsClosed,
            (_, true) => Supply::IsFull,
            (_, false) => Supply::Flows,
        };
        self.ring(state);
    }

    /// Says that this was all.
    pub(super) fn complete(&self) {
        let mut state = self.state();
        if state.supply != Supply::IsClosed {
            state.supply = Supply::IsComplete;
        }
        self.ring(state);
    }

    /// Ends the work, whatever waits: a reader that hangs never says that it has no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.supply = Supply::IsClosed;
        // Memory goes back where it came from without the lock.
        let unwanted = std::mem::take(&mut state.waiting);
        self.ring(state);
        drop(unwanted);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().supply == Supply::IsClosed
    }

    /// What a sealer that rests begins with; `None` at the end.
    pub(super) fn wait(&self) -> Option<Batch<'_>> {
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
                    return Some(Batch { jobs, lead: Some(Lead(self)) });
                }
            }
            if state.is_led && self.is_crowded(&state) {
                let jobs = (0..self.lanes).map_while(|_| state.pop()).collect();
                return Some(Batch { jobs, lead: None });
            }
            state = self.rest.wait(state).unwrap_or_else(PoisonError::into_inner);
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

    /// Says whether there is more to do than digests, which only suffer where they are shared out.
    pub(super) fn laborious(&self, is_laborious: bool) {
        self.state().is_laborious = is_laborious;
        self.rest.notify_all();
    }

    /// Chunks of so many bytes were sealed.
    pub(super) fn sealed(&self, bytes: usize) {
        self.state().sealed += bytes;
    }

    /// It was stored.
    pub(super) fn stored(&self, bytes: usize) {
        let mut state = self.state();
        state.sealed -= bytes;
        if !state.is_led && !state.waiting.is_empty() && self.is_time(&state) {
            drop(state);
            self.rest.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead<'_> {
    /// The next one, if there is one.
    pub(super) fn next(&self) -> Option<Job> {
        self.0.state().pop()
    }

    /// As [`next`](Self::next), for who has too little to do: waits a moment, where more can come.
    pub(super) fn next_soon(&self) -> Option<Job> {
        let state = self.0.state();
        let patience = if state.sealed < self.0.room / ENOUGH { HASTE } else { PATIENCE };
        let may_come = |state: &mut State| {
            state.is_lonely = state.waiting.is_empty() && state.supply == Supply::Flows;
            state.is_lonely
        };
        let waited = self.0.company.wait_timeout_while(state, patience, may_come);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_lonely = false;
        state.pop()
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.state().is_led = false;
        self.0.rest.notify_all();
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

    /// The numbers of a batch.
    fn numbers(batch: Option<&Batch<'_>>) -> Vec<u64> {
        batch.iter().flat_map(|batch| &batch.jobs).map(|job| job.number).collect()
    }

    /// Waits for a batch that leads.
    #[track_caller]
    fn lead(jobs: &Jobs, expected: u64) -> Lead<'_> {
        let batch = jobs.wait();
        assert_eq!(numbers(batch.as_ref()), [expected]);
        batch.unwrap().lead.expect("nobody else leads")
    }

    #[test]
    fn one_leads_and_others_help_where_it_is_crowded() {
        let jobs = Jobs::new(2, 100);
        jobs.push([job(0, 10)]).unwrap();
        let leader = lead(&jobs, 0);
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let batch = jobs.wait();
                assert!(batch.as_ref().is_some_and(|batch| batch.lead.is_none()));
                numbers(batch.as_ref())
            });
            (1..=4).for_each(|number| jobs.push([job(number, 10)]).unwrap());
            assert!(!jobs.is_crowded(&jobs.state()), "there is nothing that could be shared out");
            jobs.laborious(true);
            assert_eq!(helper.join().unwrap(), [1, 2], "as many as go side by side");
        });
        assert_eq!(number(leader.next()), Some(3), "the leader takes what there is");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| drop(lead(&jobs, 4)));
            drop(leader);
            other.join().unwrap();
        });
    }

    #[test]
    fn a_leader_that_panics_leaves_the_lead_to_others() {
        let jobs = Jobs::new(2, 100);
        jobs.push([job(0, 10)]).unwrap();
        std::thread::scope(|scope| {
            let dead = scope.spawn(|| {
                let _lead = lead(&jobs, 0);
                panic!("as a test wants it");
            });
            assert!(dead.join().is_err());
        });
        jobs.push([job(1, 10)]).unwrap();
        drop(lead(&jobs, 1));
    }

    #[test]
    fn nobody_begins_to_lead_as_long_as_there_is_enough_to_store() {
        let jobs = Jobs::new(3, 100);
        jobs.sealed(30);
        jobs.push([job(0, 1)]).unwrap();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| drop(lead(&jobs, 0)));
            jobs.stored(10);
            leader.join().unwrap();
        });
        jobs.sealed(10);
        (1..4).for_each(|number| jobs.push([job(number, 1)]).unwrap());
        drop(lead(&jobs, 1));
        jobs.full(true);
        drop(lead(&jobs, 2));
        jobs.full(false);
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                drop(lead(&jobs, 3));
                jobs.wait().is_none()
            });
            jobs.complete();
            assert!(leader.join().unwrap(), "no more will come");
        });
    }

    #[test]
    fn a_leader_waits_for_company_as_long_as_it_can_come() {
        let jobs = Jobs::new(3, 400);
        let leader = Lead(&jobs);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| number(leader.next_soon()));
            jobs.push([job(0, 10)]).unwrap();
            // It came in time, or is still there.
            assert_eq!(waiting.join().unwrap().or_else(|| number(leader.next())), Some(0));
        });
        jobs.sealed(100);
        jobs.full(true);
        assert_eq!(number(leader.next_soon()), None);
        jobs.full(false);
        jobs.complete();
        assert_eq!(number(leader.next_soon()), None);
    }

    #[test]
    fn the_end_of_the_run_ends_every_wait_and_lets_nothing_in() {
        let jobs = Jobs::new(3, 400);
        jobs.sealed(100);
        jobs.push([job(0, 10)]).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| jobs.wait().is_none());
            drop(CloseOnDrop(&jobs));
            assert!(other.join().unwrap());
        });
        assert!(jobs.is_closed() && jobs.push([job(2, 10)]).is_err());
        assert_eq!(number(Lead(&jobs).next()), None, "what waited is gone");
    }
}
