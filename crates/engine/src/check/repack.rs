//! Writes the items of an archive again, as stock would have written them from the start.

use worldkeeper_archive::RawItem;
use worldkeeper_chunker::{Chunker, ChunkerParams};
use worldkeeper_compress::Compression;
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_core::{ChunkId, Transaction};
use worldkeeper_crypto::Key;

use super::objects::Objects;
use crate::objects::ChunkSealer;
use crate::session::{Session, SessionError};

/// Stores chunks that are not there yet.
pub(super) struct Store<'s> {
    key: &'s Key,
    sealer: ChunkSealer<'s>,
}

impl<'s> Store<'s> {
    pub(super) fn new(session: &'s Session) -> Self {
        Self { key: session.key(), sealer: session.sealer(Compression::default()) }
    }

    /// Sees to it that a chunk is there; something refers to it. Returns its id, and how many bytes are stored for it
    /// if it was not there before.
    pub(super) fn store(
        &mut self,
        chunk: &[u8],
        objects: &mut Objects,
        transaction: &mut dyn Transaction,
    ) -> Result<(ChunkId, Option<u32>), SessionError> {
        let id = self.key.id_hash(chunk);
        let mut csize = None;
        if !objects.contains(&id) {
            let object = self.sealer.seal(chunk)?;
            csize = Some(object.len() as u32);
            transaction.put(id, object)?;
            objects.add(id);
        }
        objects.refer_to(&id);
        Ok((id, csize))
    }
}

/// Packs items and cuts the stream where stock does.
pub(super) struct Repack {
    chunker: Chunker,
    pending: Vec<u8>,
    ids: Vec<ChunkId>,
}

/// How many bytes are collected before they are cut.
const BATCH: usize = 64 * 1024;

impl Repack {
    pub(super) fn new(key: &Key) -> Self {
        let chunker = Chunker::new(&ChunkerParams::ITEMS, key.chunk_seed());
        Self { chunker, pending: Vec::new(), ids: Vec::new() }
    }

    /// Adds an item; `store` stores a chunk and returns its id.
    pub(super) fn push(
        &mut self,
        item: &RawItem,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkId, SessionError>,
    ) -> Result<(), SessionError> {
        let mut encoder = Encoder::append_to(std::mem::take(&mut self.pending));
        item.encode(&mut encoder);
        self.pending = encoder.finish();
        if self.pending.len() >= BATCH { self.cut(false, store) } else { Ok(()) }
    }

    /// Stores what is left; returns the chunks of the whole list.
    pub(super) fn finish(
        mut self,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkId, SessionError>,
    ) -> Result<Vec<ChunkId>, SessionError> {
        self.cut(true, store)?;
        Ok(self.ids)
    }

    fn cut(
        &mut self,
        at_end: bool,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkId, SessionError>,
    ) -> Result<(), SessionError> {
        let mut start = 0;
        while let Some(len) = self.chunker.next_cut(&self.pending[start..], at_end) {
            self.ids.push(store(&self.pending[start..start + len])?);
            start += len;
        }
        self.pending.drain(..start);
        Ok(())
    }
}
