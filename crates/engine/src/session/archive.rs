//! The archives of a repository: by name, and item by item.

use jiff::Timestamp;
use tracing::warn;
use worldkeeper_archive::{
    ArchiveError, ArchiveMetadata, ArchiveName, ChunkRef, Item, ItemError, ItemReader, ItemSalvage, SalvageError,
};
use worldkeeper_core::{ChunkId, error_text};
use worldkeeper_crypto::tam::Tam;

use super::item_chunks::ItemChunks;
use super::{Session, SessionError};
use crate::check::is_name_of;
use crate::objects::{ChunkReader, ObjectError};

/// An archive as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveInfo {
    /// Its name.
    pub name: ArchiveName,
    /// The id of its metadata object.
    pub id: ChunkId,
    /// When it was begun.
    pub time: Timestamp,
}

/// An archive whose metadata was read.
#[derive(Clone, Debug)]
pub struct OpenArchive {
    /// What it says of itself.
    pub metadata: ArchiveMetadata,
    /// Whether a TAM proves that somebody with the key wrote it; borg before 1.0.9 made none.
    pub is_authenticated: bool,
}

/// An archive whose metadata or items cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("archive {name} {}", if self.is_beyond_us() { "cannot be read" } else { "is damaged or forged" })]
pub struct BrokenArchive {
    /// Which one.
    pub name: ArchiveName,
    /// What is wrong with it.
    #[source]
    pub source: ArchiveProblem,
}

