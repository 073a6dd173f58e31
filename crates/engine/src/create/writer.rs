//! The end of the pipeline: takes the steps in order, stores what is new, and closes the archive.

use std::path::PathBuf;
use std::sync::RwLock;

use crossbeam_channel::Receiver;
use jiff::Timestamp;
use rustix::fs::FileType;
use worldkeeper_archive::{ArchiveEntry, ArchiveMetadata, ArchiveName, ChunkRef, Item};
use worldkeeper_core::ChunkId;

use super::amiss::{Amiss, Flaw};
use super::checkpoint::Checkpoints;
use super::item_stream::{ItemStream, store};
use super::roots::Roots;
use super::sources::Sources;
use super::step::{FileState, FinishedFile, Remembered, SealedChunk, Step, Steps};
use super::watch::Watch;
use super::ways_out::WaysOut;
use super::{CreateError, CreateOptions, CreateStats, Created, OldCheckpoints};
use crate::cache::{ChunkIndex, FoundFiles};
use crate::cuts;
use crate::monitor::{Monitor, Notice, Progress};
use crate::objects::ChunkSealer;
use crate::paths::as_path;
use crate::pipeline::{Budget, InOrder, chunk_bytes};
use crate::random;
use crate::session::{Change, Committed, Session, SessionError};
use crate::source::{Action, Reason, SourceError};

/// Makes the archive of the steps.
pub(super) struct Writer<'a> {
    pub(super) session: &'a Session,
    pub(super) options: &'a CreateOptions,
    pub(super) index: &'a RwLock<ChunkIndex>,
    budget: &'a Budget,
    pub(super) monitor: &'a dyn Monitor,
    archive: Archive,
    pub(super) change: Change<'a>,
    pub(super) items: ItemStream<'a>,
    pub(super) sealer: ChunkSealer<'a>,
    /// The file whose chunks come, if it is a long one.
    pub(super) begun: Option<Box<Item>>,
    /// Chunks of a file that is not finished, and their size in bytes.
    pub(super) chunks: Vec<ChunkRef>,
    chunks_size: u64,
    /// How many chunks were stored and referred to whose place has not come, and whether more may be.
    stored_early: usize,
    stores_early: bool,
    /// Chunks that were stored for files that then failed.
    pub(super) orphans: Vec<ChunkRef>,
    roots: Roots,
    sources: Sources,
    ways_out: WaysOut,
    pub(super) found: FoundFiles,
    /// Stored bytes of the archive's content, each reference counted.
    csize: u64,
    amiss: Amiss,
    pub(super) stats: CreateStats,
    pub(super) checkpoints: Checkpoints<'a>,
}

/// The archive that is to be made.
pub(crate) struct Archive {
    pub name: ArchiveName,
    pub start: Timestamp,
}

impl<'a> Writer<'a> {
    pub(super) fn begin(
        session: &'a Session,
        options: &'a CreateOptions,
        index: &'a RwLock<ChunkIndex>,
        budget: &'a Budget,
        monitor: &'a dyn Monitor,
        archive: Archive,
        checkpoints: Checkpoints<'a>,
    ) -> Result<Self, SessionError> {
        let sealer = || session.sealer(options.compression).verified(options.verify);
        let mut items = ItemStream::new(session.key(), sealer());
        if !options.cuts.is_empty() {
            items = items.with_plans(&options.chunker_params);
        }
        Ok(Self {
            session,
            options,
            index,
            budget,
            monitor,
            archive,
            change: session.begin()?,
            items,
            sealer: sealer(),
            begun: None,
            chunks: Vec::new(),
            chunks_size: 0,
            stored_early: 0,
            stores_early: true,
            orphans: Vec::new(),
            roots: Roots::new(&options.sources),
            sources: Sources::new(&options.sources),
            ways_out: WaysOut::new(&options.sources, &options.cwd),
            found: FoundFiles::default(),
            csize: 0,
            amiss: Amiss::default(),
            stats: CreateStats::default(),
            checkpoints,
        })
    }

