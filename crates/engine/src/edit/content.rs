//! The content of a file, put into a new archive: as it is, compressed anew, or cut anew.

use std::collections::HashSet;
use std::sync::RwLock;

use worldkeeper_archive::{ChunkRef, Item};
use worldkeeper_chunker::{Chunker, ChunkerParams};
use worldkeeper_core::ChunkId;

use super::recreate::Recompress;
use crate::cache::ChunkIndex;
use crate::create::{self, CreateStats};
use crate::objects::{ChunkReader, ChunkSealer};
use crate::session::{Change, Session, SessionError};

/// Puts the content of one file after the other into an archive.
pub(super) struct Content<'a> {
    session: &'a Session,
    index: &'a RwLock<ChunkIndex>,
    reader: ChunkReader<'a>,
    sealer: ChunkSealer<'a>,
    recompress: Recompress,
    /// Chunks that are compressed as they should be.
    done: &'a mut HashSet<ChunkId>,
    /// What cuts, if that is to be done anew.
    chunker: Option<Chunker>,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        session: &'a Session,
        index: &'a RwLock<ChunkIndex>,
        sealer: ChunkSealer<'a>,
        recompress: Recompress,
        done: &'a mut HashSet<ChunkId>,
        cuts: Option<&ChunkerParams>,
    ) -> Self {
        let chunker = cuts.map(|params| Chunker::new(params, session.key().chunk_seed()));
        Self { session, index, reader: session.reader(), sealer, recompress, done, chunker }
    }

    /// Refers to the content of a file, having changed what is to be changed about it.
    pub(super) fn put(
        &mut self,
        item: &mut Item,
        change: &mut Change<'_>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let Some(chunks) = &mut item.chunks else { return Ok(()) };
        if self.chunker.is_some() {
            *chunks = self.recut(chunks, change, stats)?;
            // It would say what was in chunks that are no more.
            item.chunks_healthy = None;
            return Ok(());
        }
        for chunk in chunks {
            if self.recompress != Recompress::Never {
                chunk.csize = self.recompress(chunk, change, stats)?;
            }
            create::write(self.index).reference(chunk);
        }
        Ok(())
    }

    /// Compresses a chunk anew where it should be; returns its stored size.
    fn recompress(
        &mut self,
        chunk: &ChunkRef,
        change: &mut Change<'_>,
        stats: &mut CreateStats,
    ) -> Result<u32, SessionError> {
        self.session.check_stop()?;
        if self.done.insert(chunk.id) {
            let (found, content) = self.reader.read_with_algorithm(&chunk.id)?;
            // What comes out counts, not what was tried: `auto`, and what cannot be made smaller, would never be done.
            if self.recompress == Recompress::Always || self.sealer.algorithm(&content)? != found {
                let object = self.sealer.seal_chunk(&chunk.id, &content)?;
                let csize = object.len() as u32;
                change.put(chunk.id, object)?;
                stats.stored(csize);
                create::write(self.index).set_csize(&chunk.id, csize);
                return Ok(csize);
            }
        }
        Ok(create::read(self.index).get(&chunk.id).map_or(chunk.csize, |entry| entry.csize))
    }

    /// Cuts the content of a file anew. One chunk is held, and what the chunker has to look at.
    fn recut(
        &mut self,
        chunks: &[ChunkRef],
        change: &mut Change<'_>,
        stats: &mut CreateStats,
    ) -> Result<Vec<ChunkRef>, SessionError> {
        let mut new = Vec::new();
        let mut pending = Vec::new();
        for chunk in chunks {
            self.session.check_stop()?;
            pending.extend(self.reader.read(&chunk.id, Some(chunk.size))?);
            self.cut(&mut pending, false, &mut new, change, stats)?;
        }
        self.cut(&mut pending, true, &mut new, change, stats)?;
        Ok(new)
    }

    fn cut(
        &mut self,
        pending: &mut Vec<u8>,
        at_end: bool,
        new: &mut Vec<ChunkRef>,
        change: &mut Change<'_>,
        stats: &mut CreateStats,
    ) -> Result<(), SessionError> {
        let chunker = self.chunker.as_mut().expect("only asked for where there is one");
        let mut start = 0;
        while let Some(len) = chunker.next_cut(&pending[start..], at_end) {
            let chunk = &pending[start..start + len];
            new.push(create::store(chunk, self.session.key(), &mut self.sealer, change, self.index, stats)?);
            start += len;
        }
        pending.drain(..start);
        Ok(())
    }
}