impl BrokenArchive {
    /// Returns whether it holds an item that is longer than we read, and may be whole.
    pub fn is_beyond_us(&self) -> bool {
        use ArchiveProblem::{Items, NoItem};
        matches!(self.source, Items(ItemError::TooLarge(_)) | NoItem(SalvageError::TooLarge(_)))
    }
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// Its metadata.
    #[error(transparent)]
    Metadata(#[from] ArchiveError),
    /// Its metadata bears no TAM, where the key says that all do.
    #[error("it has no TAM")]
    NoTam,
    /// The metadata is that of another archive.
    #[error("its metadata says that it is archive {0}")]
    OtherName(ArchiveName),
    /// One of its items.
    #[error("its list of items cannot be read")]
    Items(#[from] ItemError),
    /// One of the objects that it is made of.
    #[error("a part of it cannot be read")]
    Object(#[from] ObjectError),
    /// What stands in the place of an item.
    #[error("its list of items is damaged")]
    NoItem(#[from] SalvageError),
}

impl Session {
    /// The archives, oldest first.
    pub fn archives(&self) -> Vec<ArchiveInfo> {
        let info = |(name, entry): (&ArchiveName, &worldkeeper_archive::ArchiveEntry)| ArchiveInfo {
            name: name.clone(),
            id: entry.id,
            time: entry.time,
        };
        let mut archives: Vec<_> = self.manifest.archives.iter().map(info).collect();
        archives.sort_by_key(|archive| archive.time);
        archives
    }

    /// The archive of this name, if there is one.
    pub fn archive_info(&self, name: &ArchiveName) -> Option<ArchiveInfo> {
        let entry = self.manifest.archives.get(name)?;
        Some(ArchiveInfo { name: name.clone(), id: entry.id, time: entry.time })
    }

    /// Reads an archive's metadata. One that carries no proof of its own, where the key says that all do, is taken as
    /// the manifest lists it, as stock does, with a warning.
    pub fn open_archive(&self, archive: &ArchiveInfo) -> Result<OpenArchive, SessionError> {
        self.open_if(archive, |problem| matches!(problem, ArchiveProblem::NoTam))
    }

    /// As [`open_archive`](Self::open_archive), also if the proof that it carries is a wrong one: for whoever asks for
    /// just this.
    pub fn open_unproven_archive(&self, archive: &ArchiveInfo) -> Result<OpenArchive, SessionError> {
        // The TAM says who wrote the metadata, not under which name the manifest should list it.
        self.open_if(archive, |problem| !matches!(problem, ArchiveProblem::OtherName(_)))
    }

    fn open_if(
        &self,
        archive: &ArchiveInfo,
        is_tolerated: impl FnOnce(&ArchiveProblem) -> bool,
    ) -> Result<OpenArchive, SessionError> {
        let (opened, problem) = self.read_metadata(archive)?;
        match problem {
            None => {}
            Some(problem) if is_tolerated(&problem) => warn!(
                "archive {} does not prove who made it: borg 1.2.4 or older, or somebody else ({})",
                archive.name,
                error_text(&problem)
            ),
            Some(source) => return Err(BrokenArchive { name: archive.name.clone(), source }.into()),
        }
        Ok(opened)
    }

    /// Reads an archive's metadata, and says what keeps it from proving that somebody with the key made it, as the
    /// archive of this name.
    ///
    /// # Errors
    ///
    /// [`SessionError::Object`] or [`SessionError::Archive`] if there is nothing that could be read.
    pub(super) fn read_metadata(
        &self,
        archive: &ArchiveInfo,
    ) -> Result<(OpenArchive, Option<ArchiveProblem>), SessionError> {
        let packed = self.reader().read(&archive.id, None)?;
        let broken = |error: ArchiveError| BrokenArchive { name: archive.name.clone(), source: error.into() };
        let (metadata, is_authenticated, problem) = match ArchiveMetadata::decode(&self.key, &packed) {
            Ok((metadata, Tam::Valid { .. })) => (metadata, true, None),
            Ok((metadata, Tam::Missing)) => (metadata, false, self.requires_tam().then_some(ArchiveProblem::NoTam)),
            Err(error @ ArchiveError::Tam(_)) => {
                (ArchiveMetadata::decode_unverified(&packed).map_err(broken)?, false, Some(error.into()))
            }
            Err(error) => return Err(broken(error).into()),
        };
        let is_its_own = is_name_of(&metadata.name, &archive.name);
        let other = (!is_its_own).then(|| ArchiveProblem::OtherName(metadata.name.clone()));
        Ok((OpenArchive { metadata, is_authenticated }, problem.or(other)))
    }

    /// Reads an archive's items, one by one.
    pub fn items<'s>(&'s self, archive: &'s OpenArchive) -> Items<'s> {
        Items {
            reader: self.reader(),
            name: &archive.metadata.name,
            chunks: ItemChunks::new(&*self.repository, &archive.metadata.items),
            item_reader: Some(ItemReader::new()),
        }
    }

    /// Requires that all of an archive's items can be read.
    ///
    /// # Errors
    ///
    /// The first error that [`items`](Self::items) gives.
    pub fn require_items(&self, archive: &OpenArchive) -> Result<(), SessionError> {
        self.items(archive).try_for_each(|item| self.check_stop().and_then(|()| item.map(drop)))
    }

    /// Tells every reference that an archive holds: its own object, the chunks of its item stream, those of its files.
    ///
    /// Whether it is authenticated does not matter here, and nothing of an item but its content: references keep objects
    /// from being deleted, and those that are taken away are those that were told. So an archive that borg 1.2.4 has
    /// renamed, whose TAM is invalid since, stands in nobody's way.
    ///
    /// # Errors
    ///
    /// [`SessionError::Archive`] if it cannot be read to its end; then some of its references may have been told.
    pub(crate) fn for_each_reference(
        &self,
        archive: &ArchiveInfo,
        tell: &mut dyn FnMut(&ChunkRef),
    ) -> Result<(), SessionError> {
        let broken = |source| BrokenArchive { name: archive.name.clone(), source };
        let mut reader = self.reader();
        let mut read = |id: &ChunkId, tell: &mut dyn FnMut(&ChunkRef)| {
            let (csize, content) = reader.read_with_csize(id, None).map_err(|error| {
                if error.is_damage() { SessionError::from(broken(error.into())) } else { error.into() }
            })?;
            tell(&ChunkRef { id: *id, size: content.len() as u32, csize });
            Ok::<_, SessionError>(content)
        };
        let metadata = ArchiveMetadata::decode_unverified(&read(&archive.id, tell)?);
        let metadata = metadata.map_err(|error| broken(error.into()))?;
        if !is_name_of(&metadata.name, &archive.name) {
            return Err(broken(ArchiveProblem::OtherName(metadata.name)).into());
        }
        let mut items = ItemSalvage::new(&self.manifest.item_keys);
        for id in ItemChunks::new(&*self.repository, &metadata.items) {
            self.check_stop()?;
            items.push(&read(id, tell)?);
            while let Some(item) = items.next_item() {
                let item = item.map_err(|error| broken(error.into()))?;
                item.chunks().into_iter().flatten().for_each(&mut *tell);
            }
        }
        match items.finish() {
            0 => Ok(()),
            left => Err(broken(ItemError::Incomplete(left).into()).into()),
        }
    }
}

/// The items of an archive, in order. After an error there are no more.
pub struct Items<'s> {
    pub(super) reader: ChunkReader<'s>,
    pub(super) name: &'s ArchiveName,
    pub(super) chunks: ItemChunks<'s>,
    /// `None` at the end.
    item_reader: Option<ItemReader>,
}

impl Items<'_> {
    fn advance(&mut self) -> Result<Option<Item>, SessionError> {
        let broken = |error: ItemError| BrokenArchive { name: self.name.clone(), source: error.into() };
        loop {
            let Some(item_reader) = &mut self.item_reader else { return Ok(None) };
            if let Some(item) = item_reader.next_item().map_err(broken)? {
                return Ok(Some(item));
            }
            let Some(id) = self.chunks.next() else {
                let whole = self.item_reader.take().expect("it was there").finish();
                return Ok(whole.map(|()| None).map_err(broken)?);
            };
            item_reader.push(&self.reader.read(id, None)?);
        }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Item, SessionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if matches!(item, Some(Err(_))) {
            self.item_reader = None;
        }
        item
    }
}
