//! How much a repository holds, and each of its archives: the figures of `borg info`.
//!
//! Source: borg 1.4 `cache.py`, `CacheStatsMixin.stats`; `archive.py`, `Archive._calc_stats`.

use std::collections::HashMap;

use worldkeeper_core::{ChunkId, MAX_DATA_SIZE};

use crate::monitor::Monitor;
use crate::session::{ArchiveInfo, OpenArchive, Session, SessionError};

/// What all archives refer to, in bytes and chunks. What an archive refers to that cannot be read is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepositoryStats {
    /// The content of all files of all archives.
    pub size: u64,
    /// Its objects, as often as files refer to them.
    pub csize: u64,
    /// All chunks once, those that archives are made of too.
    pub unique_size: u64,
    /// Their objects.
    pub unique_csize: u64,
    /// How many chunks there are.
    pub unique_chunks: u64,
    /// How many references.
    pub chunks: u64,
}

/// What one archive refers to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArchiveStats {
    /// Regular files with content of their own.
    pub files: u64,
    /// The bytes of their content.
    pub size: u64,
    /// The bytes of their objects.
    pub csize: u64,
    /// The bytes of those objects that no other archive refers to: what goes with the archive.
    pub unique_csize: u64,
    /// The share of what an archive's own object may be long; it grows with the archive.
    pub max_size_share: f64,
}

/// Sums up what all archives refer to.
pub fn repository_stats(session: &mut Session, monitor: &dyn Monitor) -> Result<RepositoryStats, SessionError> {
    session.with_index(monitor, |session, index| {
        let mut stats = RepositoryStats::default();
        for chunk in index.iter() {
            stats.unique_size += u64::from(chunk.size);
            stats.unique_csize += u64::from(chunk.csize);
            stats.unique_chunks += 1;
            stats.chunks += u64::from(chunk.references);
        }
        for archive in session.archives() {
            let counted = session.open_archive(&archive).and_then(|open| Contents::of(session, &open));
            match counted {
                Ok(contents) => {
                    stats.size += contents.size;
                    stats.csize += contents.csize;
                }
                // The index, which lacks it, has said so.
                Err(SessionError::Archive(_) | SessionError::Object(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stats)
    })
}

/// What is in the files of an archive.
pub(crate) struct Contents {
    pub(crate) files: u64,
    pub(crate) size: u64,
    csize: u64,
}

impl Contents {
    /// What the archive says itself; archives of borg before 1.2 do not, and their items are counted.
    pub(crate) fn of(session: &Session, open: &OpenArchive) -> Result<Self, SessionError> {
        let metadata = &open.metadata;
        if let (Some(files), Some(size), Some(csize)) = (metadata.nfiles, metadata.size, metadata.csize) {
            return Ok(Self { files, size, csize });
        }
        let mut contents = Self { files: 0, size: 0, csize: 0 };
        for item in session.items(open) {
            session.check_stop()?;
            let item = item?;
            // Part files repeat what the whole file has.
            let Some(chunks) = item.chunks.filter(|_| item.part.is_none()) else { continue };
            contents.files += 1;
            contents.size += chunks.iter().map(|chunk| u64::from(chunk.size)).sum::<u64>();
            contents.csize += chunks.iter().map(|chunk| u64::from(chunk.csize)).sum::<u64>();
        }
        Ok(contents)
    }
}

/// Sums up what one archive refers to. Its own object and the list of its items do not count, as in borg since 1.4.
pub fn archive_stats(
    session: &mut Session,
    archive: &ArchiveInfo,
    open: &OpenArchive,
    monitor: &dyn Monitor,
) -> Result<ArchiveStats, SessionError> {
    session.with_index(monitor, |session, index| {
        let mut references: HashMap<ChunkId, u32> = HashMap::new();
        for item in session.items(open) {
            session.check_stop()?;
            for chunk in item?.chunks.into_iter().flatten() {
                *references.entry(chunk.id).or_default() += 1;
            }
        }
        let unique = references.iter().filter_map(|(id, count)| {
            index.get(id).filter(|chunk| chunk.references == *count).map(|chunk| u64::from(chunk.csize))
        });
        let Contents { files, size, csize } = Contents::of(session, open)?;
        let object = index.get(&archive.id).map_or(0, |chunk| chunk.csize);
        Ok(ArchiveStats {
            files,
            size,
            csize,
            unique_csize: unique.sum(),
            max_size_share: f64::from(object) / MAX_DATA_SIZE as f64,
        })
    })
}
