//! The index as a file, `index.<T>`.
//!
//! A header of 18 bytes, then the buckets as they are:
//!
//! | bytes  | field       | encoding   | meaning                                 |
//! |--------|-------------|------------|-----------------------------------------|
//! | 0..8   | magic       | `BORG_IDX` |                                         |
//! | 8..12  | num_entries | i32 LE     | buckets in use                          |
//! | 12..16 | num_buckets | i32 LE     | all buckets; the file's length fits it  |
//! | 16     | key_size    | i8         | 32                                      |
//! | 17     | value_size  | i8         | 8                                       |
//!
//! Source: borg 1.4 `_hashindex.c`, `HashHeader`.

use std::sync::mpsc;
use std::thread;

use worldkeeper_core::disk::DiskFile;
use worldkeeper_core::{DiskError, PIECE, Pieces};

use super::{BUCKET_LEN, Bucket, EMPTY, Index, SIZES, is_used, least_empty, mark, upper_limit};
use crate::integrity::{Digester, Digests};

pub(super) const HEADER_LEN: usize = 18;

const MAGIC: [u8; 8] = *b"BORG_IDX";
const SIZES_OF_KEY_AND_VALUE: [u8; 2] = [32, 8];

/// What a hole in the file reads as. No bucket is like that: it would say that an entry begins where a segment's magic
/// stands.
const HOLE: Bucket = [0; BUCKET_LEN];

/// Name of the digest that covers the header alone.
const HEADER_PART: &str = "HashHeader";

/// Why a file is no index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// It cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its first bytes are not those of a repository index.
    #[error("the header is none of a repository index")]
    Header,
    /// It is longer or shorter than its header says.
    #[error("it has {found} bytes, expected {expected}")]
    Length { expected: u64, found: u64 },
    /// Some of it was never written.
    #[error("there is a hole in it")]
    Hole,
    /// It holds more or fewer entries than its header says.
    #[error("it holds {found} entries, expected {expected}")]
    Entries { expected: usize, found: usize },
    /// It is not what was written.
    #[error("the digest of its {0} does not match")]
    Digest(&'static str),
}

impl Index {
    /// Writes the index to `file`, and digests it under the name it will have.
    pub(crate) fn save(&self, file: &mut dyn DiskFile, name: &str) -> Result<Digests, DiskError> {
        let mut digester = Digester::new(name);
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&(self.entries as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(self.buckets.len() as u32).to_le_bytes());
        header[16..].copy_from_slice(&SIZES_OF_KEY_AND_VALUE);
        digester.update(&header);
        file.append(&header)?;
        digester.finish_part(HEADER_PART);
        for piece in self.buckets.pieces() {
            digester.update(piece.as_flattened());
            file.append(piece.as_flattened())?;
        }
        Ok(digester.finish())
    }

    /// Reads the index from `file`; `digests` are what was noted when it was written, if anything was.
    pub(crate) fn load(file: &dyn DiskFile, name: &str, digests: Option<&Digests>) -> Result<Self, IndexError> {
        let mut digester = Digester::new(name);
        let mut header = [0; HEADER_LEN];
        if file.read_at(&mut header, 0)? < HEADER_LEN || header[..8] != MAGIC || header[16..] != SIZES_OF_KEY_AND_VALUE
        {
            return Err(IndexError::Header);
        }
        digester.update(&header);
        digester.finish_part(HEADER_PART);
        let number = |at: usize| i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (Ok(expected), Ok(count)) = (usize::try_from(number(8)), usize::try_from(number(12))) else {
            return Err(IndexError::Header);
        };
        if count == 0 {
            return Err(IndexError::Header);
        }
        // The file must really have the buckets. That it is so long is not enough: a hole in it takes no space on the
        // disk, but would in memory, so room is taken only as far as there is something to fill it with.
        let (len, found) = ((HEADER_LEN + count * BUCKET_LEN) as u64, file.len()?);
        if found != len {
            return Err(IndexError::Length { expected: len, found });
        }
        let mut index = Self { buckets: Pieces::new(), entries: 0, empty: 0 };
        read_ahead(file, count, |piece| {
            digester.update(piece.as_flattened());
            for bucket in &piece {
                match mark(bucket) {
                    EMPTY => index.empty += 1,
                    0 if *bucket == HOLE => return Err(IndexError::Hole),
                    _ => index.entries += usize::from(is_used(bucket)),
                }
            }
            index.buckets.push_piece(piece);
            Ok(())
        })?;
        if let Some(wrong) = digests.and_then(|digests| digests.mismatch(&digester.finish())) {
            return Err(IndexError::Digest(wrong));
        }
        if index.entries != expected {
            return Err(IndexError::Entries { expected, found: index.entries });
        }
        index.loosen();
        Ok(index)
    }

    /// Rebuilds a table that some other program filled more than stock and we do: searches in it would be slow.
    fn loosen(&mut self) {
        if self.empty <= least_empty(self.buckets.len()) || self.entries > upper_limit(self.buckets.len()) + 1 {
            let fits = |size: &&u32| upper_limit(**size as usize) >= self.entries;
            let size = SIZES.iter().find(fits).map_or(self.buckets.len() * 2, |size| *size as usize);
            self.resize(size);
        }
    }
}

/// So many buckets are not worth a thread.
const FEW: usize = if cfg!(test) { PIECE } else { 32 * PIECE };

/// Reads so many buckets and gives `take` one piece after the other. Where there are many, a thread of its own reads the
/// next meanwhile: to find room for them takes as long as to look at them.
fn read_ahead(
    file: &dyn DiskFile,
    count: usize,
    mut take: impl FnMut(Vec<Bucket>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let read = |first: usize| {
        let offset = (HEADER_LEN + first * BUCKET_LEN) as u64;
        let mut piece = vec![HOLE; PIECE.min(count - first)];
        let bytes = piece.as_flattened_mut();
        let read = file.read_at(bytes, offset)?;
        if read < bytes.len() {
            let expected = (HEADER_LEN + count * BUCKET_LEN) as u64;
            return Err(IndexError::Length { expected, found: offset + read as u64 });
        }
        Ok(piece)
    };
    if count <= FEW {
        return (0..count).step_by(PIECE).try_for_each(|first| take(read(first)?));
    }
    thread::scope(|scope| {
        let (pieces_in, pieces) = mpsc::sync_channel(1);
        let work = move || {
            let pieces = (0..count).step_by(PIECE).map(read);
            // Nobody takes the rest if there is something wrong with one.
            let _ = pieces.map(|piece| pieces_in.send(piece)).take_while(Result::is_ok).count();
        };
        let thread = thread::Builder::new().name("index reader".to_owned());
        thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        pieces.into_iter().try_for_each(|piece| take(piece?))
    })
}
