//! The middle of the pipeline: fetches chunks and opens them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select};
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::ChunkId;

use super::writer::{Numbered, Step};
use crate::objects::{ChunkReader, Digests, Errand, ReadChunk, WantedChunk};
use crate::pipeline::{Buffers, Closed};
use crate::session::Session;

/// The place of a chunk among the steps, and its size.
pub(super) type Place = (u64, u32);

/// A chunk to be fetched.
pub(super) type Wanted = WantedChunk<Place>;

/// What an opener does next.
pub(super) enum Job {
    /// Reads these.
    Small(Vec<Wanted>),
    /// Begins with one that all openers read together.
    Large(Errand<Place>),
}

pub(super) fn wanted(number: u64, ChunkRef { id, size, .. }: ChunkRef) -> Wanted {
    Wanted { purpose: (number, size), id, size: Some(size) }
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

    /// Works until there are no more jobs and nothing proven, or nobody listens.
    pub(super) fn run(self, jobs: &Receiver<Job>, proven: &Receiver<Errand<Place>>) {
        let mut taken = VecDeque::new();
        let mut large = None;
        let mut reader = self.reader();
        let mut run =
            |errand: Errand<_>| errand.run(&mut reader, &mut |place, id, read| self.add(place, id, read)).ok();
        let next = |is_busy: bool| {
            loop {
                self.hand_over().ok()?;
                if let Some(wanted) = taken.pop_front() {
                    return Some(wanted);
                }
                // What is in memory comes first.
                if let Ok(errand) = proven.try_recv() {
                    run(errand)?;
                    continue;
                }
                // What is under way is finished before something large is fetched: the writer may wait for it.
                if is_busy && large.is_some() {
                    return None;
                }
                if let Some(errand) = large.take() {
                    run(errand)?;
                    continue;
                }
                let job = if is_busy {
                    jobs.try_recv().ok()?
                } else {
                    select! {
                        recv(jobs) -> job => match job {
                            Ok(job) => job,
                            Err(_) => Job::Large(proven.recv().ok()?),
                        },
                        recv(proven) -> errand => match errand {
                            Ok(errand) => Job::Large(errand),
                            Err(_) => jobs.recv().ok()?,
                        },
                    }
                };
                match job {
                    Job::Small(several) => taken = several.into(),
                    Job::Large(errand) => large = Some(errand),
                }
            }
        };
        self.reader().read_several(next, |place, id, read| self.add(place, id, read));
        _ = self.hand_over();
    }

    /// Takes digests until all large chunks are read, or nobody listens.
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

#[cfg(test)]
mod tests;
