//! The items of an archive as one stream, cut into chunks where stock cuts it.
//!
//! Equal cuts mean equal chunks: a run that changed nothing stores no item chunk, whichever client made the last one.

use std::sync::RwLock;

use worldkeeper_archive::{ChunkRef, Item};
use worldkeeper_chunker::{Chunker, ChunkerParams};
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_crypto::Key;

use super::CreateStats;
use crate::cache::ChunkIndex;
use crate::objects::ChunkSealer;
use crate::session::{Change, SessionError};

/// Packs, cuts and stores items.
pub(crate) struct ItemStream<'a> {
    key: &'a Key,
    sealer: ChunkSealer<'a>,
    chunker: Chunker,
    pending: Vec<u8>,
    ids: Vec<ChunkId>,
}

impl<'a> ItemStream<'a> {
    pub(crate) fn new(key: &'a Key, sealer: ChunkSealer<'a>) -> Self {
        let chunker = Chunker::new(&ChunkerParams::ITEMS, key.chunk_seed());
        Self { key, sealer, chunker, pending: Vec::new(), ids: Vec::new() }
    }

    /// Adds an item.
    pub(crate) fn push(
        &mut self,
        item: &Item,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let mut encoder = Encoder::append_to(std::mem::take(&mut self.pending));
        item.encode(&mut encoder);
        self.pending = encoder.finish();
        // Looking for a cut costs a pass over what is new; below this there is not enough to look at.
        if self.pending.len() >= BATCH {
            self.cut(false, change, index, stats)?;
        }
        Ok(())
    }

    /// Stores what is left; returns the ids of all chunks, in order.
    pub(crate) fn finish(
        &mut self,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<Vec<ChunkId>, SessionError> {
        self.cut(true, change, index, stats)?;
        Ok(std::mem::take(&mut self.ids))
    }

    /// The chunks so far.
    pub(crate) fn ids(&self) -> &[ChunkId] {
        &self.ids
    }

    /// What would follow the chunks so far if the stream ended here with `more` items, in pieces as long as chunks of
    /// items may be. The stream itself stays as it is.
    pub(crate) fn rest(&self, more: &[Item]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::append_to(self.pending.clone());
        for item in more {
            item.encode(&mut encoder);
        }
        encoder.finish().chunks(ChunkerParams::ITEMS.max_chunk_size()).map(<[u8]>::to_vec).collect()
    }

    fn cut(
        &mut self,
        at_end: bool,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let mut start = 0;
        while let Some(len) = self.chunker.next_cut(&self.pending[start..], at_end) {
            let chunk = &self.pending[start..start + len];
            let stored = store(chunk, self.key, &mut self.sealer, change, index, stats)?;
            self.ids.push(stored.id);
            start += len;
        }
        self.pending.drain(..start);
        Ok(())
    }
}

/// Stores a chunk unless it is there, and counts a reference to it.
pub(crate) fn store(
    chunk: &[u8],
    key: &Key,
    sealer: &mut ChunkSealer<'_>,
    change: &mut Change<'_>,
    index: &RwLock<ChunkIndex>,
    stats: &mut CreateStats,
) -> Result<ChunkRef, SessionError> {
    let id = key.id_hash(chunk);
    let size = chunk.len() as u32;
    let known = super::read(index).get(&id).map(|entry| entry.csize);
    let csize = if let Some(csize) = known {
        csize
    } else {
        let object = sealer.seal_chunk(&id, chunk)?;
        let csize = object.len() as u32;
        change.put(id, object)?;
        stats.stored(csize);
        super::write(index).heal(&id, csize);
        csize
    };
    let chunk = ChunkRef { id, size, csize };
    super::write(index).reference(&chunk);
    Ok(chunk)
}

/// How many bytes are collected before they are cut; a little less than the stream's smallest chunk would do no good.
const BATCH: usize = 64 * 1024;
