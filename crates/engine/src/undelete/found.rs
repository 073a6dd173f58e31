//! Archives that were found and are not what they were, and what is missing of them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveMetadata, ArchiveName, ChunkRef, Item, ItemReader};
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::tam::Tam;

use super::UndeleteError;
use super::remains::{Lies, Remains};
use crate::session::{ArchiveInfo, Session, SessionError};

/// An archive that our key has signed, and that was deleted, as a whole or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedArchive {
    /// Its name; if it is listed, the one that it is listed under.
    pub name: ArchiveName,
    /// It is listed still, but some of what it is made of was deleted, or something else is in its place.
    pub is_listed: bool,
    /// The id of its metadata object.
    pub id: ChunkId,
    /// When it was begun.
    pub time: Timestamp,
    /// What cannot be had any more.
    pub missing: Missing,
}

/// What a deleted archive lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The objects that have gone, or are not what they were.
    pub objects: BTreeSet<ChunkId>,
    /// The files that lack some of them.
    pub files: Vec<Vec<u8>>,
    /// Some of the list of its items has gone, so which files lack something is not known.
    pub lacks_items: bool,
}

impl Missing {
    /// Returns whether the archive is whole.
    pub fn is_nothing(&self) -> bool {
        self.objects.is_empty() && !self.lacks_items
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 5;
        let count = |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        write!(f, "{} of it gone", count(self.objects.len(), "object"))?;
        if self.lacks_items {
            return f.write_str(", and with them the list of what was in it");
        }
        write!(f, ", and {} with them: ", count(self.files.len(), "file"))?;
        let named = self.files.iter().take(NAMED).map(|path| String::from_utf8_lossy(path));
        f.write_str(&named.collect::<Vec<_>>().join(", "))?;
        if self.files.len() > NAMED { f.write_str(", …") } else { Ok(()) }
    }
}

/// Metadata of an archive that was deleted, or of one that is listed and not what it was.
pub(super) struct Found {
    /// Under what it goes.
    name: ArchiveName,
    is_listed: bool,
    object: ChunkRef,
    metadata: ArchiveMetadata,
}

/// Looks for archives, oldest first: in what was deleted, and, of those that are listed and `may_be_meant`, for those of
/// which something was deleted.
pub(super) fn archives(
    session: &Session,
    remains: &Remains<'_>,
    may_be_meant: impl Fn(&ArchiveInfo) -> bool,
) -> Result<Vec<Found>, SessionError> {
    let mut found = Vec::new();
    let listed: HashSet<_> = session.manifest().archives.values().map(|entry| entry.id).collect();
    for id in remains.candidates().into_iter().filter(|id| !listed.contains(id)) {
        session.check_stop()?;
        if let Some((object, metadata)) = metadata(session, remains, id)? {
            found.push(Found { name: metadata.name.clone(), is_listed: false, object, metadata });
        }
    }
    for ArchiveInfo { name, id, .. } in session.archives().into_iter().filter(may_be_meant) {
        if let Some((object, metadata)) = metadata(session, remains, id)? {
            let listed = Found { name, is_listed: true, object, metadata };
            if remains.is_manifest_lost() || listed.is_harmed(session, remains)? {
                found.push(listed);
            }
        }
    }
    found.sort_by_key(|found| (found.metadata.time, found.object.id));
    Ok(found)
}

/// The metadata in an object; `None` if it is lost, damaged, of another key, or no archive.
fn metadata(
    session: &Session,
    remains: &Remains<'_>,
    id: ChunkId,
) -> Result<Option<(ChunkRef, ArchiveMetadata)>, SessionError> {
    let Some(opened) = remains.open(&id)?.filter(|opened| is_map(&opened.chunk)) else { return Ok(None) };
    Ok(match ArchiveMetadata::decode(session.key(), &opened.chunk) {
        Ok((metadata, Tam::Valid { .. })) => {
            Some((ChunkRef { id, size: opened.chunk.len() as u32, csize: opened.csize() }, metadata))
        }
        _ => None,
    })
}

