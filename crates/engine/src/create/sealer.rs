//! The middle of the pipeline: names chunks and seals those that are new. Holds no state between chunks.

use std::sync::RwLock;

use crossbeam_channel::{Receiver, Sender};
use worldkeeper_compress::Compression;

use super::step::{Numbered, SealedChunk, Step};
use crate::cache::ChunkIndex;
use crate::session::Session;

/// A chunk to be named and sealed.
pub(super) struct Job {
    /// Its place among the steps.
    pub number: u64,
    /// Its plaintext.
    pub chunk: Vec<u8>,
}

/// Works until there are no more jobs.
pub(super) fn run(
    session: &Session,
    index: &RwLock<ChunkIndex>,
    compression: Compression,
    jobs: &Receiver<Job>,
    steps: &Sender<Numbered>,
) {
    let mut sealer = session.sealer(compression);
    let mut step = |chunk: &[u8]| {
        // A large chunk can take seconds: none is begun that nobody wants any more.
        session.check_stop()?;
        let id = session.key().id_hash(chunk);
        let is_known = super::read(index).get(&id).is_some();
        let object = if is_known { None } else { Some(sealer.seal(chunk)?) };
        Ok(Step::Chunk(SealedChunk { id, size: chunk.len() as u32, object }))
    };
    for Job { number, chunk } in jobs {
        let step = step(&chunk);
        drop(chunk);
        if steps.send((number, step)).is_err() {
            return;
        }
    }
}
