//! The chunks that wait for a sealer.
//!
//! Digests of several chunks side by side cost little more than one, so that one sealer with much to do takes less of the
//! processor than two with little. One leads: it takes what comes, and waits a moment for company. It begins where enough
//! wait, or whoever stores is about to run out: the slower the repository, the less is taken from the game. The others
//! help with all that is no digest: each large chunk is handed over when its id is made, and when its MAC is, and comes
//! back if it needs more digests. Where that is much, and where small chunks are so many that all have enough to do side by
//! side, they also take a batch of chunks at a time, which they finish before they look again.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sealer::{Ended, Job, UnderWay};
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
    /// Chunks that the leader has handed over, until somebody takes them.
    #[expect(clippy::vec_box, reason = "each is moved a dozen times, and large")]
    handed: Vec<Box<UnderWay>>,
    /// How many it has handed over that are not done and not back.
    in_hands: usize,
    /// Those that are back.
    #[expect(clippy::vec_box, reason = "as above")]
    back: Vec<Box<UnderWay>>,
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

/// What a sealer that rests goes on with.
pub(super) enum Work<'a> {
    /// It leads: takes what comes.
    Lead(Option<Job>, Lead<'a>),
    /// It takes something off the leader's hands.
    Help(Vec<Job>),
    /// It does something that is no digest.
    Hand(Hand<'a>),
}

/// What a leader could go on with.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub job: bool,
    /// Something that is no digest.
    pub hand: bool,
    /// It has too little to do: a moment is waited, where more can come.
    pub waits: bool,
}

/// What a leader goes on with.
pub(super) enum Next<'a> {
    Job(Job),
    /// A chunk that needs digests again.
    Back(Box<UnderWay>),
    /// What it handed over, and nobody took.
    Hand(Hand<'a>),
}

/// A chunk that was handed over. Who drops it, by a panic too, lets nobody wait for it.
pub(super) struct Hand<'a> {
    jobs: &'a Jobs,
    chunk: Option<Box<UnderWay>>,
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
        // That there is room again ends no wait: what comes is told when it comes.
        if is_full {
            self.ring(state);
        }
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
        let unwanted =
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.handed), std::mem::take(&mut state.back));
        self.ring(state);
        drop(unwanted);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().supply == Supply::IsClosed
    }

    /// What a sealer that rests goes on with; `None` at the end.
    pub(super) fn wait(&self) -> Option<Work<'_>> {
        let mut state = self.state();
        loop {
            let nothing_waits = state.waiting.is_empty() && state.back.is_empty();
            let is_over = nothing_waits && state.in_hands == 0 && !state.is_led && state.supply == Supply::IsComplete;
            if is_over || state.supply == Supply::IsClosed {
                return None;
            }
            if !state.is_led && !nothing_waits && self.is_time(&state) {
                state.is_led = true;
                return Some(Work::Lead(state.pop(), Lead(self)));
            }
            if let Some(hand) = self.hand(&mut state) {
                return Some(Work::Hand(hand));
            }
            if state.is_led && self.is_crowded(&state) {
                let some = (state.waiting.len() / 2).clamp(self.lanes, self.lanes * MANY);
                return Some(Work::Help((0..some).map_while(|_| state.pop()).collect()));
            }
            state = self.rest.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Of what was handed over, what is waited for first.
    fn hand(&self, state: &mut State) -> Option<Hand<'_>> {
        let (first, _) = state.handed.iter().enumerate().min_by_key(|(_, chunk)| chunk.number)?;
        Some(Hand { jobs: self, chunk: Some(state.handed.swap_remove(first)) })
    }

    /// Returns whether it is time for a leader.
    fn is_time(&self, state: &State) -> bool {
        let has_company = state.waiting.len() >= self.lanes || state.waiting_bytes >= self.room / 3;
        has_company || !state.back.is_empty() || state.supply != Supply::Flows || state.sealed < self.room / ENOUGH
    }

    /// Returns whether the leader is who all the rest waits for, and others can take something off its hands.
    fn is_crowded(&self, state: &State) -> bool {
        let are_many = state.waiting.len() >= self.lanes * MANY;
        let is_much = state.waiting_bytes >= self.room / 5 * 2;
        are_many || (state.is_laborious || self.lanes == 1) && is_much
    }

    /// Says whether there is more to do than digests, which only suffer where they are shared out. If that is new,
    /// `adjust` adjusts the rest to it before somebody else says otherwise.
    pub(super) fn laborious(&self, is_laborious: bool, adjust: impl FnOnce()) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_laborious, is_laborious) != is_laborious {
            adjust();
            drop(state);
            self.rest.notify_all();
        }
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

