//! Archives that are changed after the fact.
//!
//! An archive is never changed: a new one is made that takes its place, and one commit makes the new one be there and the
//! old one not. What is made anew is signed with our key, so only what proves our key is changed.

mod content;
mod recreate;
mod rename;

use std::sync::RwLock;

use worldkeeper_archive::{ArchiveMetadata, ArchiveName, ChunkRef};
use worldkeeper_compress::Compression;
use worldkeeper_core::ChunkId;

use crate::cache::ChunkIndex;
use crate::create::{self, CreateStats};
use crate::patterns::PatternTooSlow;
use crate::random;
use crate::session::{ArchiveInfo, Change, OpenArchive, Session, SessionError};

pub use recreate::{Recompress, RecreateOptions, RecreateStats, Recreater, is_temporary};
pub use rename::rename;

/// Why an archive was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// No archive has this name.
    #[error("there is no archive {0}")]
    NoSuchArchive(ArchiveName),
    /// There is one of the name that was to be given.
    #[error("there is already an archive {0}")]
    NameTaken(ArchiveName),
    /// Anybody may have made it, and signed by us it would look like ours.
    #[error("archive {0} is not authenticated, and must not become so by being changed")]
    Unauthenticated(ArchiveName),
    /// Whether an item is meant is not found out.
    #[error(transparent)]
    Pattern(#[from] PatternTooSlow),
    /// The repository, or what is in it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Opens the archive that is to be changed.
fn original(session: &Session, name: &ArchiveName) -> Result<(ArchiveInfo, OpenArchive), EditError> {
    let info = session.archive_info(name).ok_or_else(|| EditError::NoSuchArchive(name.clone()))?;
    let archive = session.open_archive(&info)?;
    if !archive.is_authenticated && session.requires_tam() {
        return Err(EditError::Unauthenticated(name.clone()));
    }
    Ok((info, archive))
}

/// Requires that no archive has a name.
fn require_free(session: &Session, name: &ArchiveName) -> Result<(), EditError> {
    match session.archive_info(name) {
        Some(_) => Err(EditError::NameTaken(name.clone())),
        None => Ok(()),
    }
}

/// Stores an archive's metadata, signed anew.
fn store_metadata(
    session: &Session,
    metadata: &ArchiveMetadata,
    change: &mut Change<'_>,
    index: &RwLock<ChunkIndex>,
) -> Result<ChunkRef, SessionError> {
    let mut salt = [0; 64];
    random::fill(&mut salt)?;
    let packed = metadata.encode(session.key(), &salt);
    let mut sealer = session.sealer(Compression::default());
    create::store(&packed, session.key(), &mut sealer, change, index, &mut CreateStats::default())
}

/// Takes a reference away, and the object with the last one.
fn release(id: &ChunkId, change: &mut Change<'_>, index: &RwLock<ChunkIndex>) -> Result<(), SessionError> {
    if create::write(index).release(id) {
        change.delete(*id)?;
    }
    Ok(())
}
