//! Reads borg's dialect, whatever the bytes are.

use rmp::Marker;

/// Why bytes are not what they should be. Offsets count from where the [`Decoder`] started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value; with more of them it might be one.
    #[error("the data ends at byte {at}, inside a value")]
    Truncated {
        /// Where the bytes end.
        at: usize,
    },
    /// A value of another kind.
    #[error("expected {expected} at byte {at}, found {found}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What the format says.
        expected: &'static str,
        /// What is there.
        found: Kind,
    },
    /// An integer that does not fit the field.
    #[error("the integer at byte {at} is out of range")]
    OutOfRange {
        /// Where.
        at: usize,
    },
    /// Values in values in values.
    #[error("values are nested too deeply at byte {at}")]
    TooDeep {
        /// Where.
        at: usize,
    },
    /// A list or map that would take all memory.
    #[error("there are more than {limit} members in a list")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// A value that would take all memory.
    #[error("the value at byte {at} is longer than {limit} bytes")]
    TooLong {
        /// Where.
        at: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Bytes behind the value that should be the last.
    #[error("{count} bytes follow at byte {at}, where the data should end")]
    Trailing {
        /// Where.
        at: usize,
        /// How many.
        count: usize,
    },
}

/// What kind of value stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nil.
    Nil,
    /// True or false.
    Bool,
    /// An integer.
    Int,
    /// A floating-point number; borg writes none.
    Float,
    /// Text or bytes.
    Raw,
    /// An array.
    Array,
    /// A map.
    Map,
    /// An extension or the reserved byte; borg writes neither.
    Other,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nil => "nil",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Float => "a float",
            Self::Raw => "a string",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Other => "an unknown type",
        })
    }
}

/// How deep [`Decoder::skip`] and [`Value`](super::Value) follow nested values; borg's own parser stops at 16.
pub(super) const MAX_DEPTH: u32 = 16;

/// Takes packed values from the front of some bytes.
///
/// After an error the position is where the failing value begins, so a caller that gets
/// [`DecodeError::Truncated`] may try again with more bytes.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    position: usize,
    floats: bool,
}