impl<'a> Lead<'a> {
    /// What there is to go on with.
    pub(super) fn next(&self, wants: Wants) -> Option<Next<'a>> {
        let jobs = self.0;
        let mut state = jobs.state();
        if wants.waits {
            let patience = if state.sealed < jobs.room / ENOUGH { HASTE } else { PATIENCE };
            let may_come = |state: &mut State| {
                let is_there =
                    !state.waiting.is_empty() || !state.back.is_empty() || (wants.hand && !state.handed.is_empty());
                let may_come = state.supply == Supply::Flows || state.in_hands > 0 && state.supply != Supply::IsClosed;
                state.is_lonely = !is_there && may_come;
                state.is_lonely
            };
            let waited = jobs.company.wait_timeout_while(state, patience, may_come);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.is_lonely = false;
        }
        if let Some(chunk) = state.back.pop() {
            return Some(Next::Back(chunk));
        }
        if let Some(job) = Some(&mut state).filter(|_| wants.job).and_then(|state| state.pop()) {
            return Some(Next::Job(job));
        }
        if wants.hand { jobs.hand(&mut state).map(Next::Hand) } else { None }
    }

    /// Leaves a chunk to whoever has time.
    pub(super) fn hand_over(&self, chunk: Box<UnderWay>) {
        let mut state = self.0.state();
        state.in_hands += 1;
        state.handed.push(chunk);
        drop(state);
        self.0.rest.notify_one();
    }
}

