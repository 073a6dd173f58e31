//! Takes an item stream apart that may have holes.
//!
//! Behind a hole nobody knows where the next item begins. It is looked for as stock does: at every byte, something that
//! begins like a packed map whose first key is one that items have, decodes as a whole, and has a path.
//!
//! Source: borg 1.4 `archive.py`, `RobustUnpacker`, `valid_msgpacked_dict`.

use std::collections::BTreeSet;

use worldkeeper_core::msgpack::{DecodeError, Decoder};

use crate::item_codec::ITEM_KEYS;
use crate::item_reader::ItemReader;
use crate::item_scanner::{ItemScanner, Scanned, TooLarge};
use crate::raw_item::{RawItem, RawItemError};

/// Decodes what is left of an archive's item stream.
///
/// [`push`](Self::push) what there is and say where something is [missing](Self::skip); take what comes out after each
/// until there is none.
#[derive(Debug)]
pub struct ItemSalvage<'a> {
    item_keys: &'a BTreeSet<Vec<u8>>,
    /// All that we write are among them.
    has_our_keys: bool,
    buffer: Vec<u8>,
    /// Where in the buffer the next item begins, or is looked for.
    start: usize,
    /// How far that item has been looked at; `None` while its beginning is looked for.
    scanner: Option<ItemScanner>,
    /// Used again and again.
    scratch: Vec<u8>,
}

