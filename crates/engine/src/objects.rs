//! Chunks into objects and back.

mod proof;
mod relay;
mod sealer;
mod several;
mod steps;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use worldkeeper_compress::{Algorithm, DecompressError, Decompressor};
use worldkeeper_core::{ChunkId, Repository, RepositoryError};
use worldkeeper_crypto::{IdMismatch, Key, OpenError};

use crate::pipeline::{Buffers, Dealer};

pub(crate) use proof::{StoredObject, prove_several};
pub(crate) use relay::{Digests, Errand, Relay};
pub(crate) use sealer::{ChunkSealer, Sealed, Unfinished};
pub(crate) use several::{ReadChunk, WantedChunk};

/// No chunk is larger than this before it is compressed: borg's largest object.
pub(crate) const MAX_CHUNK_SIZE: usize = worldkeeper_core::MAX_DATA_SIZE;

/// Why an object gives no chunk.
#[derive(Debug, thiserror::Error)]
#[error("object {id} cannot be read")]
pub struct ObjectError {
    /// Which one.
    pub id: ChunkId,
    /// What is wrong with it.
    #[source]
    pub source: Box<ObjectProblem>,
}

/// What is wrong with an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectProblem {
    /// The repository did not give it.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It was not sealed with our key.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its payload cannot be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// It is another object.
    #[error(transparent)]
    WrongId(#[from] IdMismatch),
    /// It is ours, and came instead of the one that was stored a moment ago.
    #[error("the object that is there was sealed with our key, but is not the one that was stored")]
    AnotherOne,
}

impl ObjectError {
    /// Returns whether it is the object that is missing or damaged, rather than the repository that fails.
    pub(crate) fn is_damage(&self) -> bool {
        match self.source.as_ref() {
            ObjectProblem::Repository(error) => {
                matches!(error, RepositoryError::ObjectNotFound(_) | RepositoryError::Damaged { .. })
            }
            ObjectProblem::Open(_)
            | ObjectProblem::Decompress(_)
            | ObjectProblem::WrongId(_)
            | ObjectProblem::AnotherOne => true,
        }
    }
}

/// Reads chunks; keeps what one thread needs for that.
pub(crate) struct ChunkReader<'a> {
    repository: &'a dyn Repository,
    key: &'a Key,
    decompressor: Decompressor,
    /// What was in the last object, in the modes that encrypt.
    payload: Vec<u8>,
    /// Where objects are put that are read several at a time.
    dealer: Dealer,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(repository: &'a dyn Repository, key: &'a Key) -> Self {
        let (decompressor, payload, dealer) = Default::default();
        Self { repository, key, decompressor, payload, dealer }
    }

    /// Reads several objects at a time into memory that was used before.
    pub(crate) fn with_buffers(self, buffers: &Arc<Buffers>) -> Self {
        Self { dealer: Dealer::new(Arc::clone(buffers)), ..self }
    }

    /// Reads a chunk and checks that it is the one asked for.
    pub(crate) fn read(&mut self, id: &ChunkId, size: Option<u32>) -> Result<Vec<u8>, ObjectError> {
        self.read_with_csize(id, size).map(|(_, chunk)| chunk)
    }

    /// As [`read`](Self::read), and tells the length of the stored object.
    pub(crate) fn read_with_csize(&mut self, id: &ChunkId, size: Option<u32>) -> Result<(u32, Vec<u8>), ObjectError> {
        let chunk = self.repository.get(id).map_err(ObjectProblem::from).and_then(|object| {
            let csize = object.len() as u32;
            let chunk = self.open(object, size)?;
            self.key.verify_id(id, &chunk)?;
            Ok((csize, chunk))
        });
        chunk.map_err(|source| ObjectError { id: *id, source: Box::new(source) })
    }

    /// As [`read`](Self::read), and tells how the chunk is compressed.
    pub(crate) fn read_with_algorithm(&mut self, id: &ChunkId) -> Result<(Option<Algorithm>, Vec<u8>), ObjectError> {
        let chunk = self.repository.get(id).map_err(ObjectProblem::from).and_then(|object| {
            let payload = self.key.open(&object)?;
            let chunk = self.decompressor.decompress(&payload, None, MAX_CHUNK_SIZE)?;
            self.key.verify_id(id, &chunk)?;
            Ok((Algorithm::detect(&payload), chunk))
        });
        chunk.map_err(|source| ObjectError { id: *id, source: Box::new(source) })
    }

    /// Takes the chunk out of an object that came from elsewhere, and checks that it is the one with this id.
    pub(crate) fn open_as(&mut self, id: &ChunkId, object: Bytes) -> Result<Vec<u8>, ObjectError> {
        let chunk = self.open(object, None).and_then(|chunk| {
            self.key.verify_id(id, &chunk)?;
            Ok(chunk)
        });
        chunk.map_err(|source| ObjectError { id: *id, source: Box::new(source) })
    }

    /// Takes what is in an object whose id is not derived from that: a manifest.
    pub(crate) fn open_content(&mut self, object: Bytes) -> Result<Vec<u8>, ObjectError> {
        self.open(object, None).map_err(|source| ObjectError { id: ChunkId::MANIFEST, source: Box::new(source) })
    }

    /// Reads the manifest, whose id is not derived from its content; its object comes along.
    pub(crate) fn read_manifest(&mut self) -> Result<(Bytes, Vec<u8>), ObjectError> {
        let id = ChunkId::MANIFEST;
        let manifest = self.repository.get(&id).map_err(ObjectProblem::from).and_then(|object| {
            let packed = self.open(object.clone(), None)?;
            Ok((object, packed))
        });
        manifest.map_err(|source| ObjectError { id, source: Box::new(source) })
    }

    /// Takes the object: it is not needed any more once its payload is decrypted, and chunks are large.
    fn open(&mut self, object: Bytes, size: Option<u32>) -> Result<Vec<u8>, ObjectProblem> {
        let payload = if self.key.mode().encrypts() {
            self.key.open_into(&object, &mut self.payload)?;
            drop(object);
            Cow::Borrowed(&self.payload[..])
        } else {
            self.key.open(&object)?
        };
        Ok(self.decompressor.decompress(&payload, size.map(|size| size as usize), MAX_CHUNK_SIZE)?)
    }
}
