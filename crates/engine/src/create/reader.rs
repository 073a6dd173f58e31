//! The front of the pipeline: walks the sources, passes over what did not change, cuts what did.

use std::sync::RwLock;

use crossbeam_channel::Sender;
use jiff::Timestamp;
use worldkeeper_archive::ChunkRef;
use worldkeeper_chunker::Chunker;

use super::CreateOptions;
use super::pending::Pending;
use super::sealer::Job;
use super::step::{FileState, FinishedFile, Numbered, Remembered, Step};
use crate::cache::{CachedFile, ChunkIndex, FilesCache, PathKey};
use crate::pipeline::{Budget, Closed, step_bytes};
use crate::session::{Session, SessionError};
use crate::source::{Entry, FileReader, Found, SourceError, Stat, Verdict, Walker};

/// Makes the steps of an archive, in order.
pub(super) struct Reader<'a> {
    walker: Walker,
    session: &'a Session,
    index: &'a RwLock<ChunkIndex>,
    files: &'a FilesCache,
    budget: &'a Budget,
    jobs: Sender<Job>,
    steps: Sender<Numbered>,
    next_number: u64,
    /// Steps that wait for company, and their weight.
    waiting: Vec<Step>,
    waiting_weight: usize,
    chunker: Chunker,
    pending: Pending,
}

/// Why a file's content ended early.
enum Interrupted {
    Source(SourceError),
    Closed,
}

impl From<Closed> for Interrupted {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<SourceError> for Interrupted {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl<'a> Reader<'a> {
    #[expect(clippy::too_many_arguments, reason = "these are the ends of all the pipes that meet here")]
    pub(super) fn new(
        walker: Walker,
        session: &'a Session,
        index: &'a RwLock<ChunkIndex>,
        files: &'a FilesCache,
        options: &CreateOptions,
        budget: &'a Budget,
        jobs: Sender<Job>,
        steps: Sender<Numbered>,
    ) -> Self {
        let chunker = Chunker::new(&options.chunker_params, session.key().chunk_seed());
        let pending = Pending::new(chunker.max_chunk_size());
        let (next_number, waiting, waiting_weight) = (0, Vec::new(), 0);
        Self {
            walker,
            session,
            index,
            files,
            budget,
            jobs,
            steps,
            next_number,
            waiting,
            waiting_weight,
            chunker,
            pending,
        }
    }

    /// Works until the tree ends or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.walk();
    }

    fn walk(&mut self) -> Result<(), Closed> {
        loop {
            if self.session.check_stop().is_err() {
                return self.send_error(SessionError::Stopped);
            }
            match self.walker.next() {
                Ok(None) => return self.send(Step::End),
                Ok(Some(found)) => self.found(found)?,
                Err(error) => return self.send(Step::RootFailed(error)),
            }
        }
    }

    fn found(&mut self, found: Found) -> Result<(), Closed> {
        match found {
            Found::Entry(entry) if entry.has_content() => self.file(entry),
            Found::Entry(entry) => {
                self.archived(&entry)?;
                self.send(Step::Other(Box::new(entry.item)))
            }
            Found::LeftOut { path, reason } => self.send(Step::LeftOut { path, reason }),
            Found::Failed(error) => self.send(Step::Failed(error)),
        }
    }

    fn file(&mut self, mut entry: Entry) -> Result<(), Closed> {
        let key = FilesCache::key_of(self.session.key(), &entry.item.path);
        let Stat { id, size, ctime_ns, .. } = entry.stat;
        if let Some(cached) = self.files.unchanged(&key, id.ino, size, ctime_ns)
            && let Some(chunks) = self.chunk_refs(cached)
        {
            let cached = cached.clone();
            entry.item.chunks = Some(chunks);
            let remembered = Some(Remembered { key, file: cached });
            return self.finish_file(entry, FileState::Unchanged, remembered, false, 0);
        }
        let state = if self.files.contains(&key) { FileState::Changed } else { FileState::New };
        // What changes from now on is newer than what is read.
        let looked = self.session.now();
        let content = self.walker.open(&mut entry).map_err(Interrupted::from).and_then(|file| self.content(file));
        match content {
            Ok((Verdict::Unchanged, read_bytes)) => {
                let remembered = may_be_remembered(&entry.stat, looked).then(|| remembered(key, &entry.stat));
                self.finish_file(entry, state, remembered, false, read_bytes)
            }
            Ok((Verdict::Changed, read_bytes)) => self.finish_file(entry, state, None, true, read_bytes),
            Err(Interrupted::Closed) => Err(Closed),
            Err(Interrupted::Source(error)) => {
                self.pending.clear();
                self.chunker.restart();
                self.send(Step::Failed(error))
            }
        }
    }

