//! The bytes of one log entry.

use worldkeeper_core::{ChunkId, MAX_DATA_SIZE};

/// Largest entry, header included: 20 MiB. Readers refuse what claims to be longer.
///
/// Source: borg 1.4 `constants.py`, `MAX_OBJECT_SIZE`.
pub(crate) const MAX_ENTRY_SIZE: u32 = 20 * 1024 * 1024;

/// A whole COMMIT entry; it has no content, so it is the same wherever it stands.
pub(crate) const COMMIT: [u8; Header::LEN] = [
    0x40, 0xf4, 0x3c, 0x25, // crc
    0x09, 0x00, 0x00, 0x00, // size
    0x02, // tag
];

const _: () = assert!(MAX_DATA_SIZE == MAX_ENTRY_SIZE as usize - PutHeader::LEN);

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Stores an object.
    Put = 0,
    /// Takes an object away.
    Delete = 1,
    /// Makes valid all that stands before it.
    Commit = 2,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// An object is stored; its bytes follow the [`PutHeader`].
    Put(ChunkId),
    /// An object is taken away.
    Delete(ChunkId),
    /// What was written up to here is valid.
    Commit,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    /// The file is no segment, or its first bytes are damaged.
    #[error("it does not begin like a segment")]
    Magic,
    /// The index could not say where this is.
    #[error("no entry can begin so far into a segment")]
    TooFar,
    /// The file ends first.
    #[error("the file ends {missing} bytes before the log entry does")]
    Truncated { missing: u64 },
    /// A length no entry of this kind has.
    #[error("a log entry with tag {tag} cannot be {size} bytes long")]
    Size { tag: u8, size: u32 },
    /// An unknown tag.
    #[error("log entry has tag {0}, expected PUT, DELETE or COMMIT")]
    Tag(u8),
    /// The bytes have changed since they were written.
    #[error("the checksum of the log entry does not match its bytes")]
    Checksum,
    /// An object of another id, or no object at all.
    #[error("the log entry is no PUT of object {0}")]
    NotThisObject(ChunkId),
}

/// What every entry begins with.
///
/// | bytes | field | encoding | meaning                               |
/// |-------|-------|----------|---------------------------------------|
/// | 0..4  | crc   | u32 LE   | CRC-32 of all bytes of the entry from 4 |
/// | 4..8  | size  | u32 LE   | whole entry in bytes, header included |
/// | 8     | tag   | u8       | 0 = PUT, 1 = DELETE, 2 = COMMIT       |
///
/// Source: borg 1.4 `repository.py`, `LoggedIO.header_fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) crc: u32,
    /// In bytes; fits the tag, checked by [`Header::decode`].
    pub(crate) size: u32,
    pub(crate) tag: Tag,
}

impl Header {
    pub(crate) const LEN: usize = 9;

    /// Decodes a header; the checksum is not verified here.
    pub(crate) fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, EntryError> {
        let [c0, c1, c2, c3, s0, s1, s2, s3, tag] = *bytes;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let (tag, sizes) = match tag {
            0 => (Tag::Put, PutHeader::LEN as u32..=MAX_ENTRY_SIZE),
            1 => (Tag::Delete, PutHeader::LEN as u32..=PutHeader::LEN as u32),
            2 => (Tag::Commit, Self::LEN as u32..=Self::LEN as u32),
            other => return Err(EntryError::Tag(other)),
        };
        if !sizes.contains(&size) {
            return Err(EntryError::Size { tag: tag as u8, size });
        }
        Ok(Self { crc: u32::from_le_bytes([c0, c1, c2, c3]), size, tag })
    }
}

/// What PUT and DELETE begin with: a [`Header`] and the object's id.
///
/// | bytes | field  | encoding | meaning          |
/// |-------|--------|----------|------------------|
/// | 0..9  | header | [`Header`] |                |
/// | 9..41 | id     | 32 bytes | the object's key |
///
/// Source: borg 1.4 `repository.py`, `LoggedIO.put_header_fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PutHeader {
    pub(crate) header: Header,
    pub(crate) id: ChunkId,
}

impl PutHeader {
    pub(crate) const LEN: usize = Header::LEN + 32;

    /// Encodes what stands before the bytes of a PUT; `data` is at most `MAX_DATA_SIZE` bytes.
    pub(crate) fn encode_put(id: ChunkId, data: &[u8]) -> [u8; Self::LEN] {
        debug_assert!(data.len() <= MAX_DATA_SIZE);
        Self::encode(Tag::Put, id, data)
    }

    /// Encodes a whole DELETE entry.
    pub(crate) fn encode_delete(id: ChunkId) -> [u8; Self::LEN] {
        Self::encode(Tag::Delete, id, &[])
    }

