//! Writes borg's dialect.

use rmp::encode as rmp;

use crate::append;

/// Packs values one after the other, each in the smallest form that borg 1.x writes.
///
/// A map or an array is announced with its length and then its members; that they follow is the caller's duty.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on behind `out`, whose capacity is thus used again.
    pub fn append_to(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// Announces a map of `len` pairs. Borg sorts the keys of its metadata maps; so must the caller.
    pub fn map(&mut self, len: usize) -> &mut Self {
        rmp::write_map_len(&mut self.out, u32::try_from(len).expect("maps have a handful of keys")).expect(INFALLIBLE);
        self
    }

    /// Announces an array of `len` members.
    pub fn array(&mut self, len: usize) -> &mut Self {
        rmp::write_array_len(&mut self.out, u32::try_from(len).expect("lists are limited by the object size"))
            .expect(INFALLIBLE);
        self
    }

    /// Writes text or bytes: fixraw, raw16 or raw32, never `str8`.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.raw_head(bytes.len()).packed(bytes)
    }

    /// Announces text or bytes of `len` bytes, which follow: for whoever sends them without copying them here.
    pub fn raw_head(&mut self, len: usize) -> &mut Self {
        match len {
            len @ 0..32 => self.out.push(0xa0 | len as u8),
            len @ 32..0x1_0000 => {
                self.out.push(0xda);
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                self.out.push(0xdb);
                let len = u32::try_from(len).expect("strings are limited by the object size");
                self.out.extend_from_slice(&len.to_be_bytes());
            }
        }
        self
    }

    /// Writes an integer in its smallest form; one that is not negative as unsigned.
    pub fn int(&mut self, value: i64) -> &mut Self {
        rmp::write_sint(&mut self.out, value).expect(INFALLIBLE);
        self
    }

    /// Writes an unsigned integer in its smallest form.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        rmp::write_uint(&mut self.out, value).expect(INFALLIBLE);
        self
    }

    /// Writes an integer that was read, which has 64 bits at most.
    pub(super) fn any_int(&mut self, value: i128) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.uint(value),
            Err(_) => self.int(i64::try_from(value).expect("what is no u64 was read as an i64")),
        }
    }

    /// Writes a float in 64 bits, as Python's numbers are.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.out.push(0xcb);
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Writes true or false.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        self
    }

    /// Writes nil.
    pub fn nil(&mut self) -> &mut Self {
        self.out.push(0xc0);
        self
    }

    /// Puts in bytes that are packed already.
    pub fn packed(&mut self, bytes: &[u8]) -> &mut Self {
        append(&mut self.out, bytes);
        self
    }

    /// How many bytes have been written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Returns whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Gives the bytes away.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

const INFALLIBLE: &str = "writing to memory does not fail";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_choose_the_form_that_borg_chooses() {
        for (len, header) in [
            (0, &[0xa0][..]),
            (31, &[0xbf]),
            (32, &[0xda, 0x00, 0x20]), // not str8: `d9 20`
            (255, &[0xda, 0x00, 0xff]),
            (65_535, &[0xda, 0xff, 0xff]),
            (65_536, &[0xdb, 0x00, 0x01, 0x00, 0x00]),
        ] {
            let mut encoder = Encoder::new();
            encoder.raw(vec![b'x'; len]);
            assert_eq!(&encoder.finish()[..header.len()], header, "{len} bytes");
        }
    }

    #[test]
    fn integers_take_the_least_room() {
        for (value, packed) in [
            (0, &[0x00][..]),
            (127, &[0x7f]),
            (128, &[0xcc, 0x80]),
            (256, &[0xcd, 0x01, 0x00]),
            (65_536, &[0xce, 0x00, 0x01, 0x00, 0x00]),
            (1 << 32, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
            (-1, &[0xff]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-129, &[0xd1, 0xff, 0x7f]),
        ] {
            let mut encoder = Encoder::new();
            encoder.int(value);
            assert_eq!(encoder.finish(), packed, "{value}");
        }
    }
}
