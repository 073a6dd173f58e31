//! Finds the end of a packed item, and gives up what would take all memory.
//!
//! A chunk reference takes no more memory than it has bytes, and there may be millions. Of all else an item has little, but
//! each of its bytes may become many; so that has a limit of its own.

use worldkeeper_core::msgpack::{DecodeError, Decoder, Scanner};

use crate::item_reader::ItemReader;

/// Tells how long an item is, as soon as all of it is there.
#[derive(Debug, Default)]
pub(crate) struct ItemScanner {
    scanner: Scanner,
    /// What is looked at of a long item alone.
    beside: Beside,
}

/// How far an item has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// It has this many bytes.
    Whole(usize),
    /// There is more to come.
    Part,
    /// It is given up.
    TooLarge(TooLarge),
}

/// An item that would take all memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooLarge {
    /// As a whole.
    #[error("an item has more than {} bytes", ItemReader::MAX_ITEM_LEN)]
    Whole,
    /// In what is not the content of a file.
    #[error("an item has more than {} bytes beside its lists of chunks", ItemReader::MAX_BESIDE_LEN)]
    Beside,
}

impl ItemScanner {
    /// Looks at what came since the last call. `bytes` begins where the item begins and holds everything of it so far.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Scanned, DecodeError> {
        let whole = self.scanner.scan(bytes)?;
        let item = &bytes[..whole.unwrap_or(bytes.len())];
        // Nearly all items are shorter than what may stand beside lists of chunks.
        if item.len() > ItemReader::MAX_BESIDE_LEN {
            if item.len() > ItemReader::MAX_ITEM_LEN {
                return Ok(Scanned::TooLarge(TooLarge::Whole));
            }
            if self.beside.measure(item)? > ItemReader::MAX_BESIDE_LEN {
                return Ok(Scanned::TooLarge(TooLarge::Beside));
            }
        }
        Ok(whole.map_or(Scanned::Part, Scanned::Whole))
    }
}

/// Measures what stands in an item beside its lists of chunks.
#[derive(Debug, Default)]
struct Beside {
    /// The bytes of the keys and values before `position`.
    len: usize,
    /// Where the next key or value begins.
    position: usize,
    /// How far that has been looked at.
    scanner: Scanner,
    /// What it is.
    next: Next,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Head,
    Key,
    List,
    Value,
}

impl Beside {
    /// How many bytes there are so far. `item` is a packed item, or as much of it as there is.
    fn measure(&mut self, item: &[u8]) -> Result<usize, DecodeError> {
        if self.next == Next::Head {
            let head = match item.first() {
                Some(0x80..=0x8f) => 1,
                Some(0xde) => 3,
                Some(0xdf) => 5,
                // It is no map.
                _ => return Ok(item.len()),
            };
            (self.len, self.position, self.next) = (head, head, Next::Key);
        }
        while let Some(rest) = item.get(self.position..).filter(|rest| !rest.is_empty()) {
            let Some(len) = self.scanner.scan(rest)? else {
                return Ok(if self.next == Next::List { self.len } else { self.len + rest.len() });
            };
            if self.next != Next::List {
                self.len += len;
            }
            self.next = match self.next {
                Next::Key if is_list(&rest[..len]) => Next::List,
                Next::Key => Next::Value,
                _ => Next::Key,
            };
            self.position += len;
            self.scanner = Scanner::new();
        }
        Ok(self.len)
    }
}