    fn finish_file(
        &mut self,
        entry: Entry,
        state: FileState,
        remembered: Option<Remembered>,
        torn: bool,
        read_bytes: u64,
    ) -> Result<(), Closed> {
        self.archived(&entry)?;
        let file = FinishedFile { item: entry.item, path: entry.path, state, remembered, torn, read_bytes };
        self.send(Step::File(Box::new(file)))
    }

    /// Is called for everything that is about to be in the archive.
    fn archived(&mut self, entry: &Entry) -> Result<(), Closed> {
        self.walker.archived(entry);
        if entry.has_clamped_time() { self.send(Step::TimeClamped(entry.path.clone())) } else { Ok(()) }
    }

    /// The chunks of a file that did not change; `None` if the repository lost one of them.
    fn chunk_refs(&self, cached: &CachedFile) -> Option<Vec<ChunkRef>> {
        let index = super::read(self.index);
        let chunk_ref = |id| index.get(id).map(|entry| ChunkRef { id: *id, size: entry.size, csize: entry.csize });
        cached.chunks.iter().map(chunk_ref).collect()
    }

    /// Reads a file and hands out its chunks; returns how much was read.
    fn content(&mut self, mut file: FileReader) -> Result<(Verdict, u64), Interrupted> {
        let mut read_bytes = 0;
        loop {
            let read = self.pending.fill(file.remaining(), |buffer| file.read(buffer))?;
            read_bytes += read as u64;
            let at_end = read == 0;
            while let Some(len) = self.chunker.next_cut(self.pending.bytes(), at_end) {
                self.send_chunk(len)?;
            }
            if at_end {
                return Ok((file.finish()?, read_bytes));
            }
            if self.session.check_stop().is_err() {
                return Ok(self.send_error(SessionError::Stopped).and(Err(Closed))?);
            }
        }
    }

    /// Hands out the next `len` bytes of what is pending.
    fn send_chunk(&mut self, len: usize) -> Result<(), Closed> {
        self.flush()?;
        self.budget.take(step_bytes(len))?;
        let chunk = self.pending.take(len);
        let number = self.next_number;
        self.next_number += 1;
        self.jobs.send(Job { number, chunk }).map_err(|_| Closed)
    }

    fn send(&mut self, step: Step) -> Result<(), Closed> {
        let is_last = matches!(step, Step::End | Step::RootFailed(_));
        self.waiting_weight += step.weight();
        self.waiting.push(step);
        if is_last || self.waiting.len() >= TOGETHER || self.waiting_weight >= TOGETHER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Hands the waiting steps over.
    fn flush(&mut self) -> Result<(), Closed> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting_weight = 0;
        let several = Step::Several(std::mem::take(&mut self.waiting));
        self.budget.take(several.weight())?;
        self.send_unweighed(Ok(several))
    }

    fn send_error(&mut self, error: SessionError) -> Result<(), Closed> {
        self.send_unweighed(Err(error))
    }

    fn send_unweighed(&mut self, step: Result<Step, SessionError>) -> Result<(), Closed> {
        let number = self.next_number;
        self.next_number += 1;
        self.steps.send((number, step)).map_err(|_| Closed)
    }
}

/// How many steps wait for one another at most: most files of a world do not change, and are steps of microseconds.
const TOGETHER: usize = 100;
/// How much they may weigh together.
const TOGETHER_BYTES: usize = 256 * 1024;

fn remembered(key: PathKey, stat: &Stat) -> Remembered {
    let file = CachedFile { inode: stat.id.ino, size: stat.size, ctime_ns: stat.ctime_ns, chunks: Box::default() };
    Remembered { key, file }
}

/// Returns whether the next change of a file will show in its ctime. Clocks of file systems tick: two changes within
/// one tick look like one, and we may have read between them.
fn may_be_remembered(stat: &Stat, looked: Timestamp) -> bool {
    // A time without a fraction is most likely from a file system that has none.
    let tick_ns = if stat.ctime_ns % 1_000_000_000 == 0 { COARSE_TICK_NS } else { FINE_TICK_NS };
    i128::from(stat.ctime_ns) + tick_ns < looked.as_nanosecond()
}

/// Several ticks of a kernel that counts 100 in a second.
const FINE_TICK_NS: i128 = 100_000_000;
/// FAT stores every other second.
const COARSE_TICK_NS: i128 = 3_000_000_000;
