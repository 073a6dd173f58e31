//! The front of the pipeline: walks the sources, passes over what did not change, cuts what did.

use jiff::Timestamp;
use rustix::thread::{CapabilitySet, capabilities};
use worldkeeper_archive::ChunkRef;
use worldkeeper_core::{ChunkId, FileFormat};

use super::CreateOptions;
use super::caution::Caution;
use super::content::Blocks;
use super::feed::Feed;
use super::growth::Growth;
use super::judging::Judging;
use super::plan::{Asked, Planner};
use super::step::{FileState, FinishedFile, Reading, Remembered, Step};
use crate::cache::{Bare, FilesCache, Look, Next, PathKey};
use crate::pipeline::Closed;
use crate::session::SessionError;
use crate::source::{Action, Entry, Found, SourceError, Stat, Walker};

/// Makes the steps of an archive, in order.
pub(super) struct Reader {
    walker: Walker,
    pub(super) feed: Feed,
    /// How files are cut if holes count.
    pub(super) blocks: Option<Blocks>,
    /// How files are cut whose formats somebody knows.
    pub(super) planner: Planner,
    /// What is known of formats, to tell whether files are whole.
    formats: &'static [&'static dyn FileFormat],
    /// What it means that a file shows no extended attributes and no ACLs.
    bare: Bare,
    /// The last file that belongs to no other, as walked, and what it was when it was read.
    main: (Vec<u8>, Option<Stat>),
    /// When what was read is known the next time.
    caution: Caution,
    /// Among the files of the last archive, and among chunks.
    next_file: Next,
    next_chunk: Next,
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
        let planner = Planner::new(options, &feed.shared);
        let shows_all = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        let bare = if shows_all { Bare::Wholly } else { Bare::AsFarAsShown };
        let caution = if feed.shared.files().is_empty() { Caution::Tick } else { Caution::Writeback };
        let (main, next_file, next_chunk) = Default::default();
        Self { walker, feed, blocks, planner, formats: options.formats, bare, main, caution, next_file, next_chunk }
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
                self.feed.send(Step::Other(entry.item))
            }
            Found::LeftOut { path, reason } => self.feed.send(Step::LeftOut { path, reason }),
            Found::Failed(error) => self.failed(error),
        }
    }

    /// What vanished is nothing to worry about, unless it left a file alone that is not what it was.
    fn failed(&mut self, error: SourceError) -> Result<(), Closed> {
        let is_torn_off = error.vanished() && self.is_apart(&error.path);
        self.feed.send(if is_torn_off { Step::TornOff(error.path) } else { Step::Failed(error) })
    }

    /// Returns whether what was just come upon belongs to a file that was read before, and was written to since: then no moment
    /// has both as they are in the archive.
    fn is_apart(&self, path: &[u8]) -> bool {
        let (main, as_read) = &self.main;
        self.walker.main_of(path).is_some_and(|(path, now)| path == *main && now != *as_read)
    }

    fn file(&mut self, mut entry: Entry) -> Result<(), Closed> {
        let key = FilesCache::key_of(&self.feed.shared.key, &entry.item.path);
        let is_special = entry.is_special();
        if !is_special && let Some((number, bare, chunks)) = self.unchanged(&key, look(&entry.stat)) {
            let is_bare = bare >= self.bare && entry.shows_attributes();
            if !is_bare && let Err(error) = self.walker.read_attributes(&mut entry) {
                return self.failed(error);
            }
            entry.item.chunks = Some(chunks);
            let remembered = Some(Remembered::Unchanged(number));
            let reading = Reading { torn: self.is_apart(&entry.path), ..Reading::default() };
            return self.finish_file(entry, FileState::Unchanged, remembered, reading);
        }
        // An attribute that it gets from now on is newer than what is read.
        let asked = self.feed.shared.now();
        if let Err(error) = self.walker.read_attributes(&mut entry) {
            return self.unread(error);
        }
        let is_known = !is_special && self.feed.shared.files().contains(&key);
        let state = if is_known { FileState::Changed } else { FileState::New };
        match self.read_until_still(&mut entry, &key) {
            Ok((mut reading, looked)) => {
                reading.torn |= self.is_apart(&entry.path);
                // A broken file is read again the next time, and told again: nobody should believe that it was mended.
                let is_known_next_time = !is_special && reading.is_good();
                let look = look(&entry.stat);
                let look = if self.caution.trusts(&entry.stat, looked) { look } else { look.of_none() };
                let is_bare = entry.is_bare() && Caution::Tick.trusts(&entry.stat, asked);
                let remembered = is_known_next_time.then_some(Remembered::Changed {
                    key,
                    look,
                    bare: if is_bare { self.bare } else { Bare::No },
                });
                self.finish_file(entry, state, remembered, reading)
            }
            Err(Interrupted::Closed) => Err(Closed),
            Err(Interrupted::Source(error)) if error.action == Action::Open => self.unread(error),
            Err(Interrupted::Source(error)) => {
                self.feed.pending.clear();
                self.feed.chunker.restart();
                self.failed(error)
            }
        }
    }

    /// Of a file nothing was read: if it has vanished, it may only be about to be replaced.
    fn unread(&mut self, error: SourceError) -> Result<(), Closed> {
        if error.vanished() && self.walker.comes_again(&error.path) { Ok(()) } else { self.failed(error) }
    }

    /// Reads a file, and reads it again a few times if it is written to meanwhile, or is broken and may just be in the
    /// middle of being written: most games write in short bursts. Returns when it was opened, too.
    fn read_until_still(&mut self, entry: &mut Entry, key: &PathKey) -> Result<(Reading, Timestamp), Interrupted> {
        let mut all_read_bytes = 0;
        let mut growth = Growth::default();
        let mut last: Option<(Reading, Timestamp)> = None;
        for _ in 0..READINGS {
            // What changes from now on is newer than what is read.
            let looked = self.feed.shared.now();
            let file = match (self.walker.open(entry), last.take()) {
                (Ok(file), None) => file,
                (Ok(file), Some(_)) => {
                    self.feed.send(Step::Again)?;
                    growth.read_again();
                    file
                }
                (Err(error), None) => return Err(error.into()),
                // It is gone, or cannot be read any more: what was read is what there is.
                (Err(_), Some(torn)) => return Ok(torn),
            };
            if file.size() > self.feed.chunker.max_chunk_size() as u64 {
                self.feed.send(Step::Begun(entry.item.clone()))?;
            }
            let is_long = file.size() > LONG;
            let formats = if entry.is_special() { &[] } else { self.formats };
            let asked = Asked { path: &entry.path, key: (!entry.is_special()).then_some(key), looked };
            let reading = self.content(file, Judging::new(formats, &entry.path, &mut growth), &asked)?;
            all_read_bytes += reading.read_bytes;
            let torn = reading.torn && !growth.is_slow();
            let reading = Reading { torn, read_bytes: all_read_bytes, ..reading };
            let is_still = !torn && (reading.is_good() || !may_be_half_written(&entry.stat, looked));
            if is_still || is_long {
                return Ok((reading, looked));
            }
            last = Some((reading, looked));
        }
        Ok(last.expect("it was read at least once"))
    }

    fn finish_file(
        &mut self,
        entry: Entry,
        state: FileState,
        remembered: Option<Remembered>,
        reading: Reading,
    ) -> Result<(), Closed> {
        self.archived(&entry)?;
        if self.walker.may_be_main(&entry) {
            let (path, as_read) = &mut self.main;
            path.clone_from(&entry.path);
            *as_read = Some(entry.stat);
        }
        let path = if reading.is_good() { Vec::new() } else { entry.path }.into();
        let file = FinishedFile { item: entry.item, path, state, remembered, reading };
        self.feed.send(Step::File(Box::new(file)))
    }

    /// Is called for everything that is about to be in the archive.
    fn archived(&mut self, entry: &Entry) -> Result<(), Closed> {
        self.walker.archived(entry);
        if entry.has_clamped_time() { self.feed.send(Step::TimeClamped(entry.path.clone())) } else { Ok(()) }
    }

    /// Of a file that did not change the number in the files cache, whether it was bare, and its chunks; `None` if it did,
    /// or the repository lost one of them.
    fn unchanged(&mut self, key: &PathKey, look: Look) -> Option<(u32, Bare, Vec<ChunkRef>)> {
        let files = self.feed.shared.files();
        let (number, bare, chunks) = files.unchanged(key, look, &mut self.next_file)?;
        let index = super::read(&self.feed.shared.index);
        let chunk_ref = |id: &ChunkId| {
            let entry = index.get_next(id, &mut self.next_chunk)?;
            Some(ChunkRef { id: *id, size: entry.size, csize: entry.csize })
        };
        Some((number, bare, chunks.map(chunk_ref).collect::<Option<_>>()?))
    }
}

/// How often a file is read at most, until it is not written to meanwhile, and whole.
const READINGS: usize = 3;
/// What is longer, in bytes, is read once: to read it takes so long that it would be written to the next time, too.
const LONG: u64 = 1 << 30;

fn look(stat: &Stat) -> Look {
    Look { inode: stat.id.ino, size: stat.size, ctime_ns: stat.ctime_ns }
}

/// Returns whether somebody may be in the middle of writing a file that nobody wrote to while it was read. What a game
/// writes in several steps is done in a moment; what was broken for longer stays so.
fn may_be_half_written(stat: &Stat, looked: Timestamp) -> bool {
    i128::from(stat.ctime_ns) + HALF_WRITTEN_NS > looked.as_nanosecond()
}

/// A minute.
const HALF_WRITTEN_NS: i128 = 60_000_000_000;
