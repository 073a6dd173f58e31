//! The middle of the pipeline: fetches chunks and opens them.

use std::cell::RefCell;
use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender};
use worldkeeper_archive::ChunkRef;

use super::writer::{Numbered, Step};
use crate::objects::WantedChunk;
use crate::session::Session;

/// A chunk to be fetched.
pub(super) struct Job {
    /// Its place among the steps.
    pub number: u64,
    pub chunk: ChunkRef,
}

/// Works until there are no more jobs, or nobody listens.
pub(super) fn run(session: &Session, jobs: &Receiver<Vec<Job>>, steps: &Sender<Vec<Numbered>>) {
    let mut taken = VecDeque::new();
    let opened = RefCell::new(Vec::new());
    let hand_over = || {
        let opened = opened.take();
        opened.is_empty() || steps.send(opened).is_ok()
    };
    let next = |is_busy: bool| {
        if !hand_over() {
            return None;
        }
        if taken.is_empty() {
            taken = if is_busy { jobs.try_recv().ok()? } else { jobs.recv().ok()? }.into();
        }
        let Job { number, chunk: ChunkRef { id, size, .. } } = taken.pop_front()?;
        Some(WantedChunk { purpose: (number, size), id, size: Some(size) })
    };
    session.reader().read_several(next, |(number, size), _, read| {
        let content = read.map(|(_, chunk)| chunk);
        opened.borrow_mut().push((number, Step::Chunk { content, size }));
    });
    hand_over();
}
