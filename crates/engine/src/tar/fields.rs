//! The fields of a member's first block, in every format of tar there is: as they stand, before extended records
//! change them. Where they lie: see [`header`](super::header).
//!
//! Source: Python 3.11 `tarfile.py`, `TarInfo.frombuf`, `nti`, `nts`.

use super::header::BLOCK;

/// What the block of a header says.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub name: Vec<u8>,
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    /// Of what follows in the tar, in bytes.
    pub size: u64,
    /// In seconds.
    pub mtime: i64,
    /// Kind of member; `S` has a map of its data in this block.
    pub kind: u8,
    pub link: Vec<u8>,
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    pub device: (u32, u32),
}

impl Fields {
    /// Decodes a block that is not empty; or says what is wrong with it.
    pub(super) fn decode(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let sum = number(&block[148..156]).ok_or("its checksum is no number")?;
        let without = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
        let unsigned: i64 = without().map(|byte| i64::from(*byte)).sum();
        // Some old ones added up signed bytes.
        let signed: i64 = without().map(|byte| i64::from(byte.cast_signed())).sum();
        if sum != unsigned && sum != signed {
            return Err("its checksum is wrong");
        }
        let is_posix = block[257..263] == *b"ustar\0";
        let prefix = match &block[508..] {
            b"tar\0" => &block[345..476],
            _ => &block[345..500],
        };
        let mut name = text(&block[0..100]).to_vec();
        if is_posix && prefix[0] != 0 {
            name = [text(prefix), b"/", &name].concat();
        }
        let has_device = matches!(block[156], b'3' | b'4');
        let device = |bytes: &[u8]| match number(bytes) {
            _ if !has_device => Ok(0),
            value => value.and_then(|value| u32::try_from(value).ok()).ok_or("its device number is none"),
        };
        Ok(Self {
            name,
            // Old ones put the type in, too.
            mode: (number(&block[100..108]).ok_or("its mode is no number")? & 0o7777) as u32,
            uid: number(&block[108..116]).ok_or("its owner is no number")?,
            gid: number(&block[116..124]).ok_or("its group is no number")?,
            size: size(&block[124..136])?,
            mtime: number(&block[136..148]).ok_or("its time is no number")?,
            kind: block[156],
            link: text(&block[157..257]).to_vec(),
            user: text(&block[265..297]).to_vec(),
            group: text(&block[297..329]).to_vec(),
            device: (device(&block[329..337])?, device(&block[337..345])?),
        })
    }
}

/// A number of bytes.
pub(super) fn size(field: &[u8]) -> Result<u64, &'static str> {
    number(field).and_then(|size| u64::try_from(size).ok()).ok_or("its size is no number of bytes")
}

/// What stands before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces, nothing for zero; or big-endian bytes behind 0x80 or 0xff.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if let 0x80 | 0xff = first {
        let start: i128 = if *first == 0xff { -1 } else { 0 };
        // No field is longer than twelve bytes.
        let value = rest.iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
        return i64::try_from(value).ok();
    }
    let digits = str::from_utf8(text(field)).ok()?.trim();
    if digits.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::super::header::{Header, Kind};
    use super::*;

    fn block() -> [u8; BLOCK] {
        let header = Header {
            name: b"a/b",
            kind: Kind::CharacterDevice,
            mode: 0o4644,
            uid: -2,
            gid: 4_000_000_000,
            size: 1 << 40,
            mtime: -1,
            link: b"l",
            user: b"u",
            group: b"g",
            device: Some((1, 3)),
        };
        header.encode().try_into().unwrap()
    }

    #[test]
    fn what_a_header_says() {
        let fields = Fields::decode(&block()).unwrap();
        assert_eq!((&fields.name[..], fields.mode, fields.uid, fields.gid), (&b"a/b"[..], 0o4644, -2, 4_000_000_000));
        assert_eq!((fields.size, fields.mtime, fields.kind, fields.device), (1 << 40, -1, b'3', (1, 3)));
        assert_eq!((&fields.link[..], &fields.user[..], &fields.group[..]), (&b"l"[..], &b"u"[..], &b"g"[..]));
    }

    #[test]
    fn a_bit_that_is_not_as_it_was_is_noticed() {
        for bit in 0..BLOCK * 8 {
            let mut block = block();
            block[bit / 8] ^= 1 << (bit % 8);
            // The checksum can be written in several ways: a space is as good as a zero in front, or as the NUL behind.
            if !(148 * 8..156 * 8).contains(&bit) {
                assert!(Fields::decode(&block).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for field in ["12345678", "9", "-", "1 2", "\u{80}"] {
            let number = number(field.as_bytes());
            assert!(number.is_none() || field == "12345678", "{field}: {number:?}");
        }
        assert_eq!(number(b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"  644 \0 "), Some(0o644));
    }
}