/// Something in an item stream that is no item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// It is packed well, but it is no item; the next one begins behind it.
    #[error("something in the list of items is no item")]
    NoItem(#[from] RawItemError),
    /// It is not packed as borg does; the next item is looked for.
    #[error("the list of items cannot be decoded")]
    Garbled(#[from] DecodeError),
    /// An item that would take all memory; the next one is looked for.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl<'a> ItemSalvage<'a> {
    /// Waits for the first piece. `item_keys` are those that the manifest announces.
    pub fn new(item_keys: &'a BTreeSet<Vec<u8>>) -> Self {
        let has_our_keys = ITEM_KEYS.iter().all(|key| item_keys.contains(key.as_bytes()));
        let (buffer, scratch) = Default::default();
        Self { item_keys, has_our_keys, buffer, start: 0, scanner: Some(ItemScanner::default()), scratch }
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// A piece of the stream is missing here. What began before it is lost.
    pub fn skip(&mut self) {
        self.buffer.clear();
        self.start = 0;
        self.scanner = None;
    }

    /// The next item, or what is there in the place of one; `None` until more has been pushed.
    pub fn next_item(&mut self) -> Option<Result<RawItem, SalvageError>> {
        let Some(scanner) = &mut self.scanner else { return self.search() };
        let rest = &self.buffer[self.start..];
        if rest.is_empty() {
            return None;
        }
        let len = match scanner.scan(rest) {
            Ok(Scanned::Whole(len)) => len,
            Ok(Scanned::Part) => return None,
            Ok(Scanned::TooLarge(why)) => return Some(Err(self.lose(why.into()))),
            Err(error) => return Some(Err(self.lose(error.into()))),
        };
        let packed = &rest[..len];
        let ours = if self.has_our_keys { RawItem::ours(packed, &mut self.scratch) } else { None };
        let item = match ours.map_or_else(|| RawItem::new(packed, self.item_keys), Ok) {
            Err(error @ SalvageError::Garbled(_)) => return Some(Err(self.lose(error))),
            item => item,
        };
        self.pass(len);
        Some(item)
    }

    /// How many of the bytes that were pushed belong to nothing that was taken.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Ends the stream; all items have been taken. Returns how many bytes are left of one that was not whole.
    pub fn finish(self) -> usize {
        if self.scanner.is_some() { self.pending() } else { 0 }
    }

    /// What begins at the start was taken, or is not wanted; the next item begins behind it.
    fn pass(&mut self, len: usize) {
        self.start += len;
        self.scanner = Some(ItemScanner::default());
    }

    /// Gives up what begins at the start: the next item is looked for behind it.
    fn lose(&mut self, error: SalvageError) -> SalvageError {
        self.start += 1;
        self.scanner = None;
        error
    }

    fn search(&mut self) -> Option<Result<RawItem, SalvageError>> {
        // What may turn out to be an item when more of it is there.
        let mut first_open = None;
        for at in self.start..self.buffer.len() {
            let rest = &self.buffer[at..];
            match self.looks_like_item(rest) {
                Look::No => {}
                Look::Short => _ = first_open.get_or_insert(at),
                Look::Yes => match Decoder::new(rest).skip() {
                    Ok(packed) => {
                        let len = packed.len();
                        if let Ok(item) = RawItem::new(packed, self.item_keys) {
                            self.start = at;
                            self.pass(len);
                            return Some(Ok(item));
                        }
                    }
                    Err(DecodeError::Truncated { .. }) => _ = first_open.get_or_insert(at),
                    Err(_) => {}
                },
            }
        }
        self.start = first_open.unwrap_or(self.buffer.len());
        let open = &self.buffer[self.start..];
        let too_large = match ItemReader::refusal(open) {
            None if open.len() > ItemReader::MAX_ITEM_LEN => Some(TooLarge::Whole),
            why => why,
        };
        if too_large.is_some() {
            self.start = self.buffer.len();
        }
        too_large.map(|why| Err(why.into()))
    }

    /// Looks at the head of a map and at its first key.
    fn looks_like_item(&self, bytes: &[u8]) -> Look {
        let head = match bytes.first() {
            Some(byte) if byte & 0xf0 == 0x80 => 1,
            Some(0xde) => 3,
            Some(_) => return Look::No,
            None => return Look::Short,
        };
        let mut decoder = match bytes.get(head..) {
            Some(rest) => Decoder::new(rest),
            None => return Look::Short,
        };
        match decoder.raw() {
            Ok(key) if self.item_keys.contains(key) => Look::Yes,
            Err(DecodeError::Truncated { .. }) if bytes.len() < head + LONGEST_KEY => Look::Short,
            _ => Look::No,
        }
    }
}

/// What some bytes look like.
enum Look {
    Yes,
    No,
    /// Too few to tell.
    Short,
}

/// No key of an item is longer when it is packed.
const LONGEST_KEY: usize = 40;

/// Body of a fuzz target: whatever the bytes are, and wherever they are cut, the end is reached.
pub fn fuzz_salvage(bytes: &[u8]) {
    let item_keys = ITEM_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect();
    let mut salvage = ItemSalvage::new(&item_keys);
    for (number, piece) in bytes.chunks(61).enumerate() {
        if number % 3 == 1 {
            salvage.skip();
        }
        salvage.push(piece);
        while let Some(item) = salvage.next_item() {
            if let Ok(item) = item {
                assert!(bytes.windows(item.path().len().max(1)).any(|window| window.starts_with(item.path())));
            }
        }
    }
    assert!(salvage.finish() <= bytes.len());
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use worldkeeper_core::msgpack::Encoder;

    use super::*;
    use crate::item::Item;
    use crate::item_codec::tests::any_item;

    fn item_keys() -> BTreeSet<Vec<u8>> {
        ITEM_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect()
    }

    fn pack(item: &Item) -> Vec<u8> {
        let mut encoder = Encoder::new();
        item.encode(&mut encoder);
        encoder.finish()
    }

    fn named(path: &str) -> Item {
        Item { path: path.into(), ..Item::default() }
    }

    /// The paths of what comes out, and what does not come out.
    fn taken(salvage: &mut ItemSalvage<'_>) -> (Vec<String>, Vec<SalvageError>) {
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        while let Some(item) = salvage.next_item() {
            match item {
                Ok(item) => paths.push(String::from_utf8_lossy(item.path()).into_owned()),
                Err(error) => errors.push(error),
            }
        }
        (paths, errors)
    }

    #[test]
    fn behind_a_hole_the_next_whole_item_is_found() {
        let stream: Vec<u8> = ["a", "b", "c", "d"].map(|path| pack(&named(path))).concat();
        let keys = item_keys();
        let len = stream.len() / 4;
        for (hole, end, expected) in [
            (0, 1, &["b", "c", "d"][..]),
            (len / 2, len / 2 + 3, &["b", "c", "d"]),
            (len / 2, len, &["b", "c", "d"]),
            (len - 1, len + 1, &["c", "d"]),
            (0, 3 * len, &["d"]),
            (0, 3 * len + 1, &[]),
        ] {
            let mut salvage = ItemSalvage::new(&keys);
            salvage.push(&stream[..hole]);
            assert_eq!(taken(&mut salvage), (vec![], vec![]), "before the hole at {hole}");
            salvage.skip();
            // One byte at a time: nothing may be decided too early.
            let mut found = Vec::new();
            for byte in &stream[end..] {
                salvage.push(&[*byte]);
                found.extend(taken(&mut salvage).0);
            }
            assert_eq!(found, expected, "a hole from {hole} to {end}");
            assert_eq!(salvage.finish(), 0);
        }
    }

    #[test]
    fn what_is_no_item_is_said_and_passed_over() {
        let keys = item_keys();
        let mut salvage = ItemSalvage::new(&keys);
        salvage.push(
            &[&pack(&named("a"))[..], b"\x07\x81\xa4path\xa1x", &pack(&named("b")), b"\xc1\xc1", &pack(&named("c"))]
                .concat(),
        );
        let (paths, errors) = taken(&mut salvage);
        assert_eq!(paths, ["a", "b", "c"]);
        assert_eq!(errors[..2], [RawItemError::NotAMap.into(), RawItemError::Missing("mtime").into()]);
        assert!(matches!(errors[2..], [SalvageError::Garbled(_)]), "{errors:?}");
    }

    #[test]
    fn a_stream_that_ends_inside_an_item_says_so() {
        let stream = [pack(&named("a")), pack(&named("b"))].concat();
        let keys = item_keys();
        let mut salvage = ItemSalvage::new(&keys);
        salvage.push(&stream[..stream.len() - 1]);
        assert_eq!(taken(&mut salvage).0, ["a"]);
        assert_eq!(salvage.finish(), stream.len() / 2 - 1);
    }

    #[test]
    fn an_item_of_much_beside_its_chunks_is_passed_over() {
        let keys = item_keys();
        let mut salvage = ItemSalvage::new(&keys);
        salvage.push(&pack(&named("a")));
        // As many bytes as in a whole one, each of which would become a value of many.
        salvage.push(b"\x83\xa5mtime\x05\xa4path\xa1x\xa6xattrs\xdd\x02\x00\x00\x00");
        let piece = vec![0; 2 << 20];
        let (mut paths, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..16 {
            salvage.push(&piece);
            let (more, what) = taken(&mut salvage);
            paths.extend(more);
            errors.extend(what);
            assert!(salvage.pending() <= ItemReader::MAX_BESIDE_LEN);
        }
        salvage.push(&pack(&named("b")));
        paths.extend(taken(&mut salvage).0);
        assert_eq!(paths, ["a", "b"]);
        assert_eq!(errors, [TooLarge::Beside.into()]);
    }

    proptest! {
        #[test]
        fn a_whole_stream_comes_out_as_it_is(items in vec(any_item(), 0..4), cuts in vec(1usize..200, 1..50)) {
            let keys = item_keys();
            let items: Vec<_> = items.into_iter().map(|item| Item { unknown: Vec::new(), ..item }).collect();
            let stream: Vec<u8> = items.iter().flat_map(pack).collect();
            let mut salvage = ItemSalvage::new(&keys);
            let mut again = Encoder::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                salvage.push(piece);
                while let Some(item) = salvage.next_item() {
                    item.unwrap().encode(&mut again);
                }
                rest = behind;
            }
            prop_assert_eq!(salvage.finish(), 0);
            prop_assert_eq!(again.finish(), stream);
        }

        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..400)) {
            fuzz_salvage(&bytes);
        }

        #[test]
        fn any_change_is_survived(items in vec(any_item(), 1..4), at: proptest::sample::Index, byte: u8) {
            let mut stream: Vec<u8> = items.iter().flat_map(pack).collect();
            let at = at.index(stream.len());
            stream[at] = byte;
            fuzz_salvage(&stream);
        }
    }
}
