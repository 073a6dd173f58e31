//! Finding out what a repository contains: from its state files if they are of its last commit, else by replay.

use tracing::{info, warn};
use worldkeeper_core::time::to_text;
use worldkeeper_core::{ChunkId, RepositoryError, error_text};

use crate::LocalRepository;
use crate::hints::Hints;
use crate::index::Index;
use crate::options::Mode;
use crate::replay::Replay;
use crate::segment::COMMIT_SEGMENT_BYTES;
use crate::sync::lock;

/// What a repository contains.
pub(crate) struct Loaded {
    pub(crate) index: Index,
    /// `None` until a transaction needs them, and while it has them.
    pub(crate) hints: Option<Hints>,
    /// The segment that ends with the last COMMIT; `None` in a repository without any.
    pub(crate) transaction: Option<u32>,
}

impl LocalRepository {
    /// Finds out what the last commit left, and writes the state files anew if they do not say so.
    pub(crate) fn load(&self) -> Result<Loaded, RepositoryError> {
        let segments = self.segments.list()?;
        self.refuse_attic(&segments)?;
        let committed = self.last_commit(&segments)?;
        let indexed = self.state_files.transaction()?;
        let Some(committed) = committed else { return self.without_commit(&segments) };
        if indexed == Some(committed)
            && let Some(index) = self.state_files.load_index(committed)
        {
            return Ok(Loaded { index, hints: None, transaction: Some(committed) });
        }
        let base = indexed.filter(|indexed| *indexed < committed).and_then(|indexed| {
            Some((indexed, (self.state_files.load_index(indexed)?, self.state_files.load_hints(indexed)?)))
        });
        self.replay(&segments, base, committed)
    }

    /// Loads what a transaction needs besides the index; a replay may be necessary for that.
    pub(crate) fn load_for_writing(&self) -> Result<(Hints, Option<u32>), RepositoryError> {
        let transaction = self.with_loaded(|loaded| loaded.transaction)?;
        self.require_compaction_whole(transaction)?;
        let hints = self.with_loaded_mut(|loaded| loaded.hints.take())?;
        let (Some(transaction), None) = (transaction, &hints) else {
            return Ok((hints.unwrap_or_default(), transaction));
        };
        if let Some(hints) = self.state_files.load_hints(transaction) {
            return Ok((hints, Some(transaction)));
        }
        let mut replayed = self.replay(&self.segments.list()?, None, transaction)?;
        let hints = replayed.hints.take().unwrap_or_default();
        self.with_loaded_mut(|loaded| *loaded = replayed)?;
        Ok((hints, Some(transaction)))
    }

    /// Writes the state files of the last commit, and in an append-only repository a line about it.
    pub(crate) fn save_state(&self, transaction: u32, index: &Index, hints: &Hints) -> Result<(), RepositoryError> {
        if self.is_append_only() {
            let path = self.path.join("transactions");
            let line = format!("transaction {transaction}, UTC time {}\n", to_text(self.clock.now()));
            let mut log = match self.disk.open_append(&path) {
                Err(error) if error.is_not_found() => self.disk.create(&path)?,
                result => result?,
            };
            log.append(line.as_bytes())?;
        }
        Ok(self.state_files.save(transaction, index, hints)?)
    }

    /// Requires that the segments are not those of borg's predecessor.
    pub(crate) fn refuse_attic(&self, segments: &[u32]) -> Result<(), RepositoryError> {
        if let Some(latest) = segments.last()
            && self.segments.is_from_attic(*latest)?
        {
            return Err(RepositoryError::NotARepository {
                path: self.path.display().to_string(),
                reason: "it is an attic repository, which borg 1.2 can upgrade".into(),
            });
        }
        Ok(())
    }

    /// The last segment that ends with an intact COMMIT.
    pub(crate) fn last_commit(&self, segments: &[u32]) -> Result<Option<u32>, RepositoryError> {
        for segment in segments.iter().rev() {
            if self.segments.is_committed(*segment)? {
                return Ok(Some(*segment));
            }
        }
        Ok(None)
    }

    /// Requires that the last commit there is was not made in the middle of a compaction that went on to its end, nor just
    /// before one.
    ///
    /// Where the last commit is lost, the one before counts. But behind a compaction's end its sources are gone, so
    /// that what it copied after a commit in its middle, the only one that shares a segment, or after the one that it followed, is
    /// nowhere else: the next writer must not remove it. Only state files tell that the end was reached; they are kept, too.
    pub(crate) fn require_compaction_whole(&self, committed: Option<u32>) -> Result<(), RepositoryError> {
        let (Some(committed), Some(witnessed)) = (committed, self.state_files.witnessed()?) else { return Ok(()) };
        if witnessed <= committed {
            return Ok(());
        }
        let which = if self.segments.len(committed)? != Some(COMMIT_SEGMENT_BYTES) {
            "in the middle of"
        } else if self.has_compacted(committed, witnessed)? {
            "just before"
        } else {
            return Ok(());
        };
        Err(RepositoryError::CheckNeeded(format!(
            "there are state files of transaction {witnessed}, but the last intact commit stands in segment {committed}, \
             {which} a compaction whose sources are gone: segment {witnessed}, which held a commit and nothing else, must be \
             brought back (all segments of 17 bytes are alike). A repair of ours does that; one of stock borg would remove what \
             was copied"
        )))
    }

