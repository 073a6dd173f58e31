//! Which sources have no file any more: of several, one that is not mounted would go unnoticed.

use std::collections::BTreeSet;

use worldkeeper_engine::{Created, SourceFiles};

/// Most sources that are remembered.
const MOST: usize = 64;

/// The sources of an archive, held against those that are known to have had files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Those that had files before and have none now. Of an archive without any file this is not said one by one.
    pub emptied: Vec<String>,
    /// Those that have files, or had.
    pub known: Vec<String>,
}

impl Sources {
    /// `before` are those that are known from earlier runs.
    pub(super) fn of(created: &Created, before: Vec<String>) -> Self {
        let name = |source: &SourceFiles| source.source.to_string_lossy().into_owned();
        let (with, without): (Vec<_>, Vec<_>) = created.sources.iter().partition(|source| source.files > 0);
        let mut emptied: Vec<_> = without.into_iter().map(name).filter(|name| before.contains(name)).collect();
        if created.stats.files() == 0 {
            emptied.clear();
        }
        let with: BTreeSet<_> = with.into_iter().map(name).collect();
        let before = before.into_iter().filter(|name| !with.contains(name)).collect::<Vec<_>>();
        let known = with.iter().cloned().chain(before).take(MOST).collect();
        Self { emptied, known }
    }

    /// What is wrong, if something is.
    pub(super) fn warning(&self) -> Option<String> {
        let [source, others @ ..] = &self.emptied[..] else { return None };
        let others = if others.is_empty() { String::new() } else { format!(" (nor do {})", others.join(", ")) };
        Some(format!("the source {source} had files before and has none now{others}: is it mounted?"))
    }
}
