//! Packs a value anew that somebody else has packed.

use super::decode::{DecodeError, Decoder, Kind, MAX_DEPTH};
use super::encode::Encoder;

/// Takes the next value and writes it as stock does when it packs what it has unpacked: everything in its smallest form, on
/// every level the keys of maps sorted, and of those that are equal the last one.
///
/// No tree is made of it, as [`Value`](super::Value) is one: that would take thirty times the memory.
pub fn canonical(decoder: &mut Decoder<'_>, encoder: &mut Encoder) -> Result<(), DecodeError> {
    write(decoder, encoder, MAX_DEPTH)
}

fn write(decoder: &mut Decoder<'_>, encoder: &mut Encoder, depth: u32) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep { at: decoder.position() })?;
    match decoder.peek()? {
        Kind::Nil => {
            decoder.nil()?;
            encoder.nil();
        }
        Kind::Bool => _ = encoder.bool(decoder.bool()?),
        Kind::Int => _ = encoder.any_int(decoder.int()?),
        Kind::Raw => _ = encoder.raw(decoder.raw()?),
        Kind::Array => {
            let len = decoder.array()?;
            encoder.array(len);
            for _ in 0..len {
                write(decoder, encoder, depth)?;
            }
        }
        Kind::Map => {
            let pairs = sorted(decoder)?;
            encoder.map(pairs.len());
            for pair in pairs {
                write(&mut Decoder::new(pair.key), encoder, depth)?;
                write(&mut Decoder::new(pair.value), encoder, depth)?;
            }
        }
        Kind::Float | Kind::Other => {
            decoder.skip()?;
            unreachable!("skip refuses what borg does not write")
        }
    }
    Ok(())
}

/// A key and its value, both packed.
struct Pair<'a> {
    /// The key, if it is a string.
    name: Option<&'a [u8]>,
    key: &'a [u8],
    value: &'a [u8],
}

fn sorted<'a>(decoder: &mut Decoder<'a>) -> Result<Vec<Pair<'a>>, DecodeError> {
    let len = decoder.map()?;
    if len > MAX_PAIRS {
        return Err(DecodeError::TooMany { limit: MAX_PAIRS });
    }
    let mut pairs = Vec::new();
    for _ in 0..len {
        pairs.push(Pair { name: decoder.clone().raw().ok(), key: decoder.skip()?, value: decoder.skip()? });
    }
    // Stable, and of keys that are equal the last one stays.
    pairs.sort_by_key(|pair| pair.name);
    pairs.reverse();
    pairs.dedup_by(|later, first| later.key == first.key || (later.name.is_some() && later.name == first.name));
    pairs.reverse();
    Ok(pairs)
}

/// No map has more that somebody else has packed into an item: most are the extended attributes of a file, of which Linux
/// lists 64 KiB.
const MAX_PAIRS: usize = 65_536;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Value;
    use super::*;

    fn of(packed: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut encoder = Encoder::new();
        canonical(&mut Decoder::new(packed), &mut encoder).map(|()| encoder.finish())
    }

    #[test]
    fn everything_takes_its_smallest_form() {
        assert_eq!(
            of(b"\xdc\x00\x03\xcc\x05\xd9\x01a\xd3\xff\xff\xff\xff\xff\xff\xff\xff").unwrap(),
            b"\x93\x05\xa1a\xff"
        );
        assert_eq!(of(b"\x92\xc0\xc3").unwrap(), b"\x92\xc0\xc3");
    }

    #[test]
    fn keys_are_sorted_on_every_level_and_the_last_of_equal_ones_stays() {
        let packed = b"\x83\xa1b\x82\xa1y\x01\xa1x\x02\xa1a\x03\xd9\x01b\x04";
        assert_eq!(of(packed).unwrap(), b"\x82\xa1a\x03\xa1b\x04");
        assert_eq!(of(b"\x91\x82\xa1y\x01\xa1x\x02").unwrap(), b"\x91\x82\xa1x\x02\xa1y\x01");
        // What is no string comes first, in its order.
        assert_eq!(of(b"\x84\xa1a\x01\x07\x02\x06\x03\x06\x04").unwrap(), b"\x83\x07\x02\x06\x04\xa1a\x01");
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        let many = [&b"\xdf\x00\x01\x00\x01"[..], &vec![0xc0; 2 * (MAX_PAIRS + 1)]].concat();
        assert_eq!(of(&many), Err(DecodeError::TooMany { limit: MAX_PAIRS }));
        let deep = |levels: usize| [vec![0x91; levels - 1], vec![0x01]].concat();
        assert!(of(&deep(16)).is_ok());
        assert_eq!(of(&deep(17)), Err(DecodeError::TooDeep { at: 16 }));
        for packed in [&b"\xcb\0\0\0\0\0\0\0\0"[..], b"\x92\x01", b"\x81\xa1a", b""] {
            assert!(of(packed).is_err(), "{packed:02x?}");
        }
    }

    proptest! {
        /// What can be read has such a form, which is the same value, and is its own.
        #[test]
        fn its_form_is_its_own(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut decoder = Decoder::new(&bytes);
            let packed = decoder.skip();
            prop_assert_eq!(of(&bytes).is_ok(), packed.is_ok());
            if let Ok(packed) = packed {
                let once = of(packed).unwrap();
                prop_assert_eq!(of(&once), Ok(once.clone()));
                prop_assert!(Value::decode(&mut Decoder::new(&once)).is_ok());
            }
        }
    }
}
