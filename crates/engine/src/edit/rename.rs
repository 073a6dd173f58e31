//! Gives an archive another name.

use std::sync::{PoisonError, RwLock};

use worldkeeper_archive::{ArchiveEntry, ArchiveMetadata, ArchiveName, Operation};

use super::{EditError, original, release, require_free, store_metadata};
use crate::monitor::Monitor;
use crate::session::Session;

/// Gives an archive another name. Its content is not touched; its id changes, for the name is part of what it names.
pub fn rename(
    session: &mut Session,
    name: &ArchiveName,
    new_name: &ArchiveName,
    monitor: &dyn Monitor,
) -> Result<(), EditError> {
    session.require_trust()?;
    session.require_feature(Operation::Check)?;
    let (info, archive) = original(session, name)?;
    require_free(session, new_name)?;
    let index = RwLock::new(session.take_index(monitor)?);
    let mut change = session.begin()?;
    let metadata = ArchiveMetadata { name: new_name.clone(), ..archive.metadata };
    let stored = store_metadata(session, &metadata, &mut change, &index)?;
    // All that the old one refers to, the new one does too.
    release(&info.id, &mut change, &index)?;
    change.manifest.archives.remove(name);
    change.manifest.archives.insert(new_name.clone(), ArchiveEntry { id: stored.id, time: info.time });
    let committed = change.commit(session)?;
    let index = index.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(session.committed(committed, index, monitor)?)
}
