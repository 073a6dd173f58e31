//! The items of an archive as one stream, cut into chunks where stock cuts it, up to the first file that was cut by a
//! plan; from there on by [`ItemCuts`].
//!
//! Equal cuts mean equal chunks: a run that changed nothing stores no item chunk, whichever client made the last one. That a
//! file was cut by a plan is seen from its chunks, so it makes no difference whether it was read now or long ago.

use std::iter;
use std::sync::RwLock;

use worldkeeper_archive::{ChunkRef, Item, ItemReader, TooLarge};
use worldkeeper_chunker::{Chunker, ChunkerParams};
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_crypto::Key;

use super::CreateStats;
use super::item_cuts::ItemCuts;
use crate::cache::ChunkIndex;
use crate::cuts;
use crate::objects::ChunkSealer;
use crate::session::{Change, SessionError};

/// Packs, cuts and stores items.
pub(crate) struct ItemStream<'a> {
    key: &'a Key,
    sealer: ChunkSealer<'a>,
    /// Chunks of files that stock's rule has cut are no shorter; `None` if that says nothing.
    shortest: Option<u32>,
    cutter: Cutter,
    /// Packed items that are not stored yet.
    pending: Vec<u8>,
    /// Where the chunks end that these begin with.
    ends: Vec<usize>,
    ids: Vec<ChunkId>,
}

/// Who cuts.
enum Cutter {
    Stock(Chunker),
    Own(ItemCuts),
}

impl<'a> ItemStream<'a> {
    /// A stream that is cut as stock does, to its end.
    pub(crate) fn new(key: &'a Key, sealer: ChunkSealer<'a>) -> Self {
        let chunker = Chunker::new(&ChunkerParams::ITEMS, key.chunk_seed());
        let (pending, ends, ids) = (Vec::new(), Vec::new(), Vec::new());
        Self { key, sealer, shortest: None, cutter: Cutter::Stock(chunker), pending, ends, ids }
    }

    /// The same, but from the first file on that was cut by a plan it is cut in a way that suits such files. All others
    /// are cut by `params`.
    pub(crate) fn with_plans(self, params: &ChunkerParams) -> Self {
        Self { shortest: params.min_chunk_size(), ..self }
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`SessionError::ItemTooLong`] and [`SessionError::TooMuchBesideContent`] before anything is stored that nobody could
    /// read.
    pub(crate) fn push(
        &mut self,
        item: &Item,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let chunks = item.chunks.as_deref().unwrap_or_default();
        if matches!(self.cutter, Cutter::Stock(_)) && self.shortest.is_some_and(|size| cuts::are_by_plan(chunks, size))
        {
            // What came so far is a list of its own, so that it is what it was the next time.
            self.cut(true);
            self.cutter = Cutter::Own(ItemCuts::default());
        }
        let start = self.pending.len();
        let mut encoder = Encoder::append_to(std::mem::take(&mut self.pending));
        item.encode(&mut encoder);
        self.pending = encoder.finish();
        if let Some(why) = ItemReader::refusal(&self.pending[start..]) {
            self.pending.truncate(start);
            let path = item.path.clone();
            return Err(match why {
                TooLarge::Beside => SessionError::TooMuchBesideContent(path),
                _ => SessionError::ItemTooLong(path),
            });
        }
        let cut = self.is_cut_to();
        match &mut self.cutter {
            Cutter::Own(cuts) => {
                let ends = cuts.find(self.key, item, &self.pending[cut..], start - cut);
                self.ends.extend(ends.into_iter().map(|end| cut + end));
            }
            // Looking for a cut costs a pass over what is new; below this there is not enough to look at.
            Cutter::Stock(_) if self.pending.len() - cut < BATCH => {}
            Cutter::Stock(_) => self.cut(false),
        }
        if self.is_cut_to() < TOGETHER { Ok(()) } else { self.store(change, index, stats) }
    }

    /// Stores what is left; returns the ids of all chunks, in order.
    pub(crate) fn finish(
        &mut self,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<Vec<ChunkId>, SessionError> {
        self.cut(true);
        self.store(change, index, stats)?;
        Ok(std::mem::take(&mut self.ids))
    }

    /// The chunks that are stored.
    pub(crate) fn ids(&self) -> &[ChunkId] {
        &self.ids
    }

    /// What would follow the chunks that are stored if the stream ended here with `more` items, in pieces as long as chunks of
    /// items may be. The stream itself stays as it is.
    pub(crate) fn rest(&self, more: &[Item]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::append_to(self.pending.clone());
        for item in more {
            item.encode(&mut encoder);
        }
        encoder.finish().chunks(ChunkerParams::ITEMS.max_chunk_size()).map(<[u8]>::to_vec).collect()
    }

    /// Up to where what is pending is cut.
    fn is_cut_to(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Cuts what is pending, as far as it can be known where.
    fn cut(&mut self, at_end: bool) {
        let mut start = self.is_cut_to();
        loop {
            let rest = &self.pending[start..];
            let len = match &mut self.cutter {
                Cutter::Stock(chunker) => chunker.next_cut(rest, at_end),
                Cutter::Own(_) => Some(rest.len()).filter(|len| at_end && *len > 0),
            };
            let Some(len) = len else { break };
            start += len;
            self.ends.push(start);
        }
    }

    /// Stores the chunks that what is pending begins with. They are named side by side: of a tree that did not change, that is most
    /// of what there is to do about them.
    pub(crate) fn store(
        &mut self,
        change: &mut Change<'_>,
        index: &RwLock<ChunkIndex>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let begins = iter::once(0).chain(self.ends.iter().copied());
        let chunks: Vec<_> = begins.zip(&self.ends).map(|(begin, end)| &self.pending[begin..*end]).collect();
        for (chunk, id) in chunks.iter().zip(self.key.id_digester().digest_all(&chunks)) {
            let stored = store_named(ChunkId(id), chunk, &mut self.sealer, change, index, stats)?;
            self.ids.push(stored.id);
        }
        self.pending.drain(..self.is_cut_to());
        self.ends.clear();
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
    store_named(key.id_hash(chunk), chunk, sealer, change, index, stats)
}

/// As [`store`], of a chunk whose id is known.
fn store_named(
    id: ChunkId,
    chunk: &[u8],
    sealer: &mut ChunkSealer<'_>,
    change: &mut Change<'_>,
    index: &RwLock<ChunkIndex>,
    stats: &mut CreateStats,
) -> Result<ChunkRef, SessionError> {
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
/// How many bytes of chunks are named together: some eight as stock cuts them.
const TOGETHER: usize = 1024 * 1024;
