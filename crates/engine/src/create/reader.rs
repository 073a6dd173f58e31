//! The front of the pipeline: walks the sources, passes over what did not change, cuts what did.

use jiff::Timestamp;
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::ChunkId;

use super::CreateOptions;
use super::content::Blocks;
use super::feed::Feed;
use super::step::{FileState, FinishedFile, Remembered, Step};
use crate::cache::{FilesCache, Look, PathKey};
use crate::pipeline::Closed;
use crate::session::SessionError;
use crate::source::{Entry, Found, SourceError, Stat, Verdict, Walker};

/// Makes the steps of an archive, in order.
pub(super) struct Reader {
    walker: Walker,
    pub(super) feed: Feed,
    /// How files are cut if holes count.
    pub(super) blocks: Option<Blocks>,
}

/// Why a file's content ended early.
pub(super) enum Interrupted {
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

impl Reader {
    pub(super) fn new(walker: Walker, options: &CreateOptions, feed: Feed) -> Self {
        let blocks = Blocks::of(&options.chunker_params).filter(|_| options.sparse);
        Self { walker, feed, blocks }
    }

    /// Works until the tree ends or nobody listens any more.
    pub(super) fn run(mut self) {
        // An error says that the writer ended first and knows why.
        let _ = self.walk();
    }

    fn walk(&mut self) -> Result<(), Closed> {
        loop {
            if self.feed.shared.is_stopped() {
                return self.feed.send_error(SessionError::Stopped);
            }
            match self.walker.next() {
                Ok(None) => return self.feed.send(Step::End),
                Ok(Some(found)) => self.found(found)?,
                Err(error) => return self.feed.send(Step::RootFailed(error)),
            }
        }
    }

    fn found(&mut self, found: Found) -> Result<(), Closed> {
        match found {
            Found::Entry(entry) if entry.has_content() => self.file(entry),
            Found::Entry(entry) => {
                self.archived(&entry)?;
                self.feed.send(Step::Other(Box::new(entry.item)))
            }
            Found::LeftOut { path, reason } => self.feed.send(Step::LeftOut { path, reason }),
            Found::Failed(error) => self.feed.send(Step::Failed(error)),
        }
    }

    fn file(&mut self, mut entry: Entry) -> Result<(), Closed> {
        let key = FilesCache::key_of(&self.feed.shared.key, &entry.item.path);
        let is_special = entry.is_special();
        if !is_special && let Some((number, chunks)) = self.unchanged(&key, look(&entry.stat)) {
            entry.item.chunks = Some(chunks);
            let remembered = Some(Remembered::Unchanged(number));
            return self.finish_file(entry, FileState::Unchanged, remembered, false, 0);
        }
        let is_known = !is_special && self.feed.shared.files().contains(&key);
        let state = if is_known { FileState::Changed } else { FileState::New };
        match self.read_until_still(&mut entry) {
            Ok(Reading { verdict: Verdict::Unchanged, looked, read_bytes }) => {
                let remembered = (!is_special && may_be_remembered(&entry.stat, looked))
                    .then(|| Remembered::Changed { key, look: look(&entry.stat) });
                self.finish_file(entry, state, remembered, false, read_bytes)
            }
            Ok(Reading { verdict: Verdict::Changed, read_bytes, .. }) => {
                self.finish_file(entry, state, None, true, read_bytes)
            }
            Err(Interrupted::Closed) => Err(Closed),
            Err(Interrupted::Source(error)) => {
                self.feed.pending.clear();
                self.feed.chunker.restart();
                self.feed.send(Step::Failed(error))
            }
        }
    }

    /// Reads a file, and reads it again a few times if it is written to meanwhile: most games write in short bursts.
    fn read_until_still(&mut self, entry: &mut Entry) -> Result<Reading, Interrupted> {
        let mut all_read_bytes = 0;
        let mut last: Option<Reading> = None;
        for _ in 0..READINGS {
            // What changes from now on is newer than what is read.
            let looked = self.feed.shared.now();
            let file = match (self.walker.open(entry), last.take()) {
                (Ok(file), None) => file,
                (Ok(file), Some(_)) => {
                    self.feed.send(Step::Again)?;
                    file
                }
                (Err(error), None) => return Err(error.into()),
                // It is gone, or cannot be read any more: what was read is what there is.
                (Err(_), Some(torn)) => return Ok(torn),
            };
            if file.size() > self.feed.chunker.max_chunk_size() as u64 {
                self.feed.send(Step::Begun(Box::new(entry.item.clone())))?;
            }
            let is_long = file.size() > LONG;
            let (verdict, read_bytes) = self.content(file)?;
            all_read_bytes += read_bytes;
            let reading = Reading { verdict, looked, read_bytes: all_read_bytes };
            if verdict == Verdict::Unchanged || is_long {
                return Ok(reading);
            }
            last = Some(reading);
        }
        Ok(last.expect("it was read at least once"))
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
        self.feed.send(Step::File(Box::new(file)))
    }

    /// Is called for everything that is about to be in the archive.
    fn archived(&mut self, entry: &Entry) -> Result<(), Closed> {
        self.walker.archived(entry);
        if entry.has_clamped_time() { self.feed.send(Step::TimeClamped(entry.path.clone())) } else { Ok(()) }
    }

    /// The number in the files cache and the chunks of a file that did not change; `None` if it did, or the repository
    /// lost one of them.
    fn unchanged(&self, key: &PathKey, look: Look) -> Option<(u32, Vec<ChunkRef>)> {
        let files = self.feed.shared.files();
        let (number, chunks) = files.unchanged(key, look)?;
        let index = super::read(&self.feed.shared.index);
        let chunk_ref =
            |id: &ChunkId| index.get(id).map(|entry| ChunkRef { id: *id, size: entry.size, csize: entry.csize });
        Some((number, chunks.map(chunk_ref).collect::<Option<_>>()?))
    }
}

/// How a file was read in the end.
struct Reading {
    verdict: Verdict,
    /// When it was opened.
    looked: Timestamp,
    /// Those of earlier readings too.
    read_bytes: u64,
}

/// How often a file is read at most, until it is not written to meanwhile.
const READINGS: usize = 3;
/// What is longer, in bytes, is read once: to read it takes so long that it would be written to the next time, too.
const LONG: u64 = 1 << 30;

fn look(stat: &Stat) -> Look {
    Look { inode: stat.id.ino, size: stat.size, ctime_ns: stat.ctime_ns }
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
