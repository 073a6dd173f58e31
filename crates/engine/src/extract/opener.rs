//! The middle of the pipeline: fetches chunks and opens them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select};
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::ChunkId;

use super::writer::{Numbered, Step};
use crate::objects::{ChunkReader, Digests, Errand, Errands, ReadChunk, WantedChunk};
use crate::pipeline::{Buffers, Closed};
use crate::session::Session;

/// The place of a chunk among the steps, and its size.
pub(super) type Place = (u64, u32);

/// A chunk to be fetched.
pub(super) type Job = WantedChunk<Place>;

pub(super) fn job(number: u64, ChunkRef { id, size, .. }: ChunkRef) -> Job {
    Job { purpose: (number, size), id, size: Some(size) }
}

/// Chunks from this size on, in bytes, are read by all openers together: what files are cut into that are not small, with the
/// parameters that are borg's default. To hand over a smaller one costs more than it brings.
pub(super) const LARGE: u32 = 512 * 1024;

/// Fetches and opens chunks, or takes the digests of those that others fetch and open; for one thread.
pub(super) struct Opener<'a> {
    session: &'a Session,
    buffers: &'a Arc<Buffers>,
    steps: Sender<Vec<Numbered>>,
    /// What is not handed over to the writer yet.
    opened: RefCell<Vec<Numbered>>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(session: &'a Session, buffers: &'a Arc<Buffers>, steps: Sender<Vec<Numbered>>) -> Self {
        Self { session, buffers, steps, opened: RefCell::default() }
    }

    /// Works until there are no more jobs and errands, or nobody listens.
    pub(super) fn run(self, jobs: &Receiver<Vec<Job>>, errands: &Errands<Place>) {
        let mut taken = VecDeque::new();
        let mut reader = self.reader();
        let mut run =
            |errand: Errand<_>| errand.run(&mut reader, &mut |place, id, read| self.add(place, id, read)).ok();
        let next = |is_busy: bool| {
            loop {
                self.hand_over().ok()?;
                if let Some(job) = taken.pop_front() {
                    return Some(job);
                }
                if let Some(errand) = errands.try_take() {
                    run(errand)?;
                    continue;
                }
                if is_busy {
                    taken = jobs.try_recv().ok()?.into();
                    continue;
                }
                let errand = select! {
                    recv(errands.proven) -> errand => errand.ok(),
                    recv(errands.wanted) -> errand => errand.ok(),
                    recv(jobs) -> jobs => match jobs {
                        Ok(jobs) => {
                            taken = jobs.into();
                            continue;
                        }
                        Err(_) => Some(errands.take()?),
                    },
                };
                match errand {
                    Some(errand) => run(errand)?,
                    None => taken = jobs.recv().ok()?.into(),
                }
            }
        };
        self.reader().read_several(next, |place, id, read| self.add(place, id, read));
        _ = self.hand_over();
    }

    /// Takes digests until there are no more errands, or nobody listens.
    pub(super) fn digest(self, digests: Digests<Place>) {
        digests.digest(self.reader(), |place, id, read| self.add(place, id, read), || self.hand_over());
        _ = self.hand_over();
    }

    fn reader(&self) -> ChunkReader<'_> {
        self.session.reader().with_buffers(self.buffers)
    }

    fn add(&self, (number, size): Place, _: ChunkId, read: ReadChunk) {
        let content = read.map(|(_, chunk)| chunk);
        self.opened.borrow_mut().push((number, Step::Chunk { content, size }));
    }

    fn hand_over(&self) -> Result<(), Closed> {
        let opened = self.opened.take();
        if opened.is_empty() { Ok(()) } else { self.steps.send(opened).map_err(|_| Closed) }
    }
}
