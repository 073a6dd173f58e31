//! A cache as a file.
//!
//! | bytes    | field   | meaning                                                     |
//! |----------|---------|-------------------------------------------------------------|
//! | 0..8     | kind    | which cache it is, and in which form                        |
//! | 8..-32   | content | the cache's own; numbers little-endian                      |
//! | -32..    | digest  | of everything before                                        |
//!
//! The digest is the id hash, under the repository's key, of the id hashes of pieces of [`PIECE_LEN`]: so those are made
//! side by side.
//!
//! It goes through a small buffer either way. What is read cannot be trusted before the digest at the end has been
//! seen, so nothing comes of it until then.

use worldkeeper_core::disk::{DiskError, DiskFile};
use worldkeeper_core::{append, error_text};
use worldkeeper_crypto::{Digester, Key};

use crate::state::{RepositoryState, StateError};

/// The first bytes of a file.
pub(super) type Kind = [u8; 8];

/// A cache of more than this many bytes is not loaded; 10^7 files of a chunk each need half of it.
const MAX_LEN: u64 = 2 << 30;

/// How much has a hash of its own.
const PIECE_LEN: usize = 8 * 1024;

/// How much is read or written at once, in whole pieces.
const BUFFER_LEN: usize = 16 * PIECE_LEN;

const DIGEST_LEN: usize = 32;

/// A cache that is being written.
pub(super) struct CacheWriter<'a> {
    file: &'a mut dyn DiskFile,
    digester: PieceDigester,
    buffer: Vec<u8>,
}

/// Replaces a cache by what `write` puts, durably: all of it or nothing.
pub(super) fn store(
    state: &RepositoryState,
    name: &str,
    key: &Key,
    kind: Kind,
    write: impl FnOnce(&mut CacheWriter<'_>) -> Result<(), DiskError>,
) -> Result<(), StateError> {
    state.write_cache(name, |file| {
        let mut writer = CacheWriter { file, digester: PieceDigester::new(key), buffer: Vec::new() };
        writer.put(&kind)?;
        write(&mut writer)?;
        writer.finish()
    })
}

impl CacheWriter<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        append(&mut self.buffer, bytes);
        if self.buffer.len() >= BUFFER_LEN {
            let whole = self.buffer.len() / PIECE_LEN * PIECE_LEN;
            self.digester.update(&self.buffer[..whole]);
            self.file.append(&self.buffer[..whole])?;
            self.buffer.drain(..whole);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), DiskError> {
        self.digester.update(&self.buffer);
        self.buffer.extend_from_slice(&self.digester.finish());
        self.file.append(&self.buffer)
    }
}

/// The digest of a cache in the making.
struct PieceDigester {
    /// Takes the hashes of pieces.
    whole: Digester,
    /// A piece that nothing came of.
    piece: Digester,
}

impl PieceDigester {
    fn new(key: &Key) -> Self {
        Self { whole: key.id_digester(), piece: key.id_digester() }
    }

    /// Takes the next pieces; only at the end is there one that is not whole.
    fn update(&mut self, bytes: &[u8]) {
        let pieces: Vec<_> = bytes.chunks(PIECE_LEN).collect();
        self.whole.update(self.piece.digest_all(&pieces).as_flattened());
    }

    fn finish(self) -> [u8; DIGEST_LEN] {
        self.whole.finish()
    }
}

/// A cache that is being read.
pub(super) struct CacheReader {
    file: Box<dyn DiskFile>,
    digester: PieceDigester,
    /// Where in the file the next bytes come from that are not in the buffer.
    offset: u64,
    /// Where the digest begins.
    end: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was taken.
    taken: usize,
}

/// Begins to read a cache; `None` if there is none of this kind, `Err` says why it cannot be used.
pub(super) fn open(state: &RepositoryState, name: &str, key: &Key, kind: Kind) -> Result<Option<CacheReader>, String> {
    let path = state.file(name);
    let opened = state.disk().open(&path).and_then(|file| Ok((file.len()?, file)));
    let (len, file) = match opened {
        Err(error) if error.is_not_found() => return Ok(None),
        result => result.map_err(|error| error_text(&error))?,
    };
    if len > MAX_LEN {
        return Err(format!("it has {len} bytes, at most {MAX_LEN} are expected"));
    }
    let end = len.checked_sub(DIGEST_LEN as u64).ok_or(CUT_SHORT)?;
    let digester = PieceDigester::new(key);
    let mut reader = CacheReader { file, digester, offset: 0, end, buffer: Vec::new(), taken: 0 };
    Ok((reader.array()? == kind).then_some(reader))
}

