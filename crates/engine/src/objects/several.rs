//! Reads several chunks at a time: what each of them alone would be told, with their digests side by side.

use std::collections::VecDeque;

use bytes::Bytes;
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::Awaited;

use super::steps::{Message, Step};
use super::{ChunkReader, ObjectError, ObjectProblem};
use crate::pipeline::Buffer;

/// A chunk and the length of its object, or why there is none.
pub(crate) type ReadChunk = Result<(u32, Bytes), ObjectError>;

/// A chunk that is wanted.
pub(crate) struct WantedChunk<T> {
    /// What it is wanted for.
    pub(crate) purpose: T,
    pub(crate) id: ChunkId,
    /// Its size, if that is known; a wrong one costs time and changes nothing.
    pub(crate) size: Option<u32>,
}

/// How many bytes of objects, and of chunks, are at hand at a time; the last of them may go beyond.
pub(super) const AT_ONCE: usize = 10 * 1024 * 1024;

/// What was begun and is not done.
struct UnderWay<T> {
    messages: Vec<(WantedChunk<T>, Box<Message>)>,
    /// Objects whose MACs are right.
    proven: VecDeque<(WantedChunk<T>, Buffer)>,
    /// Of all objects, proven or not.
    object_bytes: usize,
    /// Of the chunks whose ids are awaited.
    chunk_bytes: usize,
}

impl<T> UnderWay<T> {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.proven.is_empty()
    }

    /// Keeps a chunk until there is more to be done, or returns what came of it.
    fn keep(&mut self, wanted: WantedChunk<T>, step: Result<Step, ObjectProblem>) -> Option<(WantedChunk<T>, Done)> {
        match step {
            Ok(Step::Digest(message)) => {
                self.object_bytes += message.object_len();
                self.chunk_bytes += message.chunk_len();
                self.messages.push((wanted, message));
            }
            Ok(Step::Proven(object)) => {
                self.object_bytes += object.len();
                self.proven.push_back((wanted, object));
            }
            Ok(Step::Read(csize, chunk)) => return Some((wanted, Ok((csize, chunk)))),
            Err(problem) => return Some((wanted, Err(problem))),
        }
        None
    }

    /// An object whose MAC is right, if there is room for what is in it.
    fn proven(&mut self) -> Option<(WantedChunk<T>, Buffer)> {
        let (wanted, object) = if self.chunk_bytes < AT_ONCE { self.proven.pop_front() } else { None }?;
        self.object_bytes -= object.len();
        Some((wanted, object))
    }
}

/// What came of a chunk.
type Done = Result<(u32, Bytes), ObjectProblem>;

impl<T> WantedChunk<T> {
    /// Tells what came of it.
    pub(super) fn tell(self, done: Done, each: &mut impl FnMut(T, ChunkId, ReadChunk)) {
        let Self { purpose, id, .. } = self;
        each(purpose, id, done.map_err(|source| ObjectError { id, source: Box::new(source) }));
    }
}

impl ChunkReader<'_> {
    /// Reads chunks as [`read_with_csize`](Self::read_with_csize) does each of them; `each` is told of them in the order
    /// in which they are done.
    ///
    /// `next` says what to read next. It is told whether something is under way. If so, it does not wait, and may have
    /// more later; if not, none is the end.
    pub(crate) fn read_several<T>(
        &mut self,
        mut next: impl FnMut(bool) -> Option<WantedChunk<T>>,
        mut each: impl FnMut(T, ChunkId, ReadChunk),
    ) {
        let mut tell = |done: Option<(WantedChunk<T>, Done)>| {
            if let Some((wanted, done)) = done {
                wanted.tell(done, &mut each);
            }
        };
        let (messages, proven) = Default::default();
        let mut under_way = UnderWay { messages, proven, object_bytes: 0, chunk_bytes: 0 };
        loop {
            while let Some((wanted, object)) = under_way.proven() {
                let step = self.open_proven(object, wanted.size).map(Step::Digest);
                tell(under_way.keep(wanted, step));
            }
            let mut has_more = true;
            while has_more && under_way.object_bytes < AT_ONCE {
                match next(!under_way.is_empty()) {
                    Some(wanted) => {
                        let step = self.fetch(&wanted.id);
                        tell(under_way.keep(wanted, step));
                    }
                    None => has_more = false,
                }
            }
            if under_way.is_empty() && !has_more {
                return;
            }
            // Who is left alone is not finished, if others may come to go beside it.
            let width = if has_more { self.key.lanes() } else { 1 };
            let messages = under_way.messages.iter_mut();
            Awaited::go_on(messages.map(|(_, message)| message.digest()), width, usize::MAX);
            let finished: Vec<_> = under_way.messages.extract_if(.., |(_, message)| message.is_finished()).collect();
            for (wanted, message) in finished {
                under_way.object_bytes -= message.object_len();
                under_way.chunk_bytes -= message.chunk_len();
                let step = message.prove(self.key, &wanted.id);
                tell(under_way.keep(wanted, step));
            }
        }
    }
}
