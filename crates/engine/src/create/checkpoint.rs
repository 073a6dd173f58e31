//! Checkpoints: the archive in the making, committed every so often under a name of its own, so that a run that is cut
//! off loses minutes. The next run finds the chunks; a good archive takes the checkpoints of its series away, and one that
//! lacks something leaves them. So does one that holds far less: after a loss, the checkpoint may be all that there is of a world.
//!
//! What a checkpoint holds is what stock's does: the items so far, and the file that is being read as
//! `PATH.borg_part_1`. But nothing of that is left in the archive that follows. The end of a checkpoint's item stream, and
//! its metadata, are objects that it alone refers to; they never enter the chunk index that the pipeline shares, so that
//! nobody can come to rely on what the next checkpoint deletes.
//!
//! Source: borg 1.4 `archive.py`, `ChunksProcessor.maybe_checkpoint`, `Archive.write_checkpoint`.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{debug, warn};
use worldkeeper_archive::{ArchiveEntry, ArchiveName, ChunkRef, Item, Operation};
use worldkeeper_core::{ChunkId, error_text};

use super::shared::Shared;
use super::writer::Writer;
use crate::extent::Extent;
use crate::monitor::Notice;
use crate::series;
use crate::session::{ArchiveInfo, Committed, Session, SessionError};

/// What is known of the checkpoints of a run.
pub(super) struct Checkpoints<'a> {
    interval: Duration,
    /// When the last one was made, or the run began, by the clock that only goes forward.
    last: Duration,
    /// How many objects were stored by then.
    stored_objects: u64,
    /// What they are called; a later one takes the place of an earlier.
    name: ArchiveName,
    /// What the last one alone refers to.
    own: Vec<ChunkRef>,
    /// The last one's commit, for whoever goes on if the run fails.
    pub(super) saved: &'a mut Option<Committed>,
    /// Has the files cache as the run found it.
    pub(super) shared: &'a Shared,
}

impl<'a> Checkpoints<'a> {
    /// Of a run that begins and will make the archive `name`.
    pub(super) fn new(
        session: &Session,
        interval: Duration,
        name: &ArchiveName,
        shared: &'a Shared,
        saved: &'a mut Option<Committed>,
    ) -> Self {
        let last = session.monotonic();
        let is_taken = |name: &ArchiveName| session.archive_info(name).is_some();
        Self {
            interval,
            last,
            stored_objects: 0,
            name: series::checkpoint_name(name, is_taken),
            own: Vec::new(),
            saved,
            shared,
        }
    }
}