    /// Takes the steps until the last, then commits.
    pub(super) fn run(
        mut self,
        steps: &Receiver<Steps>,
        watch: &mut Watch,
    ) -> Result<(Committed, Created, FoundFiles), CreateError> {
        let mut in_order = InOrder::new();
        while let Some(steps) = watch.receive(steps)? {
            let mut arrived = Vec::with_capacity(steps.len());
            for (number, step) in steps {
                arrived.push(number);
                in_order.insert(number, step);
            }
            while let Some(step) = in_order.pop() {
                self.session.check_stop()?;
                if self.step(step?)? {
                    return self.finish();
                }
                if self.is_checkpoint_due() {
                    // What was stored early is yet to be referred to by something that the checkpoint holds.
                    self.stores_early = false;
                    if self.stored_early == 0 {
                        self = self.checkpoint()?;
                        self.stores_early = true;
                    }
                }
            }
            for number in arrived {
                if let Some(Ok(step)) = in_order.waiting(number) {
                    self.arrived(step)?;
                }
            }
        }
        unreachable!("whoever feeds the steps ends with one that says so, unless a thread panicked and has said why");
    }

    /// Stores a large chunk before its turn has come: else it would wait for the longest before it, and take room meanwhile.
    fn arrived(&mut self, step: &mut Step) -> Result<(), SessionError> {
        if let Step::Chunk(chunk) = step
            && self.stores_early
            && chunk.size >= LARGE
        {
            let chunk = self.store(chunk)?;
            self.stored_early += 1;
            self.budget.give_back(chunk_bytes(chunk.size as usize));
            *step = Step::Stored(chunk);
        }
        Ok(())
    }

    /// Does one step and gives its weight back; returns whether it was the last.
    fn step(&mut self, step: Step) -> Result<bool, CreateError> {
        let weight = step.weight();
        let is_last = self.apply(step)?;
        self.budget.give_back(weight);
        let files = self.stats.files() + self.stats.others;
        let bytes = self.stats.size + self.chunks_size;
        self.monitor.progress(Progress { files, bytes, stored_bytes: self.stats.stored_bytes });
        Ok(is_last)
    }

    fn apply(&mut self, step: Step) -> Result<bool, CreateError> {
        match step {
            Step::Chunk(mut chunk) => {
                let chunk = self.store(&mut chunk)?;
                self.chunk(chunk);
            }
            Step::Stored(chunk) => {
                self.stored_early -= 1;
                self.chunk(chunk);
            }
            Step::Begun(item) => self.begun = Some(item),
            Step::Again => self.discard_chunks(),
            Step::File(file) => self.file(*file)?,
            Step::Other(item) => {
                self.item(&item)?;
                self.ways_out.see(&item);
                if FileType::from_raw_mode(item.mode) == FileType::RegularFile {
                    // Another link of a file that is in the archive.
                    self.sources.file(&item.path);
                }
                self.stats.others += 1;
            }
            Step::TimeClamped(path) => {
                self.stats.times_clamped += 1;
                self.monitor.notice(Notice::TimeClamped(as_path(&path)));
            }
            Step::LeftOut { path, reason } => {
                self.sources.left_out(&path);
                self.left_out(&path, reason);
            }
            Step::Failed(error) => self.failed(&error),
            Step::TornOff(path) => {
                self.discard_chunks();
                self.roots.told(&path);
                self.torn(&path);
            }
            Step::Several(steps) => {
                for step in steps {
                    if self.apply(step)? {
                        return Ok(true);
                    }
                }
            }
            Step::RootFailed(error) => return Err(error.into()),
            Step::End => return Ok(true),
        }
        Ok(false)
    }

    /// Stores a chunk, unless the repository has it, and refers to it.
    fn store(&mut self, chunk: &mut SealedChunk) -> Result<ChunkRef, SessionError> {
        let SealedChunk { id, size, object } = SealedChunk { object: chunk.object.take(), ..*chunk };
        let known = super::read(self.index).get(&id).map(|entry| entry.csize);
        let csize = match (known, object) {
            (Some(csize), _) => csize,
            (None, Some(object)) => {
                let csize = object.len() as u32;
                self.change.put(id, object)?;
                self.stats.stored(csize);
                super::write(self.index).heal(&id, csize);
                csize
            }
            (None, None) => unreachable!("the index only grows while an archive is made"),
        };
        let chunk = ChunkRef { id, size, csize };
        super::write(self.index).reference(&chunk);
        self.checkpoints.shared.jobs.stored(size as usize);
        Ok(chunk)
    }

    /// Takes the next chunk of the file whose chunks come.
    fn chunk(&mut self, chunk: ChunkRef) {
        self.chunks.push(chunk);
        self.chunks_size += u64::from(chunk.size);
    }