/// Returns whether bytes begin as packed metadata does: nearly all that was deleted does not, and is not looked at closer.
fn is_map(packed: &[u8]) -> bool {
    matches!(packed.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

/// Returns whether a name or the beginning of an id can mean an archive.
pub(super) fn can_mean(wanted: &str, name: &ArchiveName, id: &ChunkId) -> bool {
    name.as_bytes() == wanted.as_bytes() || begins(wanted, id)
}

fn begins(wanted: &str, id: &ChunkId) -> bool {
    wanted.len() >= 4 && id.to_string().starts_with(wanted)
}

/// Which of the archives a name or the beginning of an id means.
pub(super) fn choose(archives: &[Found], wanted: &str) -> Result<usize, UndeleteError> {
    let is_named = |found: &Found| found.name.as_bytes() == wanted.as_bytes();
    let has_id = |found: &Found| begins(wanted, &found.object.id);
    let chosen = |is_meant: &dyn Fn(&Found) -> bool| {
        (0..archives.len()).filter(|number| is_meant(&archives[*number])).collect::<Vec<_>>()
    };
    let named = chosen(&is_named);
    let meant = if named.is_empty() { chosen(&has_id) } else { named };
    match meant[..] {
        [] => Err(UndeleteError::NoSuchArchive(wanted.to_owned())),
        [number] => Ok(number),
        _ => {
            let ids = meant.iter().map(|number| archives[*number].object.id).collect();
            Err(UndeleteError::Ambiguous { name: wanted.to_owned(), ids })
        }
    }
}

impl Found {
    /// What the archive is called.
    pub(super) fn name(&self) -> &ArchiveName {
        &self.name
    }

    /// Returns whether it is in the list of archives.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Returns whether something that it is made of was deleted, or something else put in its place, and can be had again.
    fn is_harmed(&self, session: &Session, remains: &Remains<'_>) -> Result<bool, SessionError> {
        if !remains.has_earlier() {
            return Ok(false);
        }
        for id in self.metadata.items.iter().chain([&self.object.id]) {
            if remains.is_replaced(id)? {
                return Ok(true);
            }
        }
        let mut is_harmed = false;
        self.for_each_item(session, remains, &mut |item| {
            for chunk in item.chunks.iter().flatten() {
                is_harmed = is_harmed || remains.is_replaced(&chunk.id)?;
            }
            Ok(())
        })?;
        Ok(is_harmed)
    }

    /// Looks for all that the archive refers to. Gives the references, the archive's own object last; they are all of
    /// them if nothing is missing.
    pub(super) fn look_at(
        &self,
        session: &Session,
        remains: &Remains<'_>,
    ) -> Result<(DeletedArchive, Vec<ChunkRef>), SessionError> {
        let Self { name, is_listed, object, metadata } = self;
        let (mut references, mut missing) = (Vec::new(), Missing::default());
        for id in &metadata.items {
            if let Some(opened) = remains.open(id)? {
                references.push(ChunkRef { id: *id, size: opened.chunk.len() as u32, csize: opened.csize() });
            } else {
                missing.objects.insert(*id);
                missing.lacks_items = true;
            }
        }
        if !missing.lacks_items {
            let can_read_all = self.for_each_item(session, remains, &mut |item| {
                let mut is_whole = true;
                for chunk in item.chunks.into_iter().flatten() {
                    if remains.lies(&chunk.id)? == Lies::Nowhere {
                        is_whole = false;
                        missing.objects.insert(chunk.id);
                    }
                    references.push(chunk);
                }
                if !is_whole {
                    missing.files.push(item.path);
                }
                Ok(())
            })?;
            missing.lacks_items = !can_read_all;
        }
        references.push(*object);
        let (name, id, time) = (name.clone(), object.id, metadata.time);
        Ok((DeletedArchive { name, is_listed: *is_listed, id, time, missing }, references))
    }

    /// Tells of each item; returns whether all of them could be read.
    fn for_each_item(
        &self,
        session: &Session,
        remains: &Remains<'_>,
        take: &mut dyn FnMut(Item) -> Result<(), SessionError>,
    ) -> Result<bool, SessionError> {
        let mut reader = ItemReader::new();
        for id in &self.metadata.items {
            let Some(opened) = remains.open(id)? else { return Ok(false) };
            reader.push(&opened.chunk);
            loop {
                session.check_stop()?;
                match reader.next_item() {
                    Ok(Some(item)) => take(item)?,
                    Ok(None) => break,
                    Err(_) => return Ok(false),
                }
            }
        }
        Ok(reader.finish().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let objects: BTreeSet<_> = [1, 2].map(|fill| ChunkId([fill; 32])).into();
        let files: Vec<_> = (0..7).map(|number| format!("world/{number}").into_bytes()).collect();
        let missing = Missing { objects: objects.clone(), files, lacks_items: false };
        let expected = "2 objects of it gone, and 7 files with them: world/0, world/1, world/2, world/3, world/4, …";
        assert_eq!(missing.to_string(), expected);
        let missing = Missing { objects, files: Vec::new(), lacks_items: true };
        assert_eq!(missing.to_string(), "2 objects of it gone, and with them the list of what was in it");
    }
}