impl Writer<'_> {
    /// Returns whether a checkpoint is due, and would save something.
    pub(super) fn is_checkpoint_due(&mut self) -> bool {
        let checkpoints = &mut self.checkpoints;
        if checkpoints.interval.is_zero() {
            return false;
        }
        let now = self.session.monotonic();
        // A short file is waited for: it ends soon.
        let within_short_file = !self.chunks.is_empty() && self.begun.is_none();
        if now.saturating_sub(checkpoints.last) < checkpoints.interval || within_short_file {
            return false;
        }
        if self.stats.stored_objects == checkpoints.stored_objects {
            checkpoints.last = now;
            return false;
        }
        true
    }

    /// Commits what there is under the checkpoint's name, and begins to change anew.
    pub(super) fn checkpoint(mut self) -> Result<Self, SessionError> {
        self.items.store(&mut self.change, self.index, &mut self.stats)?;
        let parts = self.parts();
        let mut own = Vec::new();
        let mut items = self.items.ids().to_vec();
        for piece in self.items.rest(&parts) {
            let chunk = self.store_apart(&piece, &own)?;
            items.push(chunk.id);
            own.push(chunk);
        }
        let name = self.checkpoints.name.clone();
        let packed = self.metadata(&name, items, &parts)?;
        let archive = self.store_apart(&packed, &[])?;
        own.push(archive);
        let old = std::mem::replace(&mut self.checkpoints.own, own);
        self.delete_apart(old)?;
        self.change.manifest.archives.insert(name.clone(), ArchiveEntry { id: archive.id, time: self.start() });
        let (mut this, manifest_id) = self.commit_and_go_on()?;
        this.keep_caches(manifest_id);
        this.checkpoints.stored_objects = this.stats.stored_objects;
        this.checkpoints.last = this.session.monotonic();
        debug!("what there is of the archive was saved as {name}");
        Ok(this)
    }

    /// Items for the chunks that no item has: those of the file that is being read, and those of files that failed.
    fn parts(&self) -> Vec<Item> {
        let part = |item: &Item, number: u64, chunks: &[ChunkRef]| {
            let path = [&item.path[..], format!(".borg_part_{number}").as_bytes()].concat();
            let size = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
            // A part is a file of its own, whatever links there are to the whole.
            let hardlink_master = Some(false);
            Item {
                path,
                chunks: Some(chunks.to_vec()),
                size: Some(size),
                part: Some(number),
                hardlink_master,
                ..item.clone()
            }
        };
        let orphans = Item { path: b"unreadable".into(), mode: 0o100_600, ..Item::default() };
        let unfinished = self.begun.iter().map(|item| (&**item, &self.chunks));
        let parts_of = |(item, chunks): (&Item, &Vec<ChunkRef>)| {
            let numbered = (1..).zip(chunks.chunks(Item::MAX_CHUNKS));
            numbered.map(|(number, chunks)| part(item, number, chunks)).collect::<Vec<_>>()
        };
        unfinished.chain([(&orphans, &self.orphans)]).flat_map(parts_of).collect()
    }

    /// Stores what the checkpoint alone refers to, unless it is there anyhow, or one of its `own`.
    fn store_apart(&mut self, chunk: &[u8], own: &[ChunkRef]) -> Result<ChunkRef, SessionError> {
        let id = self.session.key().id_hash(chunk);
        if let Some(stored) = own.iter().find(|stored| stored.id == id) {
            return Ok(*stored);
        }
        let size = chunk.len() as u32;
        let known = super::read(self.index).get(&id).map(|entry| entry.csize);
        let csize = if let Some(csize) = known {
            csize
        } else {
            let object = self.sealer.seal_chunk(&id, chunk)?;
            let csize = object.len() as u32;
            self.change.put(id, object)?;
            self.stats.stored(csize);
            csize
        };
        Ok(ChunkRef { id, size, csize })
    }

    /// Deletes what was stored for an earlier checkpoint, unless this one or the archive has come to refer to it. It may
    /// have referred to one object many times: long runs of equal chunks make equal pieces of their list.
    fn delete_apart(&mut self, old: Vec<ChunkRef>) -> Result<(), SessionError> {
        let mut ids: BTreeSet<_> = old.into_iter().map(|chunk| chunk.id).collect();
        for chunk in &self.checkpoints.own {
            ids.remove(&chunk.id);
        }
        for id in ids {
            if super::read(self.index).is_needless(&id) {
                self.change.delete(id)?;
            }
        }
        Ok(())
    }

    /// Stores the caches as they are after a checkpoint. Without them the next run only takes longer.
    fn keep_caches(&self, manifest_id: ChunkId) {
        let (state, key) = (self.session.state(), self.session.key());
        let mut index = super::write(self.index);
        let own = &self.checkpoints.own;
        for chunk in own {
            index.reference(chunk);
        }
        self.session.keep_index(&index, manifest_id, self.monitor);
        for chunk in own {
            index.release(&chunk.id);
        }
        drop(index);
        let files = self.checkpoints.shared.files();
        if let Err(error) = self.found.store_over(&files, state, key, &self.options.series) {
            self.monitor.notice(Notice::CacheLost { what: "files cache", problem: &error_text(&error) });
        }
    }

    /// Takes the run's own checkpoint away; to be called before references are given back, which chunks of it may have.
    pub(super) fn remove_own_checkpoint(&mut self) -> Result<(), SessionError> {
        self.change.manifest.archives.remove(&self.checkpoints.name);
        let own = std::mem::take(&mut self.checkpoints.own);
        self.delete_apart(own)
    }

    /// Takes the checkpoints away that earlier runs of this series left; one that cannot be read stays, one that holds far more
    /// than this archive, and all of them where a feature that is not known here forbids to delete.
    pub(super) fn remove_old_checkpoints(&mut self) -> Result<(), SessionError> {
        if let Err(error) = self.session.require_feature(Operation::Delete) {
            debug!("checkpoints of earlier runs stay: {}", error_text(&error));
            return Ok(());
        }
        for archive in self.session.archives() {
            if !archive.name.as_str().is_some_and(|name| series::is_checkpoint_of(name, &self.options.series)) {
                continue;
            }
            let references = match self.needless_references(&archive) {
                Ok(Some(references)) => references,
                Ok(None) => {
                    warn!(
                        "the checkpoint {} stays, as it holds more than twice of what this archive does. To be rid of it: \
                         worldkeeper delete {0}",
                        archive.name
                    );
                    continue;
                }
                Err(error) if error.is_stopped() => return Err(error),
                Err(error) => {
                    warn!("the checkpoint {} stays: {}", archive.name, error_text(&error));
                    continue;
                }
            };
            self.change.manifest.archives.remove(&archive.name);
            self.release(references)?;
        }
        Ok(())
    }

    /// What a checkpoint refers to; nothing if it holds far more than the archive that is made.
    fn needless_references(&self, checkpoint: &ArchiveInfo) -> Result<Option<Vec<ChunkId>>, SessionError> {
        let made = Extent { files: self.stats.files(), size: self.stats.size };
        if Extent::of_listed(self.session, checkpoint)?.is_some_and(|extent| made.is_far_less_than(extent)) {
            return Ok(None);
        }
        let mut references = Vec::new();
        self.session.for_each_reference(checkpoint, &mut |chunk| references.push(chunk.id))?;
        Ok(Some(references))
    }
}
