//! Makes an archive anew: with less in it, or compressed, cut or described in another way.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveRecreater`.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveEntry, ArchiveMetadata, ArchiveName, Item, Operation};
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_compress::Compression;
use worldkeeper_core::ChunkId;

use super::content::Content;
use super::{EditError, original, release, require_free, store_metadata};
use crate::create::{CreateStats, ItemStream};
use crate::cuts;
use crate::monitor::{Monitor, Progress};
use crate::patterns::Selection;
use crate::restore::HardLinks;
use crate::session::{OpenArchive, Session, SessionError};

/// Which chunks are compressed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompress {
    /// Those that are new.
    #[default]
    Never,
    /// Those that are not compressed with the algorithm that should be used; its level does not count.
    IfDifferent,
    /// All.
    Always,
}

/// What about archives is to become different.
#[derive(Clone, Debug, Default)]
pub struct RecreateOptions {
    /// What stays in.
    pub selection: Selection,
    /// How chunks are compressed that are stored.
    pub compression: Compression,
    /// Which chunks are stored again though they are there.
    pub recompress: Recompress,
    /// How files are cut; `None` leaves them as they are.
    pub chunker_params: Option<ChunkerParams>,
    /// What is to be remarked; `None` leaves the remark as it is.
    pub comment: Option<String>,
    /// When the archive is said to be begun; `None` leaves the time as it is.
    pub time: Option<Timestamp>,
    /// The command that asked for this, for the archive's metadata.
    pub cmdline: Vec<Vec<u8>>,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What became of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecreateStats {
    /// Regular files with content of their own in the new archive.
    pub files: u64,
    /// Their size, in bytes.
    pub size: u64,
    /// Bytes of their objects, each reference counted.
    pub csize: u64,
    /// Items that are not in it any more.
    pub left_out: u64,
    /// Objects that were stored.
    pub stored_objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
}

/// Returns whether a name is that of what stock leaves behind when it is interrupted.
pub fn is_temporary(name: &ArchiveName) -> bool {
    name.as_bytes().ends_with(b".recreate")
}

/// Makes archives anew, one after the other. Each is the old one or the new one, whatever comes between.
#[derive(Debug)]
pub struct Recreater<'a> {
    options: &'a RecreateOptions,
    /// Chunks that need not be looked at again.
    done: HashSet<ChunkId>,
}

impl<'a> Recreater<'a> {
    /// Begins with no archive.
    pub fn new(options: &'a RecreateOptions) -> Self {
        Self { options, done: HashSet::new() }
    }