impl<'a> Decoder<'a> {
    /// Starts at the front of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0, floats: false }
    }

    /// Starts at the front of `input`, where [`skip`](Self::skip) passes floats too: there are some in what borg's client
    /// and server say to each other, though in nothing that is stored.
    pub fn with_floats(input: &'a [u8]) -> Self {
        Self { floats: true, ..Self::new(input) }
    }

    /// How many bytes have been taken.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Requires that all bytes have been taken.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.input.len() - self.position {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { at: self.position, count }),
        }
    }

    /// Looks at the next value without taking it.
    pub fn peek(&self) -> Result<Kind, DecodeError> {
        Ok(kind(self.marker()?))
    }

    /// Takes a nil if there is one, and says whether there was.
    pub fn nil(&mut self) -> Result<bool, DecodeError> {
        let found = self.peek()? == Kind::Nil;
        self.position += usize::from(found);
        Ok(found)
    }

    /// Takes a boolean.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let value = match self.marker()? {
            Marker::True => true,
            Marker::False => false,
            other => return Err(self.unexpected("a boolean", other)),
        };
        self.position += 1;
        Ok(value)
    }

    /// Takes an integer. All that 64 bits can hold, signed or unsigned, fits an `i128`.
    pub fn int(&mut self) -> Result<i128, DecodeError> {
        let marker = self.marker()?;
        let (value, len) = match marker {
            Marker::FixPos(value) => (value.into(), 0),
            Marker::FixNeg(value) => (value.into(), 0),
            Marker::U8 => (u8::from_be_bytes(self.operand()?).into(), 1),
            Marker::U16 => (u16::from_be_bytes(self.operand()?).into(), 2),
            Marker::U32 => (u32::from_be_bytes(self.operand()?).into(), 4),
            Marker::U64 => (u64::from_be_bytes(self.operand()?).into(), 8),
            Marker::I8 => (i8::from_be_bytes(self.operand()?).into(), 1),
            Marker::I16 => (i16::from_be_bytes(self.operand()?).into(), 2),
            Marker::I32 => (i32::from_be_bytes(self.operand()?).into(), 4),
            Marker::I64 => (i64::from_be_bytes(self.operand()?).into(), 8),
            other => return Err(self.unexpected("an integer", other)),
        };
        self.position += 1 + len;
        Ok(value)
    }

    /// Takes an integer that fits the field it is for.
    pub fn int_as<T: TryFrom<i128>>(&mut self) -> Result<T, DecodeError> {
        let at = self.position;
        T::try_from(self.int()?).map_err(|_| {
            self.position = at;
            DecodeError::OutOfRange { at }
        })
    }

    /// Takes a number: a float, or an integer that is meant as one.
    pub fn float(&mut self) -> Result<f64, DecodeError> {
        let (value, len) = match self.marker()? {
            Marker::F32 => (f32::from_be_bytes(self.operand()?).into(), 4),
            Marker::F64 => (f64::from_be_bytes(self.operand()?), 8),
            _ => return Ok(self.int()? as f64),
        };
        self.position += 1 + len;
        Ok(value)
    }

    /// Takes text or bytes.
    pub fn raw(&mut self) -> Result<&'a [u8], DecodeError> {
        let marker = self.marker()?;
        let (len, header) = match marker {
            Marker::FixStr(len) => (len.into(), 1),
            Marker::Str8 | Marker::Bin8 => (u8::from_be_bytes(self.operand()?).into(), 2),
            Marker::Str16 | Marker::Bin16 => (u16::from_be_bytes(self.operand()?).into(), 3),
            Marker::Str32 | Marker::Bin32 => (u32::from_be_bytes(self.operand()?) as usize, 5),
            other => return Err(self.unexpected("a string", other)),
        };
        let start = self.position + header;
        let end = start.checked_add(len).filter(|end| *end <= self.input.len());
        let end = end.ok_or(DecodeError::Truncated { at: self.input.len() })?;
        self.position = end;
        Ok(&self.input[start..end])
    }

    /// Takes bytes of a fixed length.
    pub fn raw_array<const LEN: usize>(&mut self) -> Result<[u8; LEN], DecodeError> {
        let at = self.position;
        self.raw()?.try_into().map_err(|_| {
            self.position = at;
            DecodeError::OutOfRange { at }
        })
    }

    /// Takes the head of an array; its members follow.
    ///
    /// The length is backed by bytes: each member has at least one, so it is safe to allocate for.
    pub fn array(&mut self) -> Result<usize, DecodeError> {
        let marker = self.marker()?;
        let (len, header) = match marker {
            Marker::FixArray(len) => (len.into(), 1),
            Marker::Array16 => (u16::from_be_bytes(self.operand()?).into(), 3),
            Marker::Array32 => (u32::from_be_bytes(self.operand()?) as usize, 5),
            other => return Err(self.unexpected("an array", other)),
        };
        self.enter(header, len, 1)
    }

    /// Takes the head of a map; that many keys follow, each before its value.
    pub fn map(&mut self) -> Result<usize, DecodeError> {
        let marker = self.marker()?;
        let (len, header) = match marker {
            Marker::FixMap(len) => (len.into(), 1),
            Marker::Map16 => (u16::from_be_bytes(self.operand()?).into(), 3),
            Marker::Map32 => (u32::from_be_bytes(self.operand()?) as usize, 5),
            other => return Err(self.unexpected("a map", other)),
        };
        self.enter(header, len, 2)
    }

    /// Takes a whole value of any kind and returns its packed form.
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.position;
        if let Err(error) = self.skip_nested(MAX_DEPTH) {
            self.position = start;
            return Err(error);
        }
        Ok(&self.input[start..self.position])
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), DecodeError> {
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep { at: self.position })?;
        let marker = self.marker()?;
        match kind(marker) {
            Kind::Nil => _ = self.nil()?,
            Kind::Bool => _ = self.bool()?,
            Kind::Int => _ = self.int()?,
            Kind::Raw => _ = self.raw()?,
            Kind::Array => {
                for _ in 0..self.array()? {
                    self.skip_nested(depth)?;
                }
            }
            Kind::Map => {
                for _ in 0..self.map()? {
                    self.skip_nested(depth)?;
                    self.skip_nested(depth)?;
                }
            }
            Kind::Float if self.floats => _ = self.float()?,
            Kind::Float | Kind::Other => return Err(self.unexpected("a value that borg writes", marker)),
        }
        Ok(())
    }

    /// Moves behind a header, if the rest is long enough for `len` members.
    fn enter(&mut self, header: usize, len: usize, bytes_each: usize) -> Result<usize, DecodeError> {
        let rest = self.input.len() - self.position - header;
        if len.checked_mul(bytes_each).is_none_or(|least| least > rest) {
            return Err(DecodeError::Truncated { at: self.input.len() });
        }
        self.position += header;
        Ok(len)
    }

    fn marker(&self) -> Result<Marker, DecodeError> {
        let byte = self.input.get(self.position).ok_or(DecodeError::Truncated { at: self.input.len() })?;
        Ok(Marker::from_u8(*byte))
    }

    /// The bytes between the marker and the value's content.
    fn operand<const LEN: usize>(&self) -> Result<[u8; LEN], DecodeError> {
        let rest = &self.input[self.position + 1..];
        rest.first_chunk().copied().ok_or(DecodeError::Truncated { at: self.input.len() })
    }

    fn unexpected(&self, expected: &'static str, found: Marker) -> DecodeError {
        DecodeError::Unexpected { at: self.position, expected, found: kind(found) }
    }
}

