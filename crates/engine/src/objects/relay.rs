//! Reads large chunks with several threads, of which one takes the digests of all.
//!
//! ```text
//! READERS (n threads)   fetch ──┐     ┌─▶ decrypt ─ decompress ──┐
//! DIGESTER (1 thread)           └▶ MAC ┘                         └▶ id ─▶ each
//! ```
//!
//! Digests pay side by side. Of large chunks there is memory for few at a time, and if each thread had some of them, none
//! would have enough.

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

/// What is to be done with a chunk between its digests, and before them.
pub(crate) struct Errand<T> {
    chunk: Chunk<T>,
    /// `None` is to be fetched yet.
    proven: Option<Buffer>,
}

/// Takes the digests.
pub(crate) struct Digests<T> {
    messages: Receiver<(Chunk<T>, Box<Message>)>,
    errands: Receiver<Errand<T>>,
}

/// A chunk on its way; as long as there is one, nobody ends.
struct Chunk<T> {
    wanted: WantedChunk<T>,
    ways: Arc<Ways<T>>,
}

struct Ways<T> {
    errands: Sender<Errand<T>>,
    messages: Sender<(Chunk<T>, Box<Message>)>,
}

impl<T> Relay<T> {
    /// A relay, the errands for whoever has time, and what one thread does.
    pub(crate) fn new() -> (Self, Receiver<Errand<T>>, Digests<T>) {
        let (errands_in, errands) = crossbeam_channel::unbounded();
        let (messages_in, messages) = crossbeam_channel::unbounded();
        let ways = Ways { errands: errands_in, messages: messages_in };
        (Self(Arc::new(ways)), errands.clone(), Digests { messages, errands })
    }

    /// Has a chunk read.
    pub(crate) fn read(&self, wanted: WantedChunk<T>) -> Result<(), Closed> {
        Chunk { wanted, ways: self.0.clone() }.leave(None)
    }
}

impl<T> Chunk<T> {
    /// Leaves it to whoever has time.
    fn leave(self, proven: Option<Buffer>) -> Result<(), Closed> {
        let ways = self.ways.clone();
        ways.errands.send(Errand { chunk: self, proven }).map_err(|_| Closed)
    }

    fn go_on(
        self,
        step: Result<Step, ObjectProblem>,
        each: &mut impl FnMut(T, ChunkId, ReadChunk),
    ) -> Result<(), Closed> {
        match step {
            Ok(Step::Digest(message)) => {
                let ways = self.ways.clone();
                return ways.messages.send((self, message)).map_err(|_| Closed);
            }
            Ok(Step::Proven(object)) => return self.leave(Some(object)),
            Ok(Step::Read(csize, chunk)) => self.wanted.tell(Ok((csize, chunk)), each),
            Err(problem) => self.wanted.tell(Err(problem), each),
        }
        Ok(())
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
        let step = match proven {
            None => reader.fetch(&chunk.wanted.id),
            Some(object) => reader.open_proven(object, chunk.wanted.size).map(Step::Digest),
        };
        chunk.go_on(step, each)
    }
}

impl<T> Digests<T> {
    /// Works until all chunks are read, or nobody wants them any more. `each` is told of those that are done; `pause` is
    /// asked every now and then whether to go on.
    pub(crate) fn take(
        self,
        reader: ChunkReader<'_>,
        each: impl FnMut(T, ChunkId, ReadChunk),
        pause: impl FnMut() -> Result<(), Closed>,
    ) {
        let Err(Closed) = self.take_until_closed(reader, each, pause);
    }

    fn take_until_closed(
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
                && let Ok(errand) = self.errands.try_recv()
            {
                errand.run(&mut reader, &mut each)?;
                continue;
            }
            if under_way.is_empty() {
                select! {
                    recv(self.messages) -> message => under_way.push(message.map_err(|_| Closed)?),
                    recv(self.errands) -> errand => errand.map_err(|_| Closed)?.run(&mut reader, &mut each)?,
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
