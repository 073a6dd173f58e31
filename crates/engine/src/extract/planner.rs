//! The front of the pipeline: reads the items and says which chunks will be needed, in order.

use crossbeam_channel::Sender;
use worldkeeper_archive::{ChunkRef, Item};
use worldkeeper_core::repository::Announced;

use super::opener::{self, Job, LARGE, Place};
use super::wanted::{Selector, Wanted};
use super::writer::{Numbered, Step};
use crate::objects::Relay;
use crate::pipeline::{Budget, Closed, chunk_bytes, step_bytes};
use crate::session::{Listed, OpenArchive, Session, SessionError};

/// Makes the steps of a restore.
pub(super) struct Planner<'a> {
    session: &'a Session,
    archive: &'a OpenArchive,
    wanted: &'a Wanted,
    budget: &'a Budget,
    jobs: Sender<Job>,
    relay: Option<Relay<Place>>,
    steps: Sender<Vec<Numbered>>,
    next_number: u64,
    /// What is not handed over yet.
    planned: Planned,
}

/// Steps and jobs that go together: to hand over each costs more than to do what a small file takes.
#[derive(Default)]
struct Planned {
    wanted: Vec<opener::Wanted>,
    steps: Vec<Numbered>,
    /// Of the chunks.
    bytes: usize,
}

/// As many steps and jobs go together at most, and as many bytes of chunks, so that there is work for all openers.
const TOGETHER: usize = 64;
const BYTES_TOGETHER: usize = 256 * 1024;

impl<'a> Planner<'a> {
    pub(super) fn new(
        session: &'a Session,
        archive: &'a OpenArchive,
        wanted: &'a Wanted,
        budget: &'a Budget,
        jobs: Sender<Job>,
        relay: Option<Relay<Place>>,
        steps: Sender<Vec<Numbered>>,
    ) -> Self {
        Self { session, archive, wanted, budget, jobs, relay, steps, next_number: 0, planned: Planned::default() }
    }

    /// Works until the items end or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.plan().and_then(|()| self.hand_over());
    }

    fn plan(&mut self) -> Result<(), Closed> {
        let mut selector = Selector::new(self.wanted);
        for listed in self.session.items_past_gaps(self.archive) {
            let item = match listed {
                Ok(Listed::Item(item)) => *item,
                Ok(Listed::Gap(error)) => {
                    self.send(Step::Gap(error))?;
                    continue;
                }
                Err(error) => return self.send(Step::Broken(error.into())),
            };
            if self.session.check_stop().is_err() {
                return self.send(Step::Broken(SessionError::Stopped.into()));
            }
            match selector.select(item) {
                Ok(Some(item)) => {
                    if let Some(replaced) = selector.replaced() {
                        self.send(Step::Replaced(replaced))?;
                    }
                    self.item(item)?;
                }
                Ok(None) => {}
                Err(error) => return self.send(Step::Broken(error.into())),
            }
        }
        self.send(Step::End)
    }

    fn item(&mut self, mut item: Item) -> Result<(), Closed> {
        let chunks = item.chunks.take();
        let size = chunks.iter().flatten().map(|chunk| u64::from(chunk.size)).sum();
        let step = Step::Item { chunks: chunks.as_ref().map(Vec::len), size, item: Box::new(item) };
        self.send(step)?;
        let announced = |chunk: &ChunkRef| Announced { id: chunk.id, csize: Some(chunk.csize) };
        self.session.repository().will_read(&mut chunks.iter().flatten().map(announced));
        for chunk in chunks.into_iter().flatten() {
            self.take(step_bytes(chunk_bytes(chunk.size as usize)))?;
            let number = self.number();
            self.planned.bytes += chunk.size as usize;
            self.planned.wanted.push(opener::wanted(number, chunk));
            self.hand_over_if_many()?;
        }
        Ok(())
    }

    fn send(&mut self, step: Step) -> Result<(), Closed> {
        self.take(step.weight())?;
        let number = self.number();
        self.planned.steps.push((number, step));
        self.hand_over_if_many()
    }

    /// Takes from the budget; before it waits, everybody gets what there is to do.
    fn take(&mut self, bytes: usize) -> Result<(), Closed> {
        if self.budget.try_take(bytes)? {
            return Ok(());
        }
        self.hand_over()?;
        self.budget.take(bytes)
    }

    fn hand_over_if_many(&mut self) -> Result<(), Closed> {
        let Planned { wanted, steps, bytes } = &self.planned;
        let is_many = wanted.len() + steps.len() >= TOGETHER || *bytes >= BYTES_TOGETHER;
        if is_many { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Closed> {
        let Planned { wanted, steps, .. } = std::mem::take(&mut self.planned);
        let mut small = Vec::new();
        for wanted in wanted {
            match &self.relay {
                Some(relay) if wanted.purpose.1 >= LARGE => {
                    self.job(std::mem::take(&mut small))?;
                    self.jobs.send(Job::Large(relay.errand(wanted))).map_err(|_| Closed)?;
                }
                _ => small.push(wanted),
            }
        }
        self.job(small)?;
        if steps.is_empty() { Ok(()) } else { self.steps.send(steps).map_err(|_| Closed) }
    }

    fn job(&self, small: Vec<opener::Wanted>) -> Result<(), Closed> {
        if small.is_empty() { Ok(()) } else { self.jobs.send(Job::Small(small)).map_err(|_| Closed) }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}
