//! Reads large chunks with several threads, of which one takes the digests of all.
//!
//! ```text
//! READERS (n threads)   fetch ──┐     ┌─▶ decrypt ─ decompress ──┐
//! DIGESTER (1 thread)           └▶ MAC ┘                         └▶ id ─▶ each
//! ```
//!
//! Digests pay side by side. Of large chunks there is memory for few at a time, and if each thread had some of them, none
//! would have enough. Where the mode has no MAC, an object goes from hand to hand among the readers; and the digester opens
//! some itself while it has not enough to digest.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, select};
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::Awaited;

use super::several::{ReadChunk, WantedChunk};
use super::steps::{Message, Step};
use super::{ChunkReader, ObjectProblem};
use crate::pipeline::{Buffer, Closed};

/// Where large chunks are asked for. When it is gone, and all of them are read, there is nothing proven any more.
pub(crate) struct Relay<T>(Arc<Ways<T>>);

/// What is to be done next with a chunk that is no digest; for whoever has time.
pub(crate) struct Errand<T> {
    chunk: Chunk<T>,
    /// `None` is to be fetched yet.
    proven: Option<Buffer>,
}

/// Takes the digests.
pub(crate) struct Digests<T> {
    messages: Receiver<(Chunk<T>, Box<Message>)>,
    proven: Receiver<Errand<T>>,
}

/// A chunk on its way; as long as there is one, nobody ends.
struct Chunk<T> {
    wanted: WantedChunk<T>,
    ways: Arc<Ways<T>>,
}

/// Where chunks go next. Both end together, with the last chunk that is on its way.
struct Ways<T> {
    messages: Sender<(Chunk<T>, Box<Message>)>,
    proven: Sender<Errand<T>>,
}

impl<T> Relay<T> {
    /// A relay, where its readers take what is proven, and what one thread does.
    pub(crate) fn new() -> (Self, Receiver<Errand<T>>, Digests<T>) {
        let (messages_in, messages) = crossbeam_channel::unbounded();
        let (proven_in, proven) = crossbeam_channel::unbounded();
        let ways = Ways { messages: messages_in, proven: proven_in };
        (Self(Arc::new(ways)), proven.clone(), Digests { messages, proven })
    }

    /// What a reader is to begin with, to read a chunk.
    pub(crate) fn errand(&self, wanted: WantedChunk<T>) -> Errand<T> {
        Errand { chunk: Chunk { wanted, ways: self.0.clone() }, proven: None }
    }
}

impl<T> Chunk<T> {
    fn go_on(
        self,
        step: Result<Step, ObjectProblem>,
        each: &mut impl FnMut(T, ChunkId, ReadChunk),
    ) -> Result<(), Closed> {
        let ways = self.ways.clone();
        match step {
            Ok(Step::Digest(message)) => ways.messages.send((self, message)).map_err(|_| Closed),
            Ok(Step::Proven(object)) => {
                ways.proven.send(Errand { chunk: self, proven: Some(object) }).map_err(|_| Closed)
            }
            Ok(Step::Read(csize, chunk)) => {
                self.wanted.tell(Ok((csize, chunk)), each);
                Ok(())
            }
            Err(problem) => {
                self.wanted.tell(Err(problem), each);
                Ok(())
            }
        }
    }
}

impl<T> Errand<T> {
    /// Does it; `each` is told if that was the end of it.
    pub(crate) fn run(
        self,
        reader: &mut ChunkReader<'_>,
        each: &mut impl FnMut(T, ChunkId, ReadChunk),
    ) -> Result<(), Closed> {
        let Self { chunk, proven } = self;
        let WantedChunk { id, size, .. } = chunk.wanted;
        let step = match proven {
            None => reader.fetch(&id),
            Some(object) => reader.open_proven(object, size).map(Step::Digest),
        };
        let step = match step {
            Ok(step) if is_too_long(&step, size) => reader.finish(step, &id, size),
            step => step,
        };
        chunk.go_on(step, each)
    }
}

/// Returns whether what waits for a digest is longer than a chunk of this size may be, or its object. Who gave room to the chunk
/// knows nothing of that, and damage or malice may make all of them as long as can be: such a one is read to its end at once.
/// Of those that are obfuscated it is most.
fn is_too_long(step: &Step, size: Option<u32>) -> bool {
    let size = size.map_or(0, |size| size as usize);
    // What does not compress becomes longer: by the 255th part with lz4, and by header, nonce and MAC.
    step.object_len() > size + size / 128 + 4096 || step.chunk_len() > size
}

impl<T> Digests<T> {
    /// Works until all chunks are read, or nobody wants them any more. `each` is told of those that are done; `pause` is
    /// asked every now and then whether to go on.
    pub(crate) fn digest(
        self,
        reader: ChunkReader<'_>,
        each: impl FnMut(T, ChunkId, ReadChunk),
        pause: impl FnMut() -> Result<(), Closed>,
    ) {
        let Err(Closed) = self.digest_until_closed(reader, each, pause);
    }

    fn digest_until_closed(
        self,
        mut reader: ChunkReader<'_>,
        mut each: impl FnMut(T, ChunkId, ReadChunk),
        mut pause: impl FnMut() -> Result<(), Closed>,
    ) -> Result<Infallible, Closed> {
        let lanes = reader.key.lanes();
        let mut under_way: Vec<(Chunk<T>, Box<Message>)> = Vec::new();
        loop {
            pause()?;
            under_way.extend(self.messages.try_iter());
            if under_way.len() < lanes
                && let Ok(errand) = self.proven.try_recv()
            {
                errand.run(&mut reader, &mut each)?;
                continue;
            }
            if under_way.is_empty() {
                select! {
                    recv(self.messages) -> message => under_way.push(message.map_err(|_| Closed)?),
                    recv(self.proven) -> errand => errand.map_err(|_| Closed)?.run(&mut reader, &mut each)?,
                }
                continue;
            }
            Awaited::go_on(under_way.iter_mut().map(|(_, message)| message.digest()), lanes, AT_ONCE);
            let finished: Vec<_> = under_way.extract_if(.., |(_, message)| message.is_finished()).collect();
            for (chunk, message) in finished {
                let step = message.prove(reader.key, &chunk.wanted.id);
                chunk.go_on(step, &mut each)?;
            }
        }
    }
}

/// How many bytes each digest takes before others may join.
const AT_ONCE: usize = 128 * 1024;
