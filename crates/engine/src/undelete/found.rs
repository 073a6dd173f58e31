//! Archives that were found and are not what they were, and what is missing of them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveMetadata, ArchiveName, ChunkRef, ItemReader};
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::tam::Tam;

use super::UndeleteError;
use super::remains::{Lies, Remains};
use crate::session::{Session, SessionError};

/// A deleted archive that our key has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedArchive {
    /// Its name.
    pub name: ArchiveName,
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

/// Metadata of an archive that was deleted.
pub(super) struct Found {
    object: ChunkRef,
    metadata: ArchiveMetadata,
}

/// Looks for archives in what was deleted, oldest first.
pub(super) fn archives(session: &Session, remains: &Remains<'_>) -> Result<Vec<Found>, SessionError> {
    let mut found = Vec::new();
    let listed: HashSet<_> = session.manifest().archives.values().map(|entry| entry.id).collect();
    for id in remains.earlier().into_iter().filter(|id| !listed.contains(id)) {
        session.check_stop()?;
        // What is damaged, or of another key, is no archive of ours.
        let Some(opened) = remains.open(&id)? else { continue };
        if !is_map(&opened.chunk) {
            continue;
        }
        if let Ok((metadata, Tam::Valid { .. })) = ArchiveMetadata::decode(session.key(), &opened.chunk) {
            let object = ChunkRef { id, size: opened.chunk.len() as u32, csize: opened.csize() };
            found.push(Found { object, metadata });
        }
    }
    found.sort_by_key(|found| (found.metadata.time, found.object.id));
    Ok(found)
}

/// Returns whether bytes begin as packed metadata does: nearly all that was deleted does not, and is not looked at closer.
fn is_map(packed: &[u8]) -> bool {
    matches!(packed.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

/// Which of the archives a name or the beginning of an id means.
pub(super) fn choose(archives: &[Found], wanted: &str) -> Result<usize, UndeleteError> {
    let is_named = |found: &Found| found.metadata.name.as_bytes() == wanted.as_bytes();
    let has_id = |found: &Found| wanted.len() >= 4 && found.object.id.to_string().starts_with(wanted);
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
        &self.metadata.name
    }

    /// Looks for all that the archive refers to. Gives the references, the archive's own object last; they are all of
    /// them if nothing is missing.
    pub(super) fn look_at(
        &self,
        session: &Session,
        remains: &Remains<'_>,
    ) -> Result<(DeletedArchive, Vec<ChunkRef>), SessionError> {
        let Self { object, metadata } = self;
        let (mut references, mut missing) = (Vec::new(), Missing::default());
        for id in &metadata.items {
            if remains.lies(id)? == Lies::Nowhere {
                missing.objects.insert(*id);
                missing.lacks_items = true;
            }
        }
        if !missing.lacks_items {
            missing.lacks_items = !self.read_items(session, remains, &mut references, &mut missing)?;
        }
        references.push(*object);
        let (name, id, time) = (metadata.name.clone(), object.id, metadata.time);
        Ok((DeletedArchive { name, id, time, missing }, references))
    }

    /// Collects what the items refer to; returns whether all of them could be read.
    fn read_items(
        &self,
        session: &Session,
        remains: &Remains<'_>,
        references: &mut Vec<ChunkRef>,
        missing: &mut Missing,
    ) -> Result<bool, SessionError> {
        let mut reader = ItemReader::new();
        for id in &self.metadata.items {
            let Some(opened) = remains.open(id)? else { return Ok(false) };
            references.push(ChunkRef { id: *id, size: opened.chunk.len() as u32, csize: opened.csize() });
            reader.push(&opened.chunk);
            loop {
                session.check_stop()?;
                let item = match reader.next_item() {
                    Ok(Some(item)) => item,
                    Ok(None) => break,
                    Err(_) => return Ok(false),
                };
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
