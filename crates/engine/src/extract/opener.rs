//! The middle of the pipeline: fetches chunks and opens them.

use crossbeam_channel::{Receiver, Sender};
use worldkeeper_archive::ChunkRef;

use super::writer::{Numbered, Step};
use crate::session::Session;

/// A chunk to be fetched.
pub(super) struct Job {
    /// Its place among the steps.
    pub number: u64,
    pub chunk: ChunkRef,
}

/// Works until there are no more jobs.
pub(super) fn run(session: &Session, jobs: &Receiver<Job>, steps: &Sender<Numbered>) {
    let mut reader = session.reader();
    for Job { number, chunk } in jobs {
        let content = reader.read(&chunk.id, Some(chunk.size));
        if steps.send((number, Step::Chunk { content, size: chunk.size })).is_err() {
            return;
        }
    }
}
