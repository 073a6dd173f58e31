//! Takes an item stream apart that comes in pieces.

use worldkeeper_core::msgpack::Scanner;

use crate::item::Item;
use crate::item_codec::ItemError;

/// Decodes items from an archive's item stream, whose chunks are cut anywhere.
///
/// Push a piece, take items until there is none, push the next; at the end [`finish`](Self::finish) tells whether the
/// stream was whole. Then it holds no more than a piece and an item of at most [`MAX_ITEM_LEN`](Self::MAX_ITEM_LEN).
#[derive(Debug, Default)]
pub struct ItemReader {
    buffer: Vec<u8>,
    /// Where in the buffer the next item begins.
    start: usize,
    /// How far that item has been looked at.
    scanner: Scanner,
}

impl ItemReader {
    /// Longest packed item, in bytes. It has some six million chunk references, 12 TB of file in chunks of stock's default size.
    pub const MAX_ITEM_LEN: usize = 256 << 20;

    /// Waits for the first piece.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next item, or `None` until more has been pushed. After an error the stream is lost.
    pub fn next_item(&mut self) -> Result<Option<Item>, ItemError> {
        let rest = &self.buffer[self.start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Some(len) = self.scanner.scan(rest)? else {
            return if rest.len() > Self::MAX_ITEM_LEN {
                Err(ItemError::TooLarge(Self::MAX_ITEM_LEN))
            } else {
                Ok(None)
            };
        };
        let item = Item::decode(&rest[..len])?;
        self.start += len;
        self.scanner = Scanner::new();
        Ok(Some(item))
    }

    /// Ends the stream; all items have been taken.
    pub fn finish(self) -> Result<(), ItemError> {
        match self.buffer.len() - self.start {
            0 => Ok(()),
            left => Err(ItemError::Incomplete(left)),
        }
    }
}
