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

/// Where large chunks are asked for. When it is gone, and all of them are read, there are no more errands.
pub(crate) struct Relay<T>(Arc<Ways<T>>);

/// What is to be done with chunks before their digests, and between them; for whoever has time.
#[derive(Clone)]
pub(crate) struct Errands<T> {
    /// What was fetched comes first: it is in memory.
    pub(crate) proven: Receiver<Errand<T>>,
    pub(crate) wanted: Receiver<Errand<T>>,
}

/// One step, or two, of one chunk.
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

/// Where chunks go next. All of them end together, with the last chunk that is on its way.
struct Ways<T> {
    wanted: Sender<Errand<T>>,
    messages: Sender<(Chunk<T>, Box<Message>)>,
    proven: Sender<Errand<T>>,
}

impl<T> Relay<T> {
    /// A relay, the errands for its readers, and what one thread does.
    pub(crate) fn new() -> (Self, Errands<T>, Digests<T>) {
        let (wanted_in, wanted) = crossbeam_channel::unbounded();
        let (messages_in, messages) = crossbeam_channel::unbounded();
        let (proven_in, proven) = crossbeam_channel::unbounded();
        let ways = Ways { wanted: wanted_in, messages: messages_in, proven: proven_in };
        (Self(Arc::new(ways)), Errands { proven: proven.clone(), wanted }, Digests { messages, proven })
    }

    /// Has a chunk read.
    pub(crate) fn read(&self, wanted: WantedChunk<T>) -> Result<(), Closed> {
        let chunk = Chunk { wanted, ways: self.0.clone() };
        self.0.wanted.send(Errand { chunk, proven: None }).map_err(|_| Closed)
    }
}

impl<T> Errands<T> {
    /// One that is there.
    pub(crate) fn try_take(&self) -> Option<Errand<T>> {
        self.proven.try_recv().or_else(|_| self.wanted.try_recv()).ok()
    }

    /// One, as soon as it is there; `None` is the end.
    pub(crate) fn take(&self) -> Option<Errand<T>> {
        if let Some(errand) = self.try_take() {
            return Some(errand);
        }
        // Both end at the same time.
        select! {
            recv(self.proven) -> errand => errand.ok(),
            recv(self.wanted) -> errand => errand.ok(),
        }
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
            None => match reader.fetch(&id) {
                Ok(step) if step.object_len() > longest_object(size) => reader.finish(step, &id, size),
                fetched => fetched,
            },
            Some(object) => reader.open_proven(object, size).map(Step::Digest),
        };
        chunk.go_on(step, each)
    }
}

/// How long an object may be, in bytes, for a chunk of this size, to wait for its digests beside others. Who gave room to the
/// chunk knows nothing of one that is longer, and damage or malice may make all of them as long as can be: such a one is read
/// to its end at once.
fn longest_object(size: Option<u32>) -> usize {
    // What does not compress becomes longer: by the 255th part with lz4, and by header, nonce and MAC.
    size.map_or(0, |size| size as usize + size as usize / 128 + 4096)
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