    fn file(&mut self, file: FinishedFile) -> Result<(), SessionError> {
        let FinishedFile { mut item, path, state, remembered, reading } = file;
        self.begun = None;
        if state == FileState::Unchanged {
            let mut index = super::write(self.index);
            item.chunks.iter().flatten().for_each(|chunk| index.reference(chunk));
        } else {
            item.chunks = Some(std::mem::take(&mut self.chunks));
            self.chunks_size = 0;
        }
        let chunks = item.chunks.as_deref().unwrap_or_default();
        let size = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        self.stats.size += size;
        self.csize += chunks.iter().map(|chunk| u64::from(chunk.csize)).sum::<u64>();
        match remembered {
            Some(Remembered::Unchanged(number)) => self.found.unchanged(number),
            Some(Remembered::Changed { key, look, bare }) => {
                let last = self.checkpoints.shared.files();
                self.found.changed(&last, key, look, bare, chunks.iter().map(|chunk| chunk.id));
            }
            None => {}
        }
        item.size = Some(size);
        self.item(&item)?;
        self.sources.file(&item.path);
        match state {
            FileState::New => self.stats.files_new += 1,
            FileState::Changed => self.stats.files_changed += 1,
            FileState::Unchanged => self.stats.files_unchanged += 1,
        }
        self.stats.read_bytes += reading.read_bytes;
        if reading.torn {
            self.torn(&path);
        }
        if !reading.defects.is_empty() {
            self.stats.files_broken += 1;
            self.amiss.note(Flaw::Broken, &path);
            self.monitor.notice(Notice::FileBroken { path: as_path(&path), defects: &reading.defects });
        }
        Ok(())
    }

    fn torn(&mut self, path: &[u8]) {
        self.stats.files_torn += 1;
        self.amiss.note(Flaw::Torn, path);
        self.monitor.notice(Notice::FileChanged(as_path(path)));
    }

    fn item(&mut self, item: &Item) -> Result<(), SessionError> {
        self.roots.archived(&item.path);
        self.items.push(item, &mut self.change, self.index, &mut self.stats)
    }