impl CacheReader {
    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.end - self.offset + (self.buffer.len() - self.taken) as u64
    }

    /// The next bytes, as many as the array has.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        if self.buffer.len() - self.taken < N {
            self.fill()?;
        }
        let bytes = *self.buffer[self.taken..].first_chunk().ok_or(CUT_SHORT)?;
        self.taken += N;
        Ok(bytes)
    }

    /// The next `len` bytes; not more than there are.
    pub(super) fn bytes(&mut self, len: u32) -> Result<Vec<u8>, String> {
        if u64::from(len) > self.left() {
            return Err(CUT_SHORT.into());
        }
        (0..len).map(|_| self.array().map(u8::from_le_bytes)).collect()
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_le_bytes)
    }

    /// Requires that all was read, and that it is what was written.
    pub(super) fn finish(self) -> Result<(), String> {
        if self.left() > 0 {
            return Err("there is more in it than there should be".into());
        }
        let mut digest = [0; DIGEST_LEN];
        let read = self.file.read_at(&mut digest, self.end).map_err(|error| error_text(&error))?;
        if read < DIGEST_LEN {
            return Err(CUT_SHORT.into());
        }
        if self.digester.finish() == digest { Ok(()) } else { Err(NO_MATCH.into()) }
    }

    /// Gets more into the buffer.
    fn fill(&mut self) -> Result<(), String> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let (start, more) = (self.buffer.len(), (self.end - self.offset).min(BUFFER_LEN as u64));
        self.buffer.resize(start + more as usize, 0);
        let read = self.file.read_at(&mut self.buffer[start..], self.offset).map_err(|error| error_text(&error))?;
        if read as u64 != more {
            return Err(CUT_SHORT.into());
        }
        self.digester.update(&self.buffer[start..]);
        self.offset += more;
        Ok(())
    }
}

const CUT_SHORT: &str = "it is cut short";
const NO_MATCH: &str = "its content does not match its digest";

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use worldkeeper_core::{Disk as _, RepositoryId};
    use worldkeeper_crypto::EncryptionMode;
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;
    use crate::state::StateDir;

    const KIND: Kind = *b"WKTESTS1";

    fn key() -> Key {
        Key::generate(EncryptionMode::RepokeyBlake2, RepositoryId([7; 32]), &mut |bytes| bytes.fill(0xab))
    }

    /// Reads a cache of numbers.
    fn load(state: &RepositoryState, kind: Kind) -> Result<Option<Vec<u64>>, String> {
        let Some(mut reader) = open(state, "cache", &key(), kind)? else { return Ok(None) };
        let mut numbers = Vec::new();
        while reader.left() > 0 {
            numbers.push(reader.u64()?);
        }
        reader.finish().map(|()| Some(numbers))
    }

    #[test]
    fn a_cache_reads_back_in_any_length_and_a_damaged_one_does_not() {
        let disk = MemoryDisk::new();
        let state_dir = StateDir::open(Arc::new(disk.clone()), Path::new("/state"), "test").unwrap();
        let state = state_dir.repository(RepositoryId([7; 32]));
        assert_eq!(load(&state, KIND), Ok(None));
        let buffer = BUFFER_LEN as u64 / 8;
        let piece = PIECE_LEN as u64 / 8;
        for count in [0, 1, piece - 2, piece - 1, piece, buffer - 2, buffer - 1, buffer, buffer + 1, 3 * buffer] {
            store(&state, "cache", &key(), KIND, |writer| {
                (0..count).try_for_each(|number| writer.put(&number.to_le_bytes()))
            })
            .unwrap();
            assert_eq!(load(&state, KIND), Ok(Some((0..count).collect())));
        }
        assert_eq!(load(&state, *b"WKTESTS2"), Ok(None), "of another form");

        store(&state, "cache", &key(), KIND, |writer| writer.put(&[1; 40])).unwrap();
        let path = state.file("cache");
        let whole = worldkeeper_core::disk::read(&disk, &path, 100).unwrap();
        assert_eq!(whole.len(), 8 + 40 + 32);
        let with = |bytes: &[u8]| {
            disk.remove_file(&path).unwrap();
            disk.create(&path).unwrap().append(bytes).unwrap();
            load(&state, KIND)
        };
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            // What does not begin as it should is of another form.
            assert!(matches!((at < 8, with(&flipped)), (true, Ok(None)) | (false, Err(_))), "byte {at}");
            assert!(with(&whole[..at]).is_err(), "{at} bytes");
        }
        assert!(with(&[&whole[..], b"x"].concat()).is_err());

        let count = 3 * buffer + 100;
        store(&state, "cache", &key(), KIND, |writer| {
            (0..count).try_for_each(|number| writer.put(&number.to_le_bytes()))
        })
        .unwrap();
        let long = worldkeeper_core::disk::read(&disk, &path, 1 << 20).unwrap();
        for piece in [0, 1, 15, 16, 17, 47, 48] {
            let mut flipped = long.clone();
            flipped[piece * PIECE_LEN + 100] ^= 1;
            assert!(with(&flipped).is_err(), "piece {piece}");
        }
        let mut swapped = long.clone();
        swapped[PIECE_LEN..3 * PIECE_LEN].rotate_left(PIECE_LEN);
        assert!(with(&swapped).is_err());
        assert!(with(&long).is_ok());
        assert_eq!(with(&whole), Ok(Some(vec![0x0101_0101_0101_0101; 5])));
    }

    #[test]
    fn no_more_is_read_than_there_is() {
        let disk = MemoryDisk::new();
        let state_dir = StateDir::open(Arc::new(disk), Path::new("/state"), "test").unwrap();
        let state = state_dir.repository(RepositoryId([7; 32]));
        store(&state, "cache", &key(), KIND, |writer| writer.put(b"12345")).unwrap();
        let reader = || open(&state, "cache", &key(), KIND).unwrap().unwrap();
        assert_eq!(reader().bytes(5), Ok(b"12345".to_vec()));
        assert!(reader().bytes(6).is_err());
        assert!(reader().bytes(u32::MAX).is_err());
        assert!(reader().u64().is_err());
        let mut rest = reader();
        assert!(rest.u32().is_ok());
        assert!(rest.finish().is_err(), "a byte is left");
    }
}
