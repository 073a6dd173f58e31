//! Reads several chunks at a time: what each of them alone would be told, with their digests side by side.
//!
//! ```text
//! get ─ MAC ─ decrypt, where it lies ─ decompress, if need be ─ id
//! ```
//!
//! MACs and ids are digests of messages that have nothing to do with each other, and are taken [as they come](Awaited).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use worldkeeper_compress::Decompressor;
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::{Awaited, Digester, Key};

use super::{ChunkReader, MAX_CHUNK_SIZE, ObjectError, ObjectProblem};

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
pub(super) const AT_ONCE: usize = 12 * 1024 * 1024;

/// What was begun and is not done.
struct UnderWay<T> {
    messages: Vec<(WantedChunk<T>, Message, Awaited)>,
    /// Objects whose MACs are right.
    proven: VecDeque<(WantedChunk<T>, Bytes)>,
    /// Of all objects, proven or not.
    object_bytes: usize,
    /// Of the chunks whose ids are awaited.
    chunk_bytes: usize,
}

/// What a digest is awaited of.
enum Message {
    Object(Bytes),
    Chunk { csize: u32, chunk: Bytes },
}

impl Message {
    /// What the digest is of.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Object(object) => Key::mac_input(object),
            Self::Chunk { chunk, .. } => chunk,
        }
    }
}

impl<T> UnderWay<T> {
    /// Awaits what `begun` makes of a message.
    fn wait_for(&mut self, wanted: WantedChunk<T>, begun: Digester, message: Message) {
        let awaited = Awaited::new(begun, message.bytes().len());
        self.messages.push((wanted, message, awaited));
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.proven.is_empty()
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
        let mut tell = |WantedChunk { purpose, id, .. }, chunk: Result<_, ObjectProblem>| {
            each(purpose, id, chunk.map_err(|source| ObjectError { id, source: Box::new(source) }));
        };
        let (messages, proven) = Default::default();
        let mut under_way = UnderWay { messages, proven, object_bytes: 0, chunk_bytes: 0 };
        loop {
            while under_way.chunk_bytes < AT_ONCE
                && let Some((wanted, object)) = under_way.proven.pop_front()
            {
                under_way.object_bytes -= object.len();
                self.open_proven(wanted, object, &mut under_way, &mut tell);
            }
            let mut has_more = true;
            while has_more && under_way.object_bytes < AT_ONCE {
                match next(!under_way.is_empty()) {
                    Some(wanted) => self.fetch(wanted, &mut under_way, &mut tell),
                    None => has_more = false,
                }
            }
            if under_way.is_empty() && !has_more {
                return;
            }
            // Who is left alone is not finished, if others may come to go beside it.
            let width = if has_more { self.key.lanes() } else { 1 };
            let messages = under_way.messages.iter_mut();
            Awaited::go_on(messages.map(|(_, message, awaited)| (awaited, message.bytes())), width, usize::MAX);
            self.take_digests(&mut under_way, &mut tell);
        }
    }

    fn fetch<T>(
        &self,
        wanted: WantedChunk<T>,
        under_way: &mut UnderWay<T>,
        tell: &mut impl FnMut(WantedChunk<T>, Result<(u32, Bytes), ObjectProblem>),
    ) {
        let object = match self.repository.get(&wanted.id) {
            Ok(object) => object,
            Err(error) => return tell(wanted, Err(error.into())),
        };
        under_way.object_bytes += object.len();
        match self.key.mac_digester() {
            Some(digester) => under_way.wait_for(wanted, digester, Message::Object(object)),
            None => under_way.proven.push_back((wanted, object)),
        }
    }

    /// Takes the chunk out of an object whose MAC, if there is one, is right.
    fn open_proven<T>(
        &mut self,
        wanted: WantedChunk<T>,
        object: Bytes,
        under_way: &mut UnderWay<T>,
        tell: &mut impl FnMut(WantedChunk<T>, Result<(u32, Bytes), ObjectProblem>),
    ) {
        let csize = object.len() as u32;
        match self.chunk_of(object, wanted.size) {
            Ok(chunk) => {
                under_way.chunk_bytes += chunk.len();
                under_way.wait_for(wanted, self.key.id_digester(), Message::Chunk { csize, chunk });
            }
            Err(problem) => tell(wanted, Err(problem)),
        }
    }

    fn chunk_of(&mut self, object: Bytes, size: Option<u32>) -> Result<Bytes, ObjectProblem> {
        // Nobody else has it, unless the repository keeps what it gives.
        let mut object = object.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        self.key.decrypt_in_place(&mut object)?;
        let payload = object.freeze().slice(self.key.overhead()..);
        if let Some(chunk) = Decompressor::uncompressed(&payload).filter(|chunk| chunk.len() <= MAX_CHUNK_SIZE) {
            return Ok(payload.slice_ref(chunk));
        }
        let size = size.map(|size| size as usize);
        Ok(self.decompressor.decompress(&payload, size, MAX_CHUNK_SIZE)?.into())
    }

