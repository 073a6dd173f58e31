//! Which archives hold which version of a file.
//!
//! Archives are read from the oldest to the newest, and neighbours that hold the same version are one finding. What is
//! found is kept until all are read; where it would be more than [`BUDGET_BYTES`], the last paths are left for another
//! round over the archives, so that any number of findings comes in the order of their paths.

mod versions;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use worldkeeper_archive::Item;
use worldkeeper_core::ChunkId;

pub use versions::Version;

use crate::patterns::{PatternTooSlow, Selection};
use crate::series;
use crate::session::{ArchiveInfo, Session, SessionError};
use versions::{Content, Holder, State, Versions};

/// How much of what was found is kept at a time.
const BUDGET_BYTES: usize = 64 << 20;

/// What a search finds.
#[derive(Debug)]
pub enum Found {
    /// A path, with its versions, oldest first.
    Path {
        /// The path.
        path: Vec<u8>,
        /// What archives have had there.
        versions: Vec<Version>,
    },
    /// An archive that cannot be read to its end. What it holds before is found.
    Unread {
        /// Which one, by its place among those that are searched.
        archive: usize,
        /// Why.
        error: SessionError,
    },
}

/// Why archives could not be searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Whether an item is meant is not found out.
    #[error(transparent)]
    Pattern(#[from] PatternTooSlow),
    /// The repository.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Searches archives, which are in the order of their time, for what is selected; `tell` hears of each finding, and may
/// end the search by an error of its own.
pub fn find<E: From<FindError>>(
    session: &Session,
    archives: &[ArchiveInfo],
    selection: &Selection,
    tell: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    find_within(BUDGET_BYTES, session, archives, selection, tell)
}

fn find_within<E: From<FindError>>(
    budget: usize,
    session: &Session,
    archives: &[ArchiveInfo],
    selection: &Selection,
    tell: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let series = series_of(archives);
    let mut from = Some(Vec::new());
    let mut is_first = true;
    while let Some(beginning) = from.take() {
        let mut round = Round::new(budget, beginning);
        // The last archive of each series that was read to its end.
        let mut last_read = HashMap::new();
        for (number, archive) in archives.iter().enumerate() {
            let series = series[number];
            let holder = Holder { number, series, before: last_read.get(&series).copied() };
            match round.read(session, archive, selection, holder) {
                Ok(()) => _ = last_read.insert(series, number),
                Err(FindError::Session(error)) if is_of_archive(&error) => {
                    if is_first {
                        tell(Found::Unread { archive: number, error })?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (path, versions) in round.found {
            tell(Found::Path { path, versions: versions.into_versions() })?;
        }
        from = round.until;
        is_first = false;
    }
    Ok(())
}

/// Returns whether it is the archive that cannot be read.
fn is_of_archive(error: &SessionError) -> bool {
    matches!(error, SessionError::Archive(_) | SessionError::Object(_))
}

/// The number of the series that each archive is of. Those that are named in another way are one series together.
fn series_of(archives: &[ArchiveInfo]) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let mut number = |archive: &ArchiveInfo| {
        let name = archive.name.as_str().and_then(series::of).map(str::to_owned);
        let next = numbers.len();
        *numbers.entry(name).or_insert(next)
    };
    archives.iter().map(&mut number).collect()
}

/// One reading of all archives, for the paths between two bounds.
struct Round {
    budget: usize,
    /// The first path that counts.
    from: Vec<u8>,
    /// The first one that does not, as it turned out.
    until: Option<Vec<u8>>,
    found: BTreeMap<Vec<u8>, Versions>,
    /// What is found takes so much.
    bytes: usize,
}

impl Round {
    fn new(budget: usize, from: Vec<u8>) -> Self {
        Self { budget, from, until: None, found: BTreeMap::new(), bytes: 0 }
    }

    fn read(
        &mut self,
        session: &Session,
        archive: &ArchiveInfo,
        selection: &Selection,
        holder: Holder,
    ) -> Result<(), FindError> {
        let open = session.open_archive(archive)?;
        // What further links lead to, by the hash of its path.
        let mut masters: HashMap<ChunkId, Content> = HashMap::new();
        let hash = |bytes: &[u8]| session.key().id_hash(bytes);
        for item in session.items(&open) {
            session.check_stop()?;
            let item = item?;
            if item.part.is_some() {
                continue;
            }
            if item.hardlink_master == Some(true) {
                masters.insert(hash(&item.path), Content::of(&item, hash));
            }
            if self.is_within(&item.path) && selection.selects(&item.path)? {
                let link = item.source.as_deref().filter(|_| item.chunks.is_none() && !versions::is_symlink(&item));
                let content = match link.and_then(|master| masters.get(&hash(master))) {
                    Some(master) => *master,
                    None => Content::of(&item, hash),
                };
                self.add(item, content, holder);
            }
        }
        Ok(())
    }

    fn is_within(&self, path: &[u8]) -> bool {
        path >= self.from.as_slice() && self.until.as_deref().is_none_or(|until| path < until)
    }

    fn add(&mut self, item: Item, content: Content, holder: Holder) {
        let (state, mode) = (State::of(&item, content), item.mode);
        let versions = match self.found.entry(item.path) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.bytes += size_of::<Versions>() + 2 * entry.key().len();
                entry.insert(Versions::default())
            }
        };
        self.bytes += versions.add(state, mode, holder);
        while self.bytes > self.budget
            && self.found.len() > 1
            && let Some((path, versions)) = self.found.pop_last()
        {
            self.bytes -= size_of::<Versions>() + 2 * path.len() + versions.bytes();
            self.until = Some(path);
        }
    }
}

#[cfg(test)]
mod tests;