    fn left_out(&mut self, path: &[u8], reason: Reason) {
        self.roots.told(path);
        let path = as_path(path);
        // By another way the same directory can have another name; which of ours it is does not matter much.
        let same = |own: &&(PathBuf, &'static str)| own.0.ends_with(path.file_name().unwrap_or_default());
        let what = match reason {
            Reason::Directory => {
                self.options.left_out.iter().find(same).map_or("a directory of Worldkeeper's own", |own| own.1)
            }
            Reason::Name => "a lock that the game holds",
            Reason::Tag => "tagged as one to leave out",
            Reason::OtherFileSystem => "of another file system",
            // Asked for by the user, nothing that could be stored, or in the archive by its other name.
            Reason::Pattern | Reason::Socket | Reason::Again => return,
        };
        self.monitor.notice(Notice::LeftOut { path, what });
    }

    /// Has no use for the chunks of the file whose chunks come.
    fn discard_chunks(&mut self) {
        // What was stored of the file may meanwhile have been found by a sealer that looked for a chunk of another
        // file. So the references stay until the end, and only then is seen which chunks nobody else needs.
        self.orphans.append(&mut self.chunks);
        self.chunks_size = 0;
        self.begun = None;
    }

    fn failed(&mut self, error: &SourceError) {
        self.discard_chunks();
        // That an attribute could not be read does not keep the rest out.
        if error.action != Action::ReadAttributes && error.action != Action::Judge && self.roots.told(&error.path) {
            self.stats.roots_failed += 1;
        }
        if error.vanished() {
            self.stats.files_vanished += 1;
            self.monitor.notice(Notice::FileVanished(as_path(&error.path)));
        } else {
            self.stats.files_failed += 1;
            self.stats.directories_failed += u64::from(error.action == Action::List);
            self.amiss.note(Flaw::Unread, &error.path);
            self.monitor.notice(Notice::FileFailed(error));
        }
    }

    /// The metadata of an archive with these items, packed; `parts` are those of them that are parts of files.
    pub(super) fn metadata(
        &self,
        name: &ArchiveName,
        items: Vec<ChunkId>,
        parts: &[Item],
    ) -> Result<Vec<u8>, SessionError> {
        let chunks = || parts.iter().flat_map(|part| part.chunks.iter().flatten());
        let metadata = ArchiveMetadata {
            time_end: Some(self.session.now()),
            hostname: Some(self.options.hostname.clone().into_bytes()),
            username: Some(self.options.username.clone().into_bytes()),
            comment: Some(self.comment().into_bytes()),
            chunker_params: Some(cuts::to_value(&self.options.chunker_params)),
            size: Some(self.stats.size),
            csize: Some(self.csize),
            nfiles: Some(self.stats.files()),
            size_parts: Some(chunks().map(|chunk| u64::from(chunk.size)).sum()),
            csize_parts: Some(chunks().map(|chunk| u64::from(chunk.csize)).sum()),
            nfiles_parts: Some(parts.len() as u64),
            cwd: Some(self.options.cwd.clone()),
            ..ArchiveMetadata::new(name.clone(), items, self.options.cmdline.clone(), self.archive.start)
        };
        let mut salt = [0; 64];
        random::fill(&mut salt)?;
        Ok(metadata.encode(self.session.key(), &salt))
    }

    /// What was to be remarked, and what is amiss.
    fn comment(&self) -> String {
        let comment = &self.options.comment;
        match self.amiss.text() {
            None => comment.clone(),
            Some(amiss) if comment.is_empty() => amiss,
            Some(amiss) => format!("{comment}\n{amiss}"),
        }
    }

    /// Commits what there is as a checkpoint, and begins to change anew; returns its manifest's id, too.
    pub(super) fn commit_and_go_on(self) -> Result<(Self, ChunkId), SessionError> {
        let committed = self.change.commit(self.session)?;
        // From here on it is what the repository holds, whatever follows.
        let committed = self.checkpoints.saved.insert(committed);
        self.session.saved(committed)?;
        let (change, manifest_id) = (self.session.begin_after(committed)?, committed.manifest_id());
        Ok((Self { change, ..self }, manifest_id))
    }

    /// When the archive was begun.
    pub(super) fn start(&self) -> Timestamp {
        self.archive.start
    }

    /// Gives references back, and deletes what nobody refers to any more. Only at the end, when no sealer looks for
    /// chunks.
    pub(super) fn release(&mut self, ids: impl IntoIterator<Item = ChunkId>) -> Result<(), SessionError> {
        for id in ids {
            if super::write(self.index).release(&id) {
                self.change.delete(id)?;
            }
        }
        Ok(())
    }

    /// Closes the archive and commits.
    fn finish(mut self) -> Result<(Committed, Created, FoundFiles), CreateError> {
        if let Some(lost) = self.roots.lost() {
            return Err(CreateError::Lost { path: lost.path.clone() });
        }
        if let Some((path, target, more)) = self.ways_out.found() {
            self.monitor.notice(Notice::LeadsOut { path: as_path(path), target: as_path(target), more });
        }
        // What is read back after the commit needs some memory, too.
        self.checkpoints.shared.buffers.give_up();
        let end = self.session.now();
        let items = self.items.finish(&mut self.change, self.index, &mut self.stats)?;
        let Archive { name, start } = &self.archive;
        let (name, start) = (name.clone(), *start);
        let packed = self.metadata(&name, items, &[])?;
        let key = self.session.key();
        let archive = store(&packed, key, &mut self.sealer, &mut self.change, self.index, &mut self.stats)?;
        let orphans = std::mem::take(&mut self.orphans);
        self.remove_own_checkpoint()?;
        self.release(orphans.iter().map(|chunk| chunk.id))?;
        let sources = self.sources.list();
        let has_all = self.stats.may_be_all() && sources.iter().all(|source| source.files > 0);
        if has_all && self.options.old_checkpoints == OldCheckpoints::Go {
            self.remove_old_checkpoints()?;
        }
        self.change.manifest.archives.insert(name.clone(), ArchiveEntry { id: archive.id, time: start });
        let committed = self.change.commit(self.session)?;
        let (stats, amiss) = (self.stats, self.amiss.text());
        let created = Created { name, id: archive.id, start, end, stats, amiss, sources };
        Ok((committed, created, self.found))
    }
}

/// Chunks of so many bytes do not wait for their turn; smaller ones take little room.
const LARGE: u32 = 256 * 1024;
