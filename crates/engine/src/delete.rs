//! Takes archives out of a repository, and what only they referred to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveName, Operation};

use crate::monitor::Monitor;
use crate::session::{Session, SessionError};

/// What a delete did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteStats {
    /// Archives that were removed.
    pub archives: u64,
    /// Objects that nothing refers to any more.
    pub objects: u64,
    /// Their stored size in bytes: what a compaction can free.
    pub stored_bytes: u64,
    /// Archives that could not be read. What only they referred to is still there, for a repair to clear away.
    pub unread: u64,
}

/// Why archives could not be deleted; then none was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// No archive has this name.
    #[error("there is no archive {0}")]
    NoSuchArchive(ArchiveName),
    /// A prune met an archive from the future: the clock is wrong, or was, and rules that count time mean nothing.
    #[error("archive {name} is dated {time:.0}, but it is {now:.0}: while the clock is wrong nothing is pruned")]
    FromTheFuture {
        /// The newest archive.
        name: ArchiveName,
        /// When it was begun.
        time: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// The repository, or what is in it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Deletes archives by name, all of them or none. Their space is freed by the next [`compact`](crate::compact()).
///
/// An archive that cannot be read stops the whole, be it one of these or one that stays, where that is not known from
/// before: what it refers to is not known.
pub fn delete(session: &mut Session, names: &[ArchiveName], monitor: &dyn Monitor) -> Result<DeleteStats, DeleteError> {
    remove(session, names, Unread::Refused, monitor)
}

/// As [`delete()`], whatever can be read. An archive that cannot goes from the list and no object goes with it; nor does any
/// as long as there is another one of that kind. [`check`](crate::check()) clears them away.
pub fn force_delete(
    session: &mut Session,
    names: &[ArchiveName],
    monitor: &dyn Monitor,
) -> Result<DeleteStats, DeleteError> {
    remove(session, names, Unread::Forgotten, monitor)
}

/// What becomes of an archive that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    Refused,
    Forgotten,
}

fn remove(
    session: &mut Session,
    names: &[ArchiveName],
    unread: Unread,
    monitor: &dyn Monitor,
) -> Result<DeleteStats, DeleteError> {
    session.require_trust()?;
    session.require_feature(Operation::Delete)?;
    let find = |name: &ArchiveName| session.archive_info(name).ok_or_else(|| DeleteError::NoSuchArchive(name.clone()));
    // A name that is given twice is deleted once.
    let archives: BTreeMap<_, _> =
        names.iter().map(|name| Ok((name, find(name)?))).collect::<Result<_, DeleteError>>()?;

    let mut index = match unread {
        Unread::Refused => session.take_whole_index(monitor)?,
        Unread::Forgotten => session.take_index(monitor)?,
    };
    let mut stats = DeleteStats::default();
    let mut dead = Vec::new();
    for archive in archives.values() {
        stats.archives += 1;
        if unread == Unread::Forgotten {
            // To its end, before anything of it is taken away.
            match session.for_each_reference(archive, &mut |_| {}) {
                Err(SessionError::Archive(_)) => {
                    stats.unread += 1;
                    continue;
                }
                done => done?,
            }
        }
        session.for_each_reference(archive, &mut |chunk| {
            let csize = index.get(&chunk.id).map_or(0, |entry| entry.csize);
            if index.release(&chunk.id) {
                stats.objects += 1;
                stats.stored_bytes += u64::from(csize);
                dead.push(chunk.id);
            }
        })?;
    }
    let mut change = session.begin()?;
    for id in dead {
        session.check_stop()?;
        change.delete(id)?;
    }
    for name in archives.keys() {
        change.manifest.archives.remove(*name);
    }
    let committed = change.commit(session)?;
    if stats.unread > 0 {
        // It counts what the one that is gone has referred to, or knows that it does not.
        session.forget_index()?;
        session.committed_without_index(committed)?;
    } else {
        session.committed(committed, index, monitor)?;
    }
    Ok(stats)
}