impl Hand<'_> {
    /// Has it done by `work`, and gives it back if it is returned.
    pub(super) fn work(
        mut self,
        work: impl FnOnce(Box<UnderWay>) -> Result<Option<Box<UnderWay>>, Ended>,
    ) -> Result<(), Ended> {
        let chunk = self.chunk.take().expect("it is there until it is worked on");
        self.chunk = work(chunk)?;
        Ok(())
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut state = self.jobs.state();
        state.in_hands -= 1;
        state.back.extend(self.chunk.take());
        self.jobs.ring(state);
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
/// So many times what goes side by side wait only where chunks are small, or where nothing goes side by side: either is
/// enough for two.
const MANY: usize = 4;
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

    /// What a leader wants who has room, and who has nothing to do but digests.
    const JOB: Wants = Wants { job: true, hand: false, waits: false };
    const SOON: Wants = Wants { waits: true, ..JOB };
    const ANY: Wants = Wants { hand: true, ..JOB };

    /// What a leader goes on with, in a word.
    fn name(next: Option<Next<'_>>) -> String {
        match next {
            Some(Next::Job(job)) => format!("job {}", job.number),
            Some(Next::Back(chunk)) => format!("back {}", chunk.number),
            Some(Next::Hand(hand)) => format!("hand {}", hand.chunk.as_ref().unwrap().number),
            None => "nothing".to_owned(),
        }
    }

    /// Waits until it leads.
    #[track_caller]
    fn lead(jobs: &Jobs, expected: u64) -> Lead<'_> {
        let Some(Work::Lead(job, lead)) = jobs.wait() else { panic!("somebody else leads") };
        assert_eq!(job.unwrap().number, expected);
        lead
    }

    /// What somebody does who does not lead.
    fn helps(jobs: &Jobs) -> Vec<u64> {
        match jobs.wait() {
            Some(Work::Help(jobs)) => jobs.iter().map(|job| job.number).collect(),
            Some(Work::Hand(hand)) => vec![hand.chunk.as_ref().unwrap().number],
            _ => panic!("there is nothing to help with"),
        }
    }

    #[test]
    fn one_leads_and_others_help_where_it_is_crowded() {
        let jobs = Jobs::new(2, 100);
        jobs.push([job(0, 10)]).unwrap();
        let leader = lead(&jobs, 0);
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| helps(&jobs));
            (1..=4).for_each(|number| jobs.push([job(number, 10)]).unwrap());
            assert!(!jobs.is_crowded(&jobs.state()), "there is nothing that could be shared out");
            jobs.laborious(true, || {});
            assert_eq!(helper.join().unwrap(), [1, 2], "as many as go side by side");
        });
        assert_eq!(name(leader.next(JOB)), "job 3", "the leader takes what there is");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| drop(lead(&jobs, 4)));
            drop(leader);
            other.join().unwrap();
        });
    }

    #[test]
    fn many_small_chunks_are_shared_out_whatever_they_need() {
        let jobs = Jobs::new(2, 1000);
        jobs.push([job(0, 1)]).unwrap();
        let leader = lead(&jobs, 0);
        let many = 2 * MANY as u64;
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| helps(&jobs));
            jobs.push((1..many).map(|number| job(number, 1))).unwrap();
            assert!(!jobs.is_crowded(&jobs.state()), "all of them go side by side twice or thrice");
            jobs.push([job(many, 1)]).unwrap();
            assert_eq!(helper.join().unwrap(), (1..=many / 2).collect::<Vec<_>>(), "half of them");
        });
        assert_eq!(name(leader.next(JOB)), format!("job {}", many / 2 + 1));
    }

    #[test]
    fn what_is_handed_over_is_done_by_whoever_has_time_and_comes_back() {
        let jobs = Jobs::new(2, 100);
        jobs.push([job(0, 10)]).unwrap();
        let leader = lead(&jobs, 0);
        for number in [3, 1, 2] {
            leader.hand_over(UnderWay::named(number));
        }
        assert_eq!(name(leader.next(JOB)), "nothing", "it has enough to do");
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let Some(Work::Hand(hand)) = jobs.wait() else { panic!("there is something to do") };
                let mut done = 0;
                assert!(hand.work(|chunk| Ok(Some(chunk).inspect(|chunk| done = chunk.number))).is_ok());
                assert_eq!(done, 1, "the first in the archive is the one that is waited for");
            });
            helper.join().unwrap();
        });
        assert_eq!(name(leader.next(JOB)), "back 1");
        let Some(Next::Hand(hand)) = leader.next(ANY) else { panic!("nobody has taken it") };
        assert!(hand.work(|_| Ok(None)).is_ok(), "it is done");
        jobs.complete();
        drop(leader);
        // Nobody goes as long as something may come back, and whoever is there leads then.
        std::thread::scope(|scope| {
            let last = scope.spawn(|| {
                let Some(Work::Hand(hand)) = jobs.wait() else { panic!("there is one left") };
                assert!(hand.work(|chunk| Ok(Some(chunk))).is_ok());
                let Some(Work::Lead(None, leader)) = jobs.wait() else { panic!("it needs digests") };
                assert_eq!(name(leader.next(JOB)), "back 3");
            });
            last.join().unwrap();
        });
        assert!(jobs.wait().is_none());
    }

    #[test]
    fn nobody_waits_for_a_hand_that_is_dead() {
        let jobs = Jobs::new(2, 100);
        Lead(&jobs).hand_over(UnderWay::named(0));
        jobs.complete();
        std::thread::scope(|scope| {
            let dead = scope.spawn(|| {
                let Some(Work::Hand(hand)) = jobs.wait() else { panic!("there is something to do") };
                let _ = hand.work(|_| panic!("as a test wants it"));
            });
            assert!(dead.join().is_err());
        });
        assert!(jobs.wait().is_none());
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
            let waiting = scope.spawn(|| name(leader.next(SOON)));
            jobs.push([job(0, 10)]).unwrap();
            // It came in time, or is still there.
            let came = waiting.join().unwrap();
            assert_eq!(if came == "nothing" { name(leader.next(JOB)) } else { came }, "job 0");
        });
        jobs.sealed(100);
        jobs.full(true);
        assert_eq!(name(leader.next(SOON)), "nothing");
        jobs.full(false);
        jobs.complete();
        assert_eq!(name(leader.next(SOON)), "nothing");
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
        assert_eq!(name(Lead(&jobs).next(ANY)), "nothing", "what waited is gone");
    }
}
