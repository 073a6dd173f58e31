//! What differs between two archives.
//!
//! Both lists of items are read side by side. Archives of one series have most items at about the same place, so few of
//! them wait for their partner; what has none in the end was added or removed.
//!
//! Source: borg 1.4 `archive.py`, `Archive.compare_archives_iter`.

mod change;
mod content;
mod waiting;

use std::collections::HashMap;
use std::rc::Rc;

use worldkeeper_archive::Item;

pub use change::{Change, OwnerName};

use crate::cuts;
use crate::patterns::{PatternTooSlow, Selection};
use crate::session::{OpenArchive, Session, SessionError};
use change::ContentKnown;
use content::Contents;
use waiting::Waiting;

/// What is compared, and how.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// Which items.
    pub selection: Selection,
    /// Metadata does not count.
    pub content_only: bool,
    /// Owners are compared by number, not by name.
    pub numeric_ids: bool,
    /// Both archives are cut alike, whatever they say themselves: equal content has equal chunks.
    pub same_chunker_params: bool,
}

/// Two items of one path that differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Their path.
    pub path: Vec<u8>,
    /// In what they differ, as far as it has a name.
    pub changes: Vec<Change>,
    /// The item of the first archive; of a further link to a file, what it is a link to.
    pub old: Option<Rc<Item>>,
    /// That of the second.
    pub new: Option<Rc<Item>>,
}

/// What a comparison finds.
#[derive(Clone, Debug)]
pub enum Finding {
    /// Something differs.
    Difference(Difference),
    /// What a link leads to was not compared, so whether the link is another one is not known.
    LostLink {
        /// The link.
        path: Vec<u8>,
        /// What it leads to.
        source: Vec<u8>,
    },
}

/// Why archives could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// Whether an item is meant is not found out.
    #[error(transparent)]
    Pattern(#[from] PatternTooSlow),
    /// The repository, or what is in it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Returns whether two archives say that they were cut alike; `None` if one says nothing.
pub fn are_cut_alike(old: &OpenArchive, new: &OpenArchive) -> Option<bool> {
    Some(cuts::are_equal(old.metadata.chunker_params.as_ref()?, new.metadata.chunker_params.as_ref()?))
}

/// Compares two archives; `tell` hears of each finding, in the order of stock's.
pub fn diff(
    session: &Session,
    old: &OpenArchive,
    new: &OpenArchive,
    options: &DiffOptions,
    tell: &mut dyn FnMut(Finding),
) -> Result<(), DiffError> {
    let compares_ids = options.same_chunker_params || are_cut_alike(old, new) == Some(true);
    let shortest = [old, new].map(|archive| {
        let params = archive.metadata.chunker_params.as_ref().and_then(cuts::of_value)?;
        params.min_chunk_size()
    });
    let mut comparison = Comparison {
        options,
        contents: Contents::new(session, compares_ids, shortest),
        masters: HashMap::new(),
        deferred: Vec::new(),
        tell,
    };
    let (mut left, mut right) = (selected(session, old, options), selected(session, new, options));
    let (mut only_old, mut only_new) = (Waiting::default(), Waiting::default());
    loop {
        session.check_stop().map_err(DiffError::from)?;
        let (one, other) = match (left.next().transpose()?, right.next().transpose()?) {
            (None, None) => break,
            (Some(one), Some(other)) if one.path == other.path => {
                comparison.pair(one, other)?;
                continue;
            }
            pair => pair,
        };
        if let Some(one) = one {
            match only_new.take(&one.path) {
                Some(other) => comparison.pair(one, other)?,
                None => only_old.put(one),
            }
        }
        if let Some(other) = other {
            match only_old.take(&other.path) {
                Some(one) => comparison.pair(one, other)?,
                None => only_new.put(other),
            }
        }
    }
    for item in only_new.into_items() {
        comparison.remember(None, Some(&item));
        comparison.compare(None, Some(item))?;
    }
    for item in only_old.into_items() {
        comparison.remember(Some(&item), None);
        comparison.compare(Some(item), None)?;
    }
    comparison.finish()
}

fn selected<'a>(
    session: &'a Session,
    archive: &'a OpenArchive,
    options: &'a DiffOptions,
) -> impl Iterator<Item = Result<Rc<Item>, DiffError>> + 'a {
    session.items(archive).filter_map(|item| {
        let choose = |item: Item| {
            let is_meant = item.part.is_none() && options.selection.selects(&item.path)?;
            Ok(is_meant.then(|| Rc::new(item)))
        };
        item.map_err(DiffError::from).and_then(choose).transpose()
    })
}