    /// Returns whether what was stored between two commits are copies that a compaction made.
    ///
    /// Whoever changes something stores the manifest, and a compaction does not: it leaves the manifest where it is, or moves
    /// it, so that there is none any more at the commit before. Without an index of the later commit nothing tells.
    fn has_compacted(&self, committed: u32, witnessed: u32) -> Result<bool, RepositoryError> {
        let mut stored = false;
        for segment in self.segments.list()? {
            let len = if segment > committed { self.segments.len(segment)? } else { None };
            stored |= len.is_some_and(|len| len > COMMIT_SEGMENT_BYTES);
        }
        if !stored {
            return Ok(false);
        }
        let Some(index) = self.state_files.load_index(witnessed) else { return Ok(false) };
        match index.get(&ChunkId::MANIFEST) {
            Some(manifest) if manifest.segment > committed => {
                self.with_loaded(|loaded| loaded.index.get(&ChunkId::MANIFEST).is_none())
            }
            manifest => Ok(manifest.is_some()),
        }
    }

    /// A repository in which no commit can be found. It is a new one only if nothing hints at lost ones: the next
    /// writer removes every segment that is not committed.
    fn without_commit(&self, segments: &[u32]) -> Result<Loaded, RepositoryError> {
        if let Some(witnessed) = self.state_files.witnessed()? {
            return Err(RepositoryError::CheckNeeded(format!(
                "there are state files of transaction {witnessed}, but no segment with an intact commit"
            )));
        }
        for segment in segments {
            if self.segments.len(*segment)?.is_none() {
                continue;
            }
            // Numbers begin with 0, and only a compaction, which comes after commits, removes the first ones.
            if *segment == 0 {
                break;
            }
            return Err(RepositoryError::CheckNeeded(format!(
                "the first segment is {segment}, so that there were commits, but no segment with an intact one is left"
            )));
        }
        for segment in segments {
            if self.segments.ends_with_commit(*segment)? {
                return Err(RepositoryError::CheckNeeded(format!(
                    "segment {segment} ends with a commit but is damaged, and no other commit is left"
                )));
            }
        }
        Ok(Loaded { index: Index::new(), hints: Some(Hints::default()), transaction: None })
    }

    /// Replays the segments behind `base`, or all, up to the last commit, and keeps what that gives.
    fn replay(
        &self,
        segments: &[u32],
        base: Option<(u32, (Index, Hints))>,
        committed: u32,
    ) -> Result<Loaded, RepositoryError> {
        let (index, hints) = self.replay_behind(segments, base, committed)?;
        self.keep_replayed(committed, &index, &hints);
        Ok(Loaded { index, hints: Some(hints), transaction: Some(committed) })
    }

    /// Replays all segments up to a commit.
    pub(crate) fn replay_all(&self, segments: &[u32], committed: u32) -> Result<(Index, Hints), RepositoryError> {
        self.replay_behind(segments, None, committed)
    }

    fn replay_behind(
        &self,
        segments: &[u32],
        base: Option<(u32, (Index, Hints))>,
        committed: u32,
    ) -> Result<(Index, Hints), RepositoryError> {
        let (from, earlier) = base.unzip();
        // An empty segment is one that stock was about to remove.
        let mut existing = Vec::with_capacity(segments.len());
        for segment in segments {
            if self.segments.len(*segment)?.is_some() {
                existing.push(*segment);
            }
        }
        let behind = existing.iter().filter(|segment| Some(**segment) > from && **segment <= committed);
        warn!("replaying {} segments of {}", behind.clone().count(), self.path.display());
        let mut replay = Replay::new(&self.segments, &existing, earlier);
        for segment in behind {
            if self.stop.is_requested() {
                return Err(RepositoryError::Stopped);
            }
            replay.segment(*segment)?;
        }
        Ok(replay.finish())
    }

    /// Saves what a replay has found, if that is possible now. If not, the next one to open replays again.
    fn keep_replayed(&self, transaction: u32, index: &Index, hints: &Hints) {
        let Some(repository_lock) = &self.lock else { return };
        let mut repository_lock = lock(repository_lock);
        let shared = self.mode == Mode::Shared;
        let result = (|| {
            if self.state_files.witnessed()? > Some(transaction) {
                // The state files of a lost commit are all that tells of it; a check wants to know, a repair brings it back.
                return Ok(());
            }
            if shared {
                repository_lock.upgrade()?;
            }
            repository_lock.verify()?;
            // State files say that their commit is durable.
            let durable = self.segments.make_durable(Some(transaction));
            let saved = durable.and_then(|()| self.save_state(transaction, index, hints));
            if shared {
                repository_lock.downgrade()?;
            }
            saved
        })();
        if let Err(error) = result {
            info!("the replayed index is not saved: {}", error_text(&error));
        }
    }
}
