//! Finds the end of a value whose bytes come in pieces.

use rmp::Marker;

use super::decode::{DecodeError, kind};

/// Tells how long a packed value is, as soon as all of it is there.
///
/// Unlike [`Decoder::skip`](super::Decoder::skip) it goes on where it stopped, so that a value of megabytes that comes in
/// small pieces is looked at once. It counts how many values are still to come and knows nothing else of the nesting;
/// whoever decodes the value checks that.
#[derive(Clone, Debug)]
pub struct Scanner {
    position: usize,
    /// Values that must still follow.
    pending: u64,
    /// What the value has at least, by all that it has announced.
    least_len: u64,
    floats: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { position: 0, pending: 1, least_len: 1, floats: false }
    }
}

impl Scanner {
    /// Waits for a value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a value in which there may be floats, as in [`Decoder::with_floats`](super::Decoder::with_floats).
    pub fn with_floats() -> Self {
        Self { floats: true, ..Self::default() }
    }

    /// How long the value is at least, by the lengths that were seen so far: so that one that is too long can be refused
    /// before it has come.
    pub fn least_len(&self) -> u64 {
        self.least_len
    }

    /// Looks at what came since the last call. `bytes` begins where the value begins and holds everything of it so far.
    ///
    /// Returns the value's length in bytes, or `None` when there is more to come.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while self.pending > 0 {
            let Some(rest) = bytes.get(self.position..) else { return Ok(None) };
            let Some(head) = Head::read(rest, self.position, self.floats)? else { return Ok(None) };
            // Each value has a byte at least.
            let pending = (self.pending - 1).saturating_add(head.members);
            let end = self.position + head.len;
            self.least_len = pending.saturating_add(end as u64);
            if rest.len() < head.len {
                return Ok(None);
            }
            self.position = end;
            self.pending = pending;
        }
        Ok(Some(self.position))
    }
}

/// What stands at the front of a value.
struct Head {
    /// Bytes of the value without its members.
    len: usize,
    /// Values inside that follow.
    members: u64,
}

impl Head {
    /// `None` if the head is not complete.
    fn read(bytes: &[u8], at: usize, floats: bool) -> Result<Option<Self>, DecodeError> {
        let Some((marker, operand)) = bytes.split_first() else { return Ok(None) };
        let marker = Marker::from_u8(*marker);
        let length = |bytes: usize| {
            let operand = operand.get(..bytes)?;
            Some(operand.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
        };
        let scalar = |operand: usize| Some(Self { len: 1 + operand, members: 0 });
        let raw = |header: usize| length(header).map(|len| Self { len: 1 + header + len as usize, members: 0 });
        let container =
            |header: usize, each: u64| length(header).map(|len| Self { len: 1 + header, members: len * each });
        Ok(match marker {
            Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => scalar(0),
            Marker::U8 | Marker::I8 => scalar(1),
            Marker::U16 | Marker::I16 => scalar(2),
            Marker::U32 | Marker::I32 => scalar(4),
            Marker::U64 | Marker::I64 => scalar(8),
            Marker::F32 if floats => scalar(4),
            Marker::F64 if floats => scalar(8),
            Marker::FixStr(len) => scalar(len.into()),
            Marker::Str8 | Marker::Bin8 => raw(1),
            Marker::Str16 | Marker::Bin16 => raw(2),
            Marker::Str32 | Marker::Bin32 => raw(4),
            Marker::FixArray(len) => Some(Self { len: 1, members: len.into() }),
            Marker::Array16 => container(2, 1),
            Marker::Array32 => container(4, 1),
            Marker::FixMap(len) => Some(Self { len: 1, members: u64::from(len) * 2 }),
            Marker::Map16 => container(2, 2),
            Marker::Map32 => container(4, 2),
            other => {
                return Err(DecodeError::Unexpected { at, expected: "a value that borg writes", found: kind(other) });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decoder;
    use super::*;

    #[test]
    fn a_value_is_complete_with_its_last_byte_and_not_before() {
        // {"k": [1, "ab", nil], "l": {}} and the next value.
        let packed = b"\x82\xa1k\x93\x01\xa2ab\xc0\xa1l\x80\xc3";
        let mut scanner = Scanner::new();
        for len in 0..packed.len() - 1 {
            assert_eq!(scanner.scan(&packed[..len]), Ok(None), "{len} bytes");
        }
        assert_eq!(scanner.scan(packed), Ok(Some(packed.len() - 1)));
        assert_eq!(scanner.scan(packed), Ok(Some(packed.len() - 1)), "asked again");
    }

    #[test]
    fn the_least_length_is_known_as_soon_as_it_is_announced() {
        for (packed, least) in [
            (&b""[..], 1),
            (b"\xdb\xff\xff\xff", 1),
            (b"\xdb\xff\xff\xff\xff", (1 << 32) + 4),
            (b"\xdd\xff\xff\xff\xff", (1 << 32) + 4),
            (b"\xdf\xff\xff\xff\xff", (1 << 33) + 3),
            (b"\x92\xa5ab", 1 + 6 + 1),
        ] {
            let mut scanner = Scanner::new();
            assert_eq!(scanner.scan(packed), Ok(None));
            assert_eq!(scanner.least_len(), least, "{packed:02x?}");
        }
    }

    #[test]
    fn floats_are_passed_where_there_may_be_some() {
        let packed = b"\x92\xcb\0\0\0\0\0\0\0\0\xca\0\0\0\0";
        assert!(Scanner::new().scan(packed).is_err());
        assert_eq!(Scanner::with_floats().scan(packed), Ok(Some(packed.len())));
    }

    #[test]
    fn what_borg_does_not_write_is_refused() {
        for packed in [&b"\xcb\0\0\0\0\0\0\0\0"[..], b"\xc1", b"\xd4\x01\x02"] {
            let kind = Scanner::new().scan(packed);
            assert!(matches!(kind, Err(DecodeError::Unexpected { at: 0, .. })), "{packed:02x?}");
        }
    }

    proptest! {
        /// Where the decoder finds a value, the scanner finds its end, however the bytes come.
        #[test]
        fn agrees_with_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..100), step in 1usize..9) {
            let mut decoder = Decoder::new(&bytes);
            if let Ok(packed) = decoder.skip() {
                let mut scanner = Scanner::new();
                for len in (0..packed.len()).step_by(step) {
                    prop_assert_eq!(scanner.scan(&bytes[..len]), Ok(None));
                }
                prop_assert_eq!(scanner.scan(&bytes), Ok(Some(packed.len())));
            }
        }
    }
}
