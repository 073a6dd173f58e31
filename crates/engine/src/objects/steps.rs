//! The steps of reading a chunk, for who reads several at a time.
//!
//! ```text
//! fetch ─ MAC ─ decrypt, where it lies ─ decompress, if need be ─ id
//! ```
//!
//! MACs and ids are digests of messages that have nothing to do with each other: they can be taken side by side.

use bytes::Bytes;
use worldkeeper_compress::Decompressor;
use worldkeeper_core::ChunkId;
use worldkeeper_core::repository::Room;
use worldkeeper_crypto::{Awaited, Digester, Key};

use super::{ChunkReader, MAX_CHUNK_SIZE, ObjectProblem};
use crate::pipeline::{Buffer, Dealer};

/// How far a chunk has come.
pub(super) enum Step {
    /// A digest is awaited.
    Digest(Box<Message>),
    /// The object's MAC, if there is one, is right: it can be opened.
    Proven(Buffer),
    /// It is read: the length of its object, and the chunk.
    Read(u32, Bytes),
}

/// What a digest is awaited of.
pub(super) struct Message {
    content: Content,
    awaited: Awaited,
}

enum Content {
    Object(Buffer),
    Chunk { csize: u32, chunk: Bytes },
}

impl Content {
    /// What the digest is of.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Object(object) => Key::mac_input(object),
            Self::Chunk { chunk, .. } => chunk,
        }
    }
}

impl Step {
    /// The length of the object, as long as it waits for something.
    pub(super) fn object_len(&self) -> usize {
        match self {
            Self::Digest(message) => message.object_len(),
            Self::Proven(object) => object.len(),
            Self::Read(..) => 0,
        }
    }

    /// The length of the chunk, as long as it waits for its id.
    pub(super) fn chunk_len(&self) -> usize {
        if let Self::Digest(message) = self { message.chunk_len() } else { 0 }
    }
}

impl Message {
    fn new(begun: Digester, content: Content) -> Box<Self> {
        let awaited = Awaited::new(begun, content.bytes().len());
        Box::new(Self { content, awaited })
    }

    /// The digest, and what it is of.
    pub(super) fn digest(&mut self) -> (&mut Awaited, &[u8]) {
        (&mut self.awaited, self.content.bytes())
    }

    /// Returns whether its digest is there.
    pub(super) fn is_finished(&self) -> bool {
        self.awaited.is_finished()
    }

    /// The length of the object, if it is one, else nothing.
    pub(super) fn object_len(&self) -> usize {
        if let Content::Object(object) = &self.content { object.len() } else { 0 }
    }

    /// The length of the chunk, if it is one, else nothing.
    pub(super) fn chunk_len(&self) -> usize {
        if let Content::Chunk { chunk, .. } = &self.content { chunk.len() } else { 0 }
    }

    /// Goes on with what is finished.
    pub(super) fn prove(self: Box<Self>, key: &Key, id: &ChunkId) -> Result<Step, ObjectProblem> {
        let digest = self.awaited.digest().expect("it is finished");
        match self.content {
            Content::Object(object) => {
                key.verify_mac(&object, &digest)?;
                Ok(Step::Proven(object))
            }
            Content::Chunk { csize, chunk } => {
                Key::verify_id_digest(id, digest)?;
                Ok(Step::Read(csize, chunk))
            }
        }
    }
}

impl ChunkReader<'_> {
    pub(super) fn fetch(&mut self, id: &ChunkId) -> Result<Step, ObjectProblem> {
        let mut dealt = Dealt { dealer: &mut self.dealer, object: None };
        self.repository.get_into(id, &mut dealt)?;
        let object = dealt.object.expect("it was asked for before it was read");
        Ok(match self.key.mac_digester() {
            Some(digester) => Step::Digest(Message::new(digester, Content::Object(object))),
            None => Step::Proven(object),
        })
    }

    /// Takes the chunk out of an object whose MAC, if there is one, is right.
    pub(super) fn open_proven(&mut self, object: Buffer, size: Option<u32>) -> Result<Box<Message>, ObjectProblem> {
        let csize = object.len() as u32;
        let chunk = self.chunk_of(object, size)?;
        Ok(Message::new(self.key.id_digester(), Content::Chunk { csize, chunk }))
    }

    /// Takes all that is left of a chunk's steps at once.
    pub(super) fn finish(&mut self, mut step: Step, id: &ChunkId, size: Option<u32>) -> Result<Step, ObjectProblem> {
        loop {
            step = match step {
                Step::Digest(mut message) => {
                    Awaited::go_on([message.digest()], 1, usize::MAX);
                    message.prove(self.key, id)?
                }
                Step::Proven(object) => Step::Digest(self.open_proven(object, size)?),
                read @ Step::Read(..) => return Ok(read),
            }
        }
    }

    fn chunk_of(&mut self, mut object: Buffer, size: Option<u32>) -> Result<Bytes, ObjectProblem> {
        self.key.decrypt_in_place(&mut object)?;
        let payload = Bytes::from(object).slice(self.key.overhead()..);
        if let Some(chunk) = Decompressor::uncompressed(&payload).filter(|chunk| chunk.len() <= MAX_CHUNK_SIZE) {
            return Ok(payload.slice_ref(chunk));
        }
        let size = size.map(|size| size as usize);
        let room = |len| self.dealer.take(len);
        Ok(self.decompressor.decompress_to(&payload, size, MAX_CHUNK_SIZE, room)?.into())
    }
}

/// Memory that was used before.
struct Dealt<'a> {
    dealer: &'a mut Dealer,
    object: Option<Buffer>,
}

impl Room for Dealt<'_> {
    fn of(&mut self, len: usize) -> &mut [u8] {
        self.object = None;
        self.object.insert(self.dealer.take(len))
    }
}