pub(super) fn kind(marker: Marker) -> Kind {
    match marker {
        Marker::Null => Kind::Nil,
        Marker::True | Marker::False => Kind::Bool,
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::U64
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => Kind::Int,
        Marker::F32 | Marker::F64 => Kind::Float,
        Marker::FixStr(_)
        | Marker::Str8
        | Marker::Str16
        | Marker::Str32
        | Marker::Bin8
        | Marker::Bin16
        | Marker::Bin32 => Kind::Raw,
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => Kind::Array,
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => Kind::Map,
        _ => Kind::Other,
    }
}

/// Body of a fuzz target: whatever the bytes are, decoding ends, stays inside them, and a value is re-read alike.
pub fn fuzz_decode(bytes: &[u8]) {
    let mut decoder = Decoder::new(bytes);
    if let Ok(packed) = decoder.skip() {
        assert_eq!(packed.len(), decoder.position());
        let Ok(value) = super::Value::decode(&mut Decoder::new(packed)) else {
            return assert!(packed.len() > super::Value::MAX_LEN, "what can be skipped can be read");
        };
        let mut encoder = super::Encoder::new();
        value.encode(&mut encoder);
        let again = encoder.finish();
        assert_eq!(super::Value::decode(&mut Decoder::new(&again)), Ok(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_without_bytes_behind_it_is_truncated_and_allocates_nothing() {
        for packed in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff\x01",
            b"\xdb\xff\xff\xff\xffabc",
            b"\xda\x00",
            b"\x92\x01",
        ] {
            let mut decoder = Decoder::new(packed);
            assert_eq!(decoder.skip(), Err(DecodeError::Truncated { at: packed.len() }), "{packed:02x?}");
            assert_eq!(decoder.position(), 0);
        }
    }

    #[test]
    fn nesting_ends_at_sixteen() {
        let deep = |levels: usize| [vec![0x91; levels - 1], vec![0x01]].concat();
        assert!(Decoder::new(&deep(16)).skip().is_ok());
        assert_eq!(Decoder::new(&deep(17)).skip(), Err(DecodeError::TooDeep { at: 16 }));
    }

    #[test]
    fn a_value_of_another_kind_is_named_and_left_in_place() {
        let mut decoder = Decoder::new(b"\xa3abc");
        let error = decoder.int().unwrap_err();
        assert_eq!(error.to_string(), "expected an integer at byte 0, found a string");
        assert_eq!(decoder.raw(), Ok(&b"abc"[..]));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn integers_that_do_not_fit_are_refused() {
        assert_eq!(Decoder::new(b"\xcd\x01\x00").int_as::<u8>(), Err(DecodeError::OutOfRange { at: 0 }));
        assert_eq!(Decoder::new(b"\xff").int_as::<u64>(), Err(DecodeError::OutOfRange { at: 0 }));
        assert_eq!(Decoder::new(b"\xff").int_as::<i64>(), Ok(-1));
    }

    #[test]
    fn floats_are_read_where_they_are_asked_for() {
        let packed = b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xca\x3f\x00\x00\x00\x01";
        let mut decoder = Decoder::new(packed);
        assert!(decoder.skip().is_err(), "nothing that is stored holds one");
        assert_eq!([decoder.float(), decoder.float(), decoder.float()], [Ok(0.1), Ok(0.5), Ok(1.0)]);
        assert_eq!(Decoder::with_floats(packed).skip(), Ok(&packed[..9]));
        for len in 0..9 {
            assert_eq!(Decoder::new(&packed[..len]).float(), Err(DecodeError::Truncated { at: len }));
        }
    }

    #[test]
    fn bin_and_str8_are_read_though_never_written() {
        assert_eq!(Decoder::new(b"\xc4\x02hi").raw(), Ok(&b"hi"[..]));
        assert_eq!(Decoder::new(b"\xd9\x02hi").raw(), Ok(&b"hi"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz_decode(&bytes);
        }
    }
}
