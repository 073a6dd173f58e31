//! Walks over the items of an archive, past what is missing.

use std::collections::{BTreeSet, VecDeque};

use worldkeeper_archive::{ItemSalvage, RawItem, SalvageError};
use worldkeeper_core::{ChunkId, error_text};

use super::objects::Objects;
use super::reading::Reading;
use crate::session::SessionError;

/// The items of one archive, in order.
pub(super) struct ItemWalk<'a> {
    reading: Reading<'a>,
    salvage: Option<ItemSalvage<'a>>,
    /// The chunks to come, and whether each is there.
    chunks: VecDeque<(ChunkId, bool)>,
    /// How many chunks were taken, and the last one of them.
    taken: usize,
    current: ChunkId,
    walked_bytes: usize,
}

/// What stands in a list of items.
pub(super) enum Step {
    /// An item.
    Item(Box<RawItem>),
    /// Something that is none; items may have been lost with it.
    Problem {
        /// The chunk of the list in which it is.
        chunk: ChunkId,
        what: String,
    },
    /// An item that is too long to be read; the next one is looked for.
    TooLong {
        /// The chunk of the list up to which it was read.
        chunk: ChunkId,
        what: String,
    },
}

impl<'a> ItemWalk<'a> {
    pub(super) fn new(
        reading: Reading<'a>,
        chunks: &[ChunkId],
        item_keys: &'a BTreeSet<Vec<u8>>,
        objects: &Objects,
    ) -> Self {
        let chunks = chunks.iter().map(|id| (*id, objects.contains(id))).collect();
        let salvage = Some(ItemSalvage::new(item_keys));
        Self { reading, salvage, chunks, taken: 0, current: ChunkId::MANIFEST, walked_bytes: 0 }
    }

    /// The next thing there is; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Step>, SessionError> {
        loop {
            let Some(salvage) = &mut self.salvage else { return Ok(None) };
            let pending = salvage.pending();
            let item = salvage.next_item();
            self.walked_bytes += pending - salvage.pending();
            match item {
                Some(Ok(item)) => return Ok(Some(Step::Item(Box::new(item)))),
                Some(Err(error @ SalvageError::TooLarge(_))) => {
                    return Ok(Some(Step::TooLong { chunk: self.current, what: error_text(&error) }));
                }
                Some(Err(error)) => return Ok(Some(self.problem(&error_text(&error)))),
                None => {}
            }
            let Some((id, is_present)) = self.chunks.pop_front() else {
                let left = self.salvage.take().map_or(0, ItemSalvage::finish);
                let what = format!("the list of items ends inside an item, {left} bytes behind its beginning");
                return Ok((left > 0).then(|| self.problem(&what)));
            };
            self.taken += 1;
            self.current = id;
            let read = if is_present { Some(self.reading.content(&id)?) } else { None };
            match read {
                Some(Ok(content)) => salvage.push(&content),
                Some(Err(error)) => {
                    salvage.skip();
                    let what = error_text(error.source.as_ref());
                    return Ok(Some(self.problem(&format!("a piece of the list of items cannot be read: {what}"))));
                }
                None => {
                    salvage.skip();
                    return Ok(Some(self.problem("a piece of the list of items is missing")));
                }
            }
        }
    }

    /// How many bytes were packed of what was walked over.
    pub(super) fn walked_bytes(&self) -> usize {
        self.walked_bytes
    }

    fn problem(&self, what: &str) -> Step {
        Step::Problem { chunk: self.current, what: format!("{what} (piece {})", self.taken) }
    }
}