    /// Goes on with the messages whose digests are there.
    fn take_digests<T>(
        &self,
        under_way: &mut UnderWay<T>,
        tell: &mut impl FnMut(WantedChunk<T>, Result<(u32, Bytes), ObjectProblem>),
    ) {
        for (wanted, message, awaited) in under_way.messages.extract_if(.., |(.., awaited)| awaited.is_finished()) {
            let digest = awaited.digest().expect("it is finished");
            match message {
                Message::Object(object) => match self.key.verify_mac(&object, &digest) {
                    Ok(()) => under_way.proven.push_back((wanted, object)),
                    Err(error) => {
                        under_way.object_bytes -= object.len();
                        tell(wanted, Err(error.into()));
                    }
                },
                Message::Chunk { csize, chunk } => {
                    under_way.chunk_bytes -= chunk.len();
                    let verified = Key::verify_id_digest(&wanted.id, digest);
                    tell(wanted, verified.map(|()| (csize, chunk)).map_err(ObjectProblem::from));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::{RepositoryId, error_text};
    use worldkeeper_crypto::EncryptionMode;
    use worldkeeper_testkit::fixtures::sha_stream;
    use worldkeeper_testkit::memory_repository::MemoryRepository;

    use super::*;
    use crate::random;

    /// What a reader says of a chunk, for comparing.
    fn said<B: Into<Vec<u8>>>(read: Result<(u32, B), ObjectError>) -> Result<(u32, Vec<u8>), String> {
        read.map(|(csize, chunk)| (csize, chunk.into()))
            .map_err(|error| format!("{error}: {}", error_text(&error.source)))
    }

    #[test]
    fn several_at_a_time_are_told_what_each_alone_is_told() {
        // Together more than is at hand at a time; the last ones are for being damaged.
        let sizes = [0, 1, 500, 70_000, 7 << 20, 7 << 20, 3, 7 << 20, 200, 200, 200, 200, 200, 200, 200];
        let chunks: Vec<_> = (0..).zip(sizes).map(|(number, len)| sha_stream(&format!("{number}"), len)).collect();
        for mode in EncryptionMode::ALL {
            let key = random::with(|random| Key::generate(mode, RepositoryId([1; 32]), random)).unwrap();
            let repository = MemoryRepository::new(1);
            let mut wanted = Vec::new();
            for (number, chunk) in (0..).zip(&chunks) {
                let id = key.id_hash(chunk);
                // A header says that the payload is as it was.
                let mut object = [&vec![0; key.overhead()][..], &[0, 0], chunk].concat();
                match number {
                    8 => object[key.overhead()] = 0xee,
                    9 => *object.last_mut().unwrap() ^= 1,
                    _ => {}
                }
                key.seal(number << 32, &mut object);
                match number {
                    10 => *object.last_mut().unwrap() ^= 1,
                    11 => object.truncate(3),
                    12 => object[0] ^= 0x55,
                    _ => {}
                }
                let expected = (number % 2 == 0).then_some(chunk.len() as u32);
                if number != 13 {
                    repository.store().objects.insert(id, object.into());
                }
                wanted.push((id, expected));
            }
            let mut one_by_one = ChunkReader::new(&repository, &key);
            let expected: Vec<_> =
                wanted.iter().map(|(id, size)| (*id, said(one_by_one.read_with_csize(id, *size)))).collect();
            let failed = expected.iter().filter(|(_, read)| read.is_err()).count();
            assert_eq!(failed, 6, "{mode}: all that were damaged");
            let size = expected.len();
            let orders = [(0..size, false), (8..size, true), (0..8, true), (4..5, false), (0..0, true)];
            for (range, comes_late) in orders {
                let (mut told, mut coming, mut turn) = (vec![None; size], range.clone(), 0);
                let next = |is_busy: bool| {
                    turn += 1;
                    let is_there = !comes_late || !is_busy || turn % 3 > 0;
                    let place = if is_there { coming.next() } else { None };
                    place.map(|place| WantedChunk { purpose: place, id: wanted[place].0, size: wanted[place].1 })
                };
                ChunkReader::new(&repository, &key).read_several(next, |place, id, read| {
                    assert_eq!(told[place].replace((id, said(read))), None, "{mode}: it is told once");
                });
                for (place, told) in told.into_iter().enumerate() {
                    assert_eq!(told.as_ref(), range.contains(&place).then_some(&expected[place]), "{mode}, {place}");
                }
            }
        }
    }
}
