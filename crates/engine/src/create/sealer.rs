//! The middle of the pipeline: names chunks and seals those that are new. Holds no state between chunks.

use std::convert::Infallible;
use std::sync::RwLock;

use crossbeam_channel::{Receiver, Sender, select};

use super::CreateOptions;
use super::step::{Numbered, SealedChunk, Step};
use crate::cache::ChunkIndex;
use crate::session::Session;

/// A chunk to be named and sealed.
pub(super) struct Job {
    /// Its place among the steps.
    pub number: u64,
    pub plain: Plain,
}

/// The plaintext of a chunk.
pub(super) enum Plain {
    /// As it was read.
    Bytes(Vec<u8>),
    /// So many zeros, of a hole.
    Zeros(usize),
}

/// Works until there are no more jobs, or the run ends: a reader that hangs never says that it has no more.
pub(super) fn run(
    session: &Session,
    index: &RwLock<ChunkIndex>,
    options: &CreateOptions,
    jobs: &Receiver<Job>,
    ended: &Receiver<Infallible>,
    steps: &Sender<Numbered>,
) {
    let mut sealer = session.sealer(options.compression).verified(options.verify);
    // A huge hole is one chunk many times over.
    let mut last_zeros = None;
    let mut step = |plain: Plain| {
        // A large chunk can take seconds: none is begun that nobody wants any more.
        session.check_stop()?;
        let (id, size) = match &plain {
            Plain::Bytes(bytes) => (session.key().id_hash(bytes), bytes.len()),
            Plain::Zeros(size) => match last_zeros {
                Some((id, last)) if last == *size => (id, last),
                _ => {
                    let id = session.key().id_hash(&vec![0; *size]);
                    *last_zeros.insert((id, *size))
                }
            },
        };
        let is_known = super::read(index).get(&id).is_some();
        let object = match plain {
            _ if is_known => None,
            Plain::Bytes(bytes) => Some(sealer.seal_chunk(&id, &bytes)?),
            Plain::Zeros(size) => Some(sealer.seal_chunk(&id, &vec![0; size])?),
        };
        Ok(Step::Chunk(SealedChunk { id, size: size as u32, object }))
    };
    loop {
        let job = select! { recv(jobs) -> job => job, recv(ended) -> _ => return };
        let Ok(Job { number, plain }) = job else { return };
        let step = step(plain);
        if steps.send((number, step)).is_err() {
            return;
        }
    }
}
