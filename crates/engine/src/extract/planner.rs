//! The front of the pipeline: reads the items and says which chunks will be needed, in order.

use std::collections::BTreeSet;

use crossbeam_channel::Sender;
use worldkeeper_archive::Item;

use super::ExtractOptions;
use super::opener::Job;
use super::writer::{Numbered, Step};
use crate::pipeline::{Budget, Closed, step_bytes};
use crate::restore::HardLinks;
use crate::session::{OpenArchive, Session, SessionError};

/// Makes the steps of a restore.
pub(super) struct Planner<'a> {
    session: &'a Session,
    archive: &'a OpenArchive,
    paths: &'a [Vec<u8>],
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
        Self { session, archive, paths: &options.paths, budget, jobs, steps, next_number: 0 }
    }

    /// Works until the items end or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.plan();
    }

    fn plan(&mut self) -> Result<(), Closed> {
        let mut links = HardLinks::default();
        let mut unmatched: BTreeSet<usize> = (0..self.paths.len()).collect();
        for item in self.session.items(self.archive) {
            let item = match item {
                Ok(item) => item,
                Err(error) => return self.send(Step::Broken(error)),
            };
            if self.session.check_stop().is_err() {
                return self.send(Step::Broken(SessionError::Stopped));
            }
            // Part files of a checkpoint repeat what the whole file has.
            let selected = item.part.is_none() && self.is_selected(&item, &mut unmatched);
            if let Some(item) = links.resolve(item, selected) {
                self.item(item)?;
            }
        }
        let unmatched = unmatched.into_iter().map(|path| self.paths[path].clone()).collect();
        self.send(Step::End { unmatched })
    }

    fn is_selected(&self, item: &Item, unmatched: &mut BTreeSet<usize>) -> bool {
        if self.paths.is_empty() {
            return true;
        }
        let matches = |path: &[u8]| item.path.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        let mut selected = false;
        for (number, path) in self.paths.iter().enumerate() {
            if matches(path) {
                unmatched.remove(&number);
                selected = true;
            }
        }
        selected
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
