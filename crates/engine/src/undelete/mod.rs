//! Brings archives back that were deleted, as a whole or in part, while a repository still holds their objects.
//!
//! A deleted object stays where it is until a compaction frees its space, whatever was put in its place since. It is found by
//! reading all of the repository; of what is found, an archive is what our key has signed. It comes back whole or not at all: its objects are put again, as
//! the very bytes that they were, so that no counter value is used for anything else; one commit makes it be there.

mod found;
mod remains;

use std::collections::{BTreeSet, HashSet};

use worldkeeper_archive::{ArchiveEntry, ArchiveName};
use worldkeeper_core::{ChunkId, RepositoryError};

use crate::monitor::{Monitor, Notice, Progress, Rebuilding};
use crate::session::{ArchiveInfo, Session, SessionError};

pub use found::{DeletedArchive, Missing};
use remains::{Lies, Opened, Remains};

/// Why nothing was brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndeleteError {
    /// No deleted archive has this name or id.
    #[error("there is no deleted archive {0} in the repository any more")]
    NoSuchArchive(String),
    /// Several were deleted.
    #[error("several deleted archives are called {name}: {}", .ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids of those it may mean.
        ids: Vec<ChunkId>,
    },
    /// There is one of its name by now, or two of one name were asked for.
    #[error("there is already an archive {0}")]
    NameTaken(ArchiveName),
    /// Some of it has gone for good.
    #[error("archive {name} is not whole any more: {missing}")]
    Incomplete {
        /// Which one.
        name: ArchiveName,
        /// What has gone.
        missing: Missing,
    },
    /// The repository, or what is in it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl UndeleteError {
    /// Returns whether something was not found.
    fn is_lack(&self) -> bool {
        let is_object =
            |error: &SessionError| matches!(error, SessionError::Repository(RepositoryError::ObjectNotFound(_)));
        match self {
            Self::NoSuchArchive(_) | Self::Incomplete { .. } => true,
            Self::Session(error) => is_object(error),
            _ => false,
        }
    }
}

/// What an undelete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndeleteStats {
    /// Archives that are back.
    pub archives: Vec<ArchiveName>,
    /// Objects that were put again.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
}

/// What a look for deleted archives has found.
#[derive(Debug)]
pub struct DeletedArchives {
    /// They, oldest first, and what is missing of each. Among them are those that are listed, but of which something was deleted
    /// that can be brought back.
    pub archives: Vec<DeletedArchive>,
    /// Why there may be more: the first error of what could not be read and was passed over.
    pub unread: Option<RepositoryError>,
}

/// The deleted archives that a repository still holds.
pub fn deleted_archives(session: &Session) -> Result<DeletedArchives, SessionError> {
    let remains = Remains::find(session)?;
    let archives = found::archives(session, &remains, |_| true)?;
    let archives = archives.into_iter().map(|archive| Ok(archive.look_at(session, &remains)?.0));
    let archives = archives.collect::<Result<_, SessionError>>()?;
    Ok(DeletedArchives { archives, unread: session.repository().earlier_unread() })
}

/// Brings deleted archives back, and what was deleted of others, by name or by the first digits of their id; all of them, or
/// none.
pub fn undelete(
    session: &mut Session,
    wanted: &[String],
    monitor: &dyn Monitor,
) -> Result<UndeleteStats, UndeleteError> {
    bring_back(session, wanted, monitor).map_err(|error| {
        // What was not found may be in what could not be read.
        let unread = if error.is_lack() { session.repository().earlier_unread() } else { None };
        unread.map_or(error, |unread| SessionError::from(unread).into())
    })
}

fn bring_back(session: &mut Session, wanted: &[String], monitor: &dyn Monitor) -> Result<UndeleteStats, UndeleteError> {
    session.require_trust()?;
    let mut index = session.take_index(&Beforehand(monitor))?;
    let remains = Remains::find(session)?;
    let may_be_meant = |info: &ArchiveInfo| wanted.iter().any(|wanted| found::can_mean(wanted, &info.name, &info.id));
    let archives = found::archives(session, &remains, may_be_meant)?;
    let mut chosen = BTreeSet::new();
    for name in wanted {
        chosen.insert(found::choose(&archives, name)?);
    }

    if remains.is_manifest_lost() {
        // How far the counter has come, the manifest would have told.
        session.leap()?;
    }
    let mut change = session.begin()?;
    let mut stats = UndeleteStats::default();
    let (mut back, mut is_index_right) = (HashSet::new(), true);
    for archive in chosen.into_iter().map(|number| &archives[number]) {
        if !archive.is_listed() && change.manifest.archives.contains_key(archive.name()) {
            return Err(UndeleteError::NameTaken(archive.name().clone()));
        }
        let (looked_at, references) = archive.look_at(session, &remains)?;
        // Whether it was counted depends on what could be read of it.
        is_index_right &= !looked_at.is_listed;
        if !looked_at.missing.is_nothing() {
            return Err(UndeleteError::Incomplete { name: looked_at.name, missing: looked_at.missing });
        }
        // The archive's own object is the last: what it refers to is there before it.
        for reference in references {
            session.check_stop()?;
            if remains.lies(&reference.id)? == Lies::Before && back.insert(reference.id) {
                let Some(Opened { object, .. }) = remains.open_earlier(&reference.id)? else {
                    return Err(SessionError::from(RepositoryError::ObjectNotFound(reference.id)).into());
                };
                stats.objects += 1;
                stats.stored_bytes += object.len() as u64;
                change.put(reference.id, object)?;
                index.heal(&reference.id, reference.csize);
            }
            index.reference(&reference);
        }
        let entry = ArchiveEntry { id: looked_at.id, time: looked_at.time };
        change.manifest.archives.insert(looked_at.name.clone(), entry);
        stats.archives.push(looked_at.name);
    }
    let committed = change.commit(session)?;
    if is_index_right {
        session.committed(committed, index, monitor)?;
    } else {
        session.committed_without_index(committed)?;
    }
    Ok(stats)
}

/// Passes everything on but that archives lack something, which is perhaps about to come back.
struct Beforehand<'a>(&'a dyn Monitor);

impl Monitor for Beforehand<'_> {
    fn notice(&self, notice: Notice<'_>) {
        if !matches!(notice, Notice::ArchiveUnread(_) | Notice::ChunksMissing { .. }) {
            self.0.notice(notice);
        }
    }

    fn progress(&self, progress: Progress) {
        self.0.progress(progress);
    }

    fn rebuilding(&self, so_far: Rebuilding) {
        self.0.rebuilding(so_far);
    }
}
