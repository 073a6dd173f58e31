//! The front of the pipeline: reads the items and says which chunks will be needed, in order.

use crossbeam_channel::Sender;
use worldkeeper_archive::Item;

use super::opener::Job;
use super::wanted::{Selector, Wanted};
use super::writer::{Numbered, Step};
use crate::pipeline::{Budget, Closed, step_bytes};
use crate::session::{OpenArchive, Session, SessionError};

/// Makes the steps of a restore.
pub(super) struct Planner<'a> {
    session: &'a Session,
    archive: &'a OpenArchive,
    wanted: &'a Wanted,
    budget: &'a Budget,
    jobs: Sender<Job>,
    steps: Sender<Numbered>,
    next_number: u64,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        session: &'a Session,
        archive: &'a OpenArchive,
        wanted: &'a Wanted,
        budget: &'a Budget,
        jobs: Sender<Job>,
        steps: Sender<Numbered>,
    ) -> Self {
        Self { session, archive, wanted, budget, jobs, steps, next_number: 0 }
    }

    /// Works until the items end or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.plan();
    }

    fn plan(&mut self) -> Result<(), Closed> {
        let mut selector = Selector::new(self.wanted);
        for item in self.session.items(self.archive) {
            let item = match item {
                Ok(item) => item,
                Err(error) => return self.send(Step::Broken(error.into())),
            };
            if self.session.check_stop().is_err() {
                return self.send(Step::Broken(SessionError::Stopped.into()));
            }
            match selector.select(item) {
                Ok(Some(item)) => self.item(item)?,
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
        let ids: Vec<_> = chunks.iter().flatten().map(|chunk| chunk.id).collect();
        self.session.repository().will_read(&ids);
        for chunk in chunks.into_iter().flatten() {
            self.budget.take(step_bytes(chunk.size as usize))?;
            let number = self.number();
            self.jobs.send(Job { number, chunk }).map_err(|_| Closed)?;
        }
        Ok(())
    }

    fn send(&mut self, step: Step) -> Result<(), Closed> {
        self.budget.take(step.weight())?;
        let number = self.number();
        self.steps.send((number, step)).map_err(|_| Closed)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}