fn is_list(key: &[u8]) -> bool {
    matches!(Decoder::new(key).raw(), Ok(b"chunks" | b"chunks_healthy"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worldkeeper_core::ChunkId;
    use worldkeeper_core::msgpack::Encoder;

    use super::*;
    use crate::item::{ChunkRef, Item};
    use crate::item_codec::tests::any_item;

    fn pack(item: &Item) -> Vec<u8> {
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        encoder.finish()
    }

    fn chunks(count: usize) -> Vec<ChunkRef> {
        vec![ChunkRef { id: ChunkId([0xcd; 32]), size: 2 << 20, csize: 1 << 20 }; count]
    }

    /// What comes of an item that comes in pieces.
    fn scan(packed: &[u8], piece: usize) -> (usize, Scanned) {
        let mut scanner = ItemScanner::default();
        for len in (piece..).step_by(piece) {
            let len = len.min(packed.len());
            match scanner.scan(&packed[..len]).unwrap() {
                Scanned::Part if len < packed.len() => {}
                scanned => return (len, scanned),
            }
        }
        unreachable!("there is a last piece")
    }

    #[test]
    fn lists_of_chunks_may_be_longer_than_all_else() {
        let item = Item { chunks: Some(chunks(600_000)), chunks_healthy: Some(chunks(600_000)), ..Item::default() };
        let packed = pack(&item);
        assert!(packed.len() > 2 * ItemReader::MAX_BESIDE_LEN);
        for piece in [1 << 20, packed.len()] {
            assert_eq!(scan(&packed, piece), (packed.len(), Scanned::Whole(packed.len())));
        }
        let beside = pack(&Item::default()).len() + "_chunks_chunks_healthy".len() + 2 * 5;
        let mut measured = Beside::default();
        for len in [1, 7, packed.len() / 2, packed.len() - 3, packed.len()] {
            assert!(measured.measure(&packed[..len]).unwrap() <= beside);
        }
        assert_eq!(measured.measure(&packed).unwrap() + 2 * 5, beside, "the heads of the lists are theirs");
    }

    #[test]
    fn all_else_is_given_up_as_soon_as_it_is_too_long() {
        let room = ItemReader::MAX_BESIDE_LEN - pack(&Item { path: vec![0; 70_000], ..Item::default() }).len() + 70_000;
        let path = vec![0; room - b"_chunks".len()];
        let fits = pack(&Item { path, chunks: Some(chunks(600_000)), ..Item::default() });
        assert_eq!(scan(&fits, 1 << 20).1, Scanned::Whole(fits.len()));
        let too_long = pack(&Item { path: vec![0; room + 1], chunks: Some(chunks(600_000)), ..Item::default() });
        for piece in [1 << 20, too_long.len()] {
            assert_eq!(scan(&too_long, piece).1, Scanned::TooLarge(TooLarge::Beside), "{piece}");
        }
        // Neither a value nor its list nor the map has come to its end.
        for head in [&b"\x81\xa3zzz\xdd\x7f\xff\xff\xff"[..], b"\xdf\x7f\xff\xff\xff", b"\xdd\x7f\xff\xff\xff"] {
            let packed = [head, &vec![0xc0; ItemReader::MAX_BESIDE_LEN + 100]].concat();
            let (len, scanned) = scan(&packed, 1 << 16);
            assert_eq!(scanned, Scanned::TooLarge(TooLarge::Beside));
            assert!(len <= ItemReader::MAX_BESIDE_LEN + (1 << 16));
        }
    }

    proptest! {
        #[test]
        fn what_is_beside_the_lists_is_measured_however_it_comes(item in any_item(), step in 1usize..50) {
            let lists = [("chunks", &item.chunks), ("chunks_healthy", &item.chunks_healthy)];
            let without = Item { chunks: None, chunks_healthy: None, ..item.clone() };
            let keys: usize = lists.iter().filter(|(_, list)| list.is_some()).map(|(key, _)| 1 + key.len()).sum();
            let head = |packed: &[u8]| if packed[0] == 0xde { 3 } else { 1 };
            let (packed, without) = (pack(&item), pack(&without));
            let mut beside = Beside::default();
            for len in (1..packed.len()).step_by(step) {
                if len >= head(&packed) {
                    prop_assert!(beside.measure(&packed[..len]).unwrap() <= len);
                }
            }
            let expected = without.len() - head(&without) + head(&packed) + keys;
            prop_assert_eq!(beside.measure(&packed), Ok(expected));
        }
    }
}
