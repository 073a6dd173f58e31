//! By whose plan a file is cut, and what is known of it that may decide about the plan.

use jiff::Timestamp;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::{ChunkId, FileFormat, Known, Last, Plan, RangeReader};

use super::CreateOptions;
use super::shared::Shared;
use crate::cache::PathKey;

/// Asks formats for plans.
pub(super) struct Planner {
    formats: &'static [&'static dyn FileFormat],
    /// Where nothing was when the run began, nobody else has cut a file before.
    is_first: bool,
}

/// A file that may have a plan.
pub(super) struct Asked<'a> {
    pub path: &'a [u8],
    /// Where the files cache would have it; `None` if it is none that can be known again.
    pub key: Option<&'a PathKey>,
    /// When it was opened.
    pub looked: Timestamp,
}

/// A file's plan, and whose it is.
pub(super) struct Planned {
    pub format: &'static dyn FileFormat,
    pub plan: Plan,
}

impl Planner {
    /// Where blocks are asked for, it is blocks that come: their cuts are fixed offsets already.
    pub(super) fn new(options: &CreateOptions, shared: &Shared) -> Self {
        let is_blocks = matches!(options.chunker_params, ChunkerParams::Fixed { .. });
        let formats = if is_blocks { &[] } else { options.cuts };
        let is_first = super::read(&shared.index).is_empty();
        Self { formats, is_first }
    }

    /// Returns whether anybody is to be asked about a file.
    pub(super) fn asks(&self, asked: &Asked<'_>) -> bool {
        asked.key.is_some() && !self.formats.is_empty()
    }

    /// The plan for a file, if somebody has one.
    pub(super) fn plan(&self, shared: &Shared, asked: &Asked<'_>, file: &mut dyn RangeReader) -> Option<Planned> {
        let (sizes, changed_s) = asked.key.and_then(|key| last(shared, key)).unzip();
        let last = sizes.as_deref().zip(changed_s).map(|(sizes, changed_s)| Last { sizes, changed_s });
        let is_full = super::read(&shared.index).len() >= MANY_OBJECTS;
        let known = Known { now_s: asked.looked.as_second(), last, is_full };
        let plan = |format: &&'static dyn FileFormat| {
            let plan = format.plan(asked.path, file, &known)?;
            Some(Planned { format: *format, plan })
        };
        self.formats.iter().find_map(plan)
    }

    /// Returns whether a file may be in the repository as somebody else has cut it: it is new to us, the repository is not.
    pub(super) fn may_be_there_otherwise(&self, shared: &Shared, asked: &Asked<'_>) -> bool {
        !self.is_first && asked.key.is_some_and(|key| !shared.files().contains(key))
    }
}

/// How a file was cut the last time, and when it had changed before that.
fn last(shared: &Shared, key: &PathKey) -> Option<(Vec<u32>, i64)> {
    let files = shared.files();
    let (look, chunks) = files.last(key)?;
    let index = super::read(&shared.index);
    let size = |id: &ChunkId| index.get(id).map(|entry| entry.size);
    Some((chunks.map(size).collect::<Option<_>>()?, look.ctime_ns.div_euclid(1_000_000_000)))
}

/// So many objects are enough for a repository: stock takes some 150 bytes of memory for each when it counts them.
const MANY_OBJECTS: usize = 2_000_000;
