//! Takes an item stream apart that comes in pieces.

use crate::item::Item;
use crate::item_codec::ItemError;
use crate::item_scanner::{ItemScanner, Scanned, TooLarge};

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
    scanner: ItemScanner,
}

impl ItemReader {
    /// Longest packed item, in bytes: [`Item::MAX_CHUNKS`], twice after a repair, and [`MAX_BESIDE_LEN`](Self::MAX_BESIDE_LEN).
    pub const MAX_ITEM_LEN: usize = 512 << 20;

    /// The most that an item has beside `chunks` and `chunks_healthy`, in bytes: 16 MiB of extended attributes, and the rest.
    pub const MAX_BESIDE_LEN: usize = 20_000_000;

    /// Waits for the first piece.
    pub fn new() -> Self {
        Self::default()
    }

    /// Why a packed item, or the beginning of one, is not read, if it is too large for that.
    pub fn refusal(packed: &[u8]) -> Option<TooLarge> {
        if packed.len() <= Self::MAX_BESIDE_LEN {
            return None;
        }
        match ItemScanner::default().scan(packed) {
            Ok(Scanned::TooLarge(why)) => Some(why),
            _ => None,
        }
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
        let len = match self.scanner.scan(rest)? {
            Scanned::Whole(len) => len,
            Scanned::Part => return Ok(None),
            Scanned::TooLarge(why) => return Err(why.into()),
        };
        let item = Item::decode(&rest[..len])?;
        self.start += len;
        self.scanner = ItemScanner::default();
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

/// Body of a fuzz target: whatever the bytes are and wherever they are cut (the first byte says that), the same items come
/// out, or the same error after the same items.
pub fn fuzz_item_stream(bytes: &[u8]) {
    let Some((piece_len, stream)) = bytes.split_first() else { return };
    let read = |piece_len: usize| {
        let (mut reader, mut items) = (ItemReader::new(), Vec::new());
        for piece in stream.chunks(piece_len) {
            reader.push(piece);
            loop {
                match reader.next_item() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(_) => return (items, false),
                }
            }
        }
        let is_whole = reader.finish().is_ok();
        (items, is_whole)
    };
    assert_eq!(read(usize::from(*piece_len).max(1)), read(stream.len().max(1)));
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use worldkeeper_core::ChunkId;
    use worldkeeper_core::msgpack::{DecodeError, Encoder};

    use super::*;
    use crate::item::ChunkRef;
    use crate::item_codec::tests::any_item;

    fn pack(items: &[Item]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        for item in items {
            item.encode(&mut encoder);
        }
        encoder.finish()
    }

    #[test]
    fn a_stream_without_items_is_whole() {
        let mut reader = ItemReader::new();
        assert_eq!(reader.next_item(), Ok(None));
        reader.push(b"");
        assert_eq!(reader.next_item(), Ok(None));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_stream_that_ends_inside_an_item_is_not_whole() {
        let stream = pack(&[Item::default(), Item::default()]);
        for len in 1..stream.len() {
            let mut reader = ItemReader::new();
            reader.push(&stream[..len]);
            let mut items = 0;
            while reader.next_item().unwrap().is_some() {
                items += 1;
            }
            let left = len % (stream.len() / 2);
            assert_eq!(items, len / (stream.len() / 2));
            assert_eq!(reader.finish(), if left == 0 { Ok(()) } else { Err(ItemError::Incomplete(left)) });
        }
    }

    #[test]
    fn items_that_were_not_taken_count_as_left() {
        let mut reader = ItemReader::new();
        reader.push(&pack(&[Item::default()]));
        assert!(matches!(reader.finish(), Err(ItemError::Incomplete(_))));
    }

    #[test]
    fn an_item_of_megabytes_in_small_pieces() {
        let chunk = ChunkRef { id: ChunkId([0xcd; 32]), size: 2 << 20, csize: 1 << 20 };
        let large = Item { chunks: Some(vec![chunk; 100_000]), ..Item::default() };
        let stream = pack(&[Item::default(), large.clone(), Item::default()]);
        let mut reader = ItemReader::new();
        let mut items = Vec::new();
        for piece in stream.chunks(1000) {
            reader.push(piece);
            while let Some(item) = reader.next_item().unwrap() {
                items.push(item);
            }
            assert!(reader.buffer.len() <= stream.len());
        }
        assert_eq!(reader.finish(), Ok(()));
        assert!(items == [Item::default(), large, Item::default()]);
    }

    #[test]
    fn an_item_that_never_ends_is_given_up() {
        let mut reader = ItemReader::new();
        reader.push(b"\x81\xa6chunks\xdb\xff\xff\xff\xff");
        let piece = vec![0; 64 << 20];
        for _ in 0..ItemReader::MAX_ITEM_LEN / piece.len() - 1 {
            reader.push(&piece);
            assert_eq!(reader.next_item(), Ok(None));
        }
        reader.push(&piece);
        assert_eq!(reader.next_item(), Err(ItemError::TooLarge(TooLarge::Whole)));
    }

    #[test]
    fn an_item_of_much_beside_its_chunks_is_given_up() {
        // Each of these bytes would become a value of many.
        let mut reader = ItemReader::new();
        reader.push(b"\x81\xa3zzz\xdd\x10\x00\x00\x00");
        let piece = vec![0; 4_000_000];
        for _ in 0..ItemReader::MAX_BESIDE_LEN / piece.len() - 1 {
            reader.push(&piece);
            assert_eq!(reader.next_item(), Ok(None));
        }
        reader.push(&piece);
        assert_eq!(reader.next_item(), Err(ItemError::TooLarge(TooLarge::Beside)));
    }

    #[test]
    fn what_would_not_be_read_can_be_known_before() {
        let packed = |path: usize| pack(&[Item { path: vec![b'a'; path], ..Item::default() }]);
        assert_eq!(ItemReader::refusal(&packed(5)), None);
        assert_eq!(ItemReader::refusal(&packed(ItemReader::MAX_BESIDE_LEN - 1000)), None);
        assert_eq!(ItemReader::refusal(&packed(ItemReader::MAX_BESIDE_LEN)), Some(TooLarge::Beside));
    }

    #[test]
    fn what_is_no_item_is_an_error() {
        for stream in [&b"\x01"[..], b"\xc1", b"\x80", b"\x81\x01\x02"] {
            let mut reader = ItemReader::new();
            reader.push(stream);
            assert!(reader.next_item().is_err(), "{stream:02x?}");
        }
        let mut reader = ItemReader::new();
        reader.push(b"\xcb");
        assert!(matches!(reader.next_item(), Err(ItemError::Decode(DecodeError::Unexpected { .. }))));
    }

    proptest! {
        #[test]
        fn items_come_out_however_the_stream_is_cut(items in vec(any_item(), 0..4), cuts in vec(1usize..200, 1..50)) {
            let stream = pack(&items);
            let mut reader = ItemReader::new();
            let mut read = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                reader.push(piece);
                while let Some(item) = reader.next_item().unwrap() {
                    read.push(item);
                }
                rest = behind;
            }
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(read, items);
        }
    }
}