    fn encode(tag: Tag, id: ChunkId, data: &[u8]) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[4..8].copy_from_slice(&((Self::LEN + data.len()) as u32).to_le_bytes());
        bytes[8] = tag as u8;
        bytes[9..].copy_from_slice(&id.0);
        let crc = checksum([&bytes[4..], data]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes the header of the PUT that is expected to store `id`; the checksum is not verified here.
    pub(crate) fn decode_put(bytes: &[u8], id: &ChunkId) -> Result<Self, EntryError> {
        let Some((head, key)) = bytes.split_first_chunk() else {
            return Err(EntryError::Truncated { missing: (Self::LEN - bytes.len()) as u64 });
        };
        let header = Header::decode(head)?;
        let Some(key) = key.first_chunk() else {
            return Err(EntryError::Truncated { missing: (Self::LEN - bytes.len()) as u64 });
        };
        if header.tag != Tag::Put || ChunkId(*key) != *id {
            return Err(EntryError::NotThisObject(*id));
        }
        Ok(Self { header, id: *id })
    }

    /// Verifies the checksum over the header and the object's bytes.
    pub(crate) fn verify(&self, data: &[u8]) -> Result<(), EntryError> {
        let mut fields = [0; 5];
        fields[..4].copy_from_slice(&self.header.size.to_le_bytes());
        fields[4] = self.header.tag as u8;
        let matches = checksum([&fields, &self.id.0, data]) == self.header.crc;
        if matches { Ok(()) } else { Err(EntryError::Checksum) }
    }
}

/// Decodes a whole entry, `header.size` bytes long, and verifies its checksum.
pub(crate) fn decode(header: Header, entry: &[u8]) -> Result<Body, EntryError> {
    if checksum([&entry[4..]]) != header.crc {
        return Err(EntryError::Checksum);
    }
    let id = || {
        let id = entry[Header::LEN..].first_chunk().expect("the header's size was checked against its tag");
        ChunkId(*id)
    };
    Ok(match header.tag {
        Tag::Put => Body::Put(id()),
        Tag::Delete => Body::Delete(id()),
        Tag::Commit => Body::Commit,
    })
}

fn checksum<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Result<Header, EntryError> {
        Header::decode(bytes[..9].try_into().unwrap())
    }

    #[test]
    fn a_commit_is_the_constant_that_stock_writes() {
        let decoded = header(&COMMIT).unwrap();
        assert_eq!(decoded, Header { crc: 0x253c_f440, size: 9, tag: Tag::Commit });
        assert_eq!(decode(decoded, &COMMIT), Ok(Body::Commit));
    }

    #[test]
    fn a_put_reads_back_and_notices_every_flipped_bit() {
        let id = ChunkId([7; 32]);
        let entry = [&PutHeader::encode_put(id, b"abc")[..], b"abc"].concat();
        let put = PutHeader::decode_put(&entry, &id).unwrap();
        assert_eq!(put.header.size, 44);
        assert_eq!(put.verify(b"abc"), Ok(()));
        assert_eq!(decode(put.header, &entry), Ok(Body::Put(id)));
        for bit in 0..entry.len() * 8 {
            let mut flipped = entry.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = PutHeader::decode_put(&flipped, &id).and_then(|put| put.verify(&flipped[41..]));
            assert!(read.is_err(), "bit {bit}");
        }
        for len in 0..41 {
            assert!(PutHeader::decode_put(&entry[..len], &id).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn sizes_must_fit_the_tag() {
        for (tag, size, fits) in [
            (0, 40, false),
            (0, 41, true),
            (0, MAX_ENTRY_SIZE, true),
            (0, MAX_ENTRY_SIZE + 1, false),
            (1, 40, false),
            (1, 41, true),
            (1, 42, false),
            (2, 8, false),
            (2, 9, true),
            (2, 10, false),
        ] {
            let mut bytes = [0; 9];
            bytes[4..8].copy_from_slice(&u32::to_le_bytes(size));
            bytes[8] = tag;
            let decoded = header(&bytes);
            assert_eq!(decoded.is_ok(), fits, "tag {tag}, {size} bytes");
        }
        for tag in 3..=u8::MAX {
            assert_eq!(header(&[0, 0, 0, 0, 41, 0, 0, 0, tag]), Err(EntryError::Tag(tag)));
        }
    }

    #[test]
    fn an_entry_of_another_object_is_not_taken_for_it() {
        let other = ChunkId([8; 32]);
        let entry = PutHeader::encode_put(ChunkId([7; 32]), b"");
        assert_eq!(PutHeader::decode_put(&entry, &other), Err(EntryError::NotThisObject(other)));
        let delete = PutHeader::encode_delete(other);
        assert_eq!(PutHeader::decode_put(&delete, &other), Err(EntryError::NotThisObject(other)));
    }
}