/// What each of the archives has for a path.
type Pair = (Option<Rc<Item>>, Option<Rc<Item>>);

/// The comparison, item by item.
struct Comparison<'a> {
    options: &'a DiffOptions,
    contents: Contents<'a>,
    /// Files with further links, by path, as they are in each of the archives.
    masters: HashMap<Vec<u8>, Pair>,
    /// Links that came before what they lead to.
    deferred: Vec<(Rc<Item>, Rc<Item>)>,
    tell: &'a mut dyn FnMut(Finding),
}

impl Comparison<'_> {
    fn pair(&mut self, old: Rc<Item>, new: Rc<Item>) -> Result<(), DiffError> {
        self.remember(Some(&old), Some(&new));
        if self.is_known(&old) && self.is_known(&new) {
            return self.compare(Some(old), Some(new));
        }
        self.deferred.push((old, new));
        Ok(())
    }

    /// Remembers what further links may lead to.
    fn remember(&mut self, old: Option<&Rc<Item>>, new: Option<&Rc<Item>>) {
        let is_master = |item: &&Rc<Item>| {
            item.hardlink_master != Some(false) && item.source.is_none() && change::may_have_links(item)
        };
        let mut items = old.into_iter().chain(new);
        if let Some(master) = items.find(is_master) {
            self.masters.insert(master.path.clone(), (old.cloned(), new.cloned()));
        }
    }

    /// Returns whether an item is no link, or one that leads to a file that was seen.
    fn is_known(&self, item: &Item) -> bool {
        let source = item.source.as_ref().filter(|_| change::may_have_links(item));
        source.is_none_or(|source| self.masters.contains_key(source))
    }

    fn compare(&mut self, old: Option<Rc<Item>>, new: Option<Rc<Item>>) -> Result<(), DiffError> {
        let Some(path) = old.as_ref().or(new.as_ref()).map(|item| item.path.clone()) else { return Ok(()) };
        let master = |item: &Rc<Item>| {
            let source = item.source.as_ref().filter(|_| change::may_have_links(item))?;
            self.masters.get(source)
        };
        let old = old.and_then(|item| master(&item).map_or(Some(item), |(old, _)| old.clone()));
        let new = new.and_then(|item| master(&item).map_or(Some(item), |(_, new)| new.clone()));
        let (one, other) = (old.as_deref(), new.as_deref());
        let are_equal = change::are_equal(one, other, self.options);
        // Where ids say nothing, content is not read to tell of what differs anyhow.
        let compares_ids = self.contents.compares_ids();
        let has_same_content = (are_equal || compares_ids) && self.contents.are_equal(one, other)?;
        if are_equal && has_same_content {
            return Ok(());
        }
        let content = match (compares_ids, has_same_content) {
            (false, _) => ContentKnown::Nothing,
            (true, false) => ContentKnown::ById,
            (true, true) => ContentKnown::Equal,
        };
        let changes = change::changes(one, other, content, self.options);
        (self.tell)(Finding::Difference(Difference { path, changes, old, new }));
        Ok(())
    }

    /// Compares the links that waited.
    fn finish(mut self) -> Result<(), DiffError> {
        for (old, new) in std::mem::take(&mut self.deferred) {
            let lost: Vec<_> = [&old, &new].into_iter().filter(|item| !self.is_known(item)).cloned().collect();
            if lost.is_empty() {
                self.compare(Some(old), Some(new))?;
            }
            for item in lost {
                let source = item.source.clone().unwrap_or_default();
                (self.tell)(Finding::LostLink { path: item.path.clone(), source });
            }
        }
        Ok(())
    }
}