    /// Makes an archive anew, in its place or beside it as `target`. `tell` hears of each item, and whether it stays in.
    ///
    /// Returns `None` if there is nothing to do.
    pub fn recreate(
        &mut self,
        session: &mut Session,
        name: &ArchiveName,
        target: Option<&ArchiveName>,
        tell: &mut dyn FnMut(&Item, bool),
        monitor: &dyn Monitor,
    ) -> Result<Option<RecreateStats>, EditError> {
        session.require_trust()?;
        session.require_feature(Operation::Check)?;
        let (info, archive) = original(session, name)?;
        if let Some(target) = target {
            require_free(session, target)?;
        }
        let options = self.options;
        let recorded = archive.metadata.chunker_params.as_ref();
        let params = options.chunker_params.filter(|params| {
            let wanted = cuts::to_value(params);
            recorded.is_none_or(|recorded| !cuts::are_equal(recorded, &wanted))
        });
        let is_other_content =
            !options.selection.is_everything() || options.recompress != Recompress::Never || params.is_some();
        if !is_other_content && options.comment.is_none() && options.time.is_none() && target.is_none() {
            return Ok(None);
        }
        if options.dry_run {
            let each = &mut |_: Item| Ok(());
            return Ok(Some(RecreateStats {
                left_out: self.select(session, &archive, tell, each)?,
                ..Default::default()
            }));
        }

        let index = RwLock::new(session.take_index(monitor)?);
        let mut done = std::mem::take(&mut self.done);
        let sealer = || session.sealer(options.compression);
        let mut content = Content::new(session, &index, sealer(), options.recompress, &mut done, params.as_ref());
        let cuts = params.or_else(|| recorded.and_then(cuts::of_value)).unwrap_or_default();
        let mut stream = ItemStream::new(session.key(), sealer()).with_plans(&cuts);
        let mut change = session.begin()?;
        let (mut stats, mut stored) = (RecreateStats::default(), CreateStats::default());
        let mut each = |mut item: Item| {
            content.put(&mut item, &mut change, &mut stored)?;
            if let Some(chunks) = &item.chunks {
                stats.files += 1;
                stats.size += chunks.iter().map(|chunk| u64::from(chunk.size)).sum::<u64>();
                stats.csize += chunks.iter().map(|chunk| u64::from(chunk.csize)).sum::<u64>();
            }
            stream.push(&item, &mut change, &index, &mut stored)?;
            let progress = Progress { files: stats.files, bytes: stats.size, stored_bytes: stored.stored_bytes };
            monitor.progress(progress);
            Ok(())
        };
        stats.left_out = self.select(session, &archive, tell, &mut each)?;
        let items = stream.finish(&mut change, &index, &mut stored)?;
        (stats.stored_objects, stats.stored_bytes) = (stored.stored_objects, stored.stored_bytes);

        let old = &archive.metadata;
        let time = options.time.unwrap_or(old.time);
        let ended = old.time_end.unwrap_or(old.time);
        let metadata = ArchiveMetadata {
            name: target.unwrap_or(name).clone(),
            items,
            time,
            // As long as it took.
            time_end: Some(ended.checked_add(time.duration_since(old.time)).unwrap_or(time)),
            comment: Some(options.comment.clone().map(String::into_bytes).or(old.comment.clone()).unwrap_or_default()),
            chunker_params: params.as_ref().map(cuts::to_value).or_else(|| old.chunker_params.clone()),
            size: Some(stats.size),
            csize: Some(stats.csize),
            nfiles: Some(stats.files),
            // Part files of a checkpoint are not taken along.
            size_parts: Some(0),
            csize_parts: Some(0),
            nfiles_parts: Some(0),
            recreate_cmdline: Some(options.cmdline.clone()),
            ..old.clone()
        };
        let object = store_metadata(session, &metadata, &mut change, &index)?;
        if target.is_none() {
            let mut references = Vec::new();
            session.for_each_reference(&info, &mut |chunk| references.push(chunk.id))?;
            // The new one refers to what it needs by now, so what goes is needed by none.
            references.iter().try_for_each(|id| release(id, &mut change, &index))?;
        }
        change.manifest.archives.insert(metadata.name, ArchiveEntry { id: object.id, time });
        let committed = change.commit(session)?;
        self.done = done;
        let index = index.into_inner().unwrap_or_else(PoisonError::into_inner);
        session.committed(committed, index, monitor)?;
        Ok(Some(stats))
    }

    /// Goes through the items; returns how many are left out.
    fn select(
        &self,
        session: &Session,
        archive: &OpenArchive,
        tell: &mut dyn FnMut(&Item, bool),
        each: &mut dyn FnMut(Item) -> Result<(), SessionError>,
    ) -> Result<u64, EditError> {
        let mut links = HardLinks::default();
        let mut left_out = 0;
        for item in session.items(archive) {
            session.check_stop()?;
            let item = item?;
            if item.part.is_some() {
                continue;
            }
            let is_selected = self.options.selection.selects(&item.path)?;
            tell(&item, is_selected);
            left_out += u64::from(!is_selected);
            if let Some(item) = links.resolve(item, is_selected) {
                each(item)?;
            }
        }
        Ok(left_out)
    }
}
