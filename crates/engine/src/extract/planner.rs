//! The front of the pipeline: reads the items and says which chunks will be needed, in order.

use crossbeam_channel::Sender;
use worldkeeper_archive::Item;

use super::ExtractOptions;
use super::opener::Job;
use super::writer::{Numbered, Step};
use crate::patterns::PatternTooSlow;
use crate::pipeline::{Budget, Closed, step_bytes};
use crate::restore::HardLinks;
use crate::session::{OpenArchive, Session, SessionError};

/// Makes the steps of a restore.
pub(super) struct Planner<'a> {
    session: &'a Session,
    archive: &'a OpenArchive,
    options: &'a ExtractOptions,
    budget: &'a Budget,
    jobs: Sender<Job>,
    steps: Sender<Numbered>,
    next_number: u64,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        session: &'a Session,
        archive: &'a OpenArchive,
        options: &'a ExtractOptions,
        budget: &'a Budget,
        jobs: Sender<Job>,
        steps: Sender<Numbered>,
    ) -> Self {
        Self { session, archive, options, budget, jobs, steps, next_number: 0 }
    }

    /// Works until the items end or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.plan();
    }

    fn plan(&mut self) -> Result<(), Closed> {
        let mut links = HardLinks::default();
        for item in self.session.items(self.archive) {
            let item = match item {
                Ok(item) => item,
                Err(error) => return self.send(Step::Broken(error.into())),
            };
            if self.session.check_stop().is_err() {
                return self.send(Step::Broken(SessionError::Stopped.into()));
            }
            // Part files of a checkpoint repeat what the whole file has.
            let selected = match self.is_selected(&item) {
                Ok(selected) => selected && item.part.is_none(),
                Err(error) => return self.send(Step::Broken(error.into())),
            };
            if let Some(item) = links.resolve(item, selected) {
                self.item(item)?;
            }
        }
        self.send(Step::End)
    }

    fn is_selected(&self, item: &Item) -> Result<bool, PatternTooSlow> {
        let is_beneath = |path: &Vec<u8>| {
            item.path.strip_prefix(path.as_slice()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        let within = &self.options.within;
        Ok((within.is_empty() || within.iter().any(is_beneath)) && self.options.selection.selects(&item.path)?)
    }

    fn item(&mut self, mut item: Item) -> Result<(), Closed> {
        let chunks = item.chunks.take();
        let step = Step::Item { chunks: chunks.as_ref().map(Vec::len), item: Box::new(item) };
        self.send(step)?;
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
