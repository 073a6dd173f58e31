//! The versions of one path, and when an archive holds another one.

use worldkeeper_archive::Item;
use worldkeeper_core::ChunkId;

/// What archives that are neighbours have at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Type and permissions, as the first of the archives has them.
    pub mode: u32,
    /// In bytes; of a further link, that of what it leads to.
    pub size: u64,
    /// When it was last changed.
    pub mtime_ns: i64,
    /// What a symlink leads to.
    pub target: Option<Vec<u8>>,
    /// Whether nothing of it was replaced by zeros in a repair.
    pub is_healthy: bool,
    /// The oldest archive that holds it, by its place among those that were searched.
    pub first: usize,
    /// The newest.
    pub last: usize,
    /// How many archives of the series hold it, these two among them.
    pub archives: usize,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The hash of the ids of its chunks.
    hash: Option<ChunkId>,
    size: u64,
    is_damaged: bool,
}

/// What makes a version another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    kind: u32,
    content: Content,
    mtime_ns: i64,
    target: Option<Vec<u8>>,
}

/// An archive that holds something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    /// Its place among those that are searched.
    pub(super) number: usize,
    /// The series that it is of.
    pub(super) series: usize,
    /// The archive of this series that was the last before it to be read to its end, and so would have told.
    pub(super) before: Option<usize>,
}

/// The versions of a path so far.
#[derive(Debug, Default)]
pub(super) struct Versions(Vec<Run>);

/// A version and the neighbours that hold it.
#[derive(Debug)]
struct Run {
    state: State,
    mode: u32,
    series: usize,
    first: usize,
    last: usize,
    archives: usize,
}

impl Content {
    /// What is in an item itself; `hash` makes one id of many.
    pub(super) fn of(item: &Item, hash: impl Fn(&[u8]) -> ChunkId) -> Self {
        let Some(chunks) = &item.chunks else { return Self::default() };
        let ids: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.id.0).collect();
        let size = item.size.unwrap_or_else(|| chunks.iter().map(|chunk| u64::from(chunk.size)).sum());
        Self { hash: Some(hash(&ids)), size, is_damaged: item.chunks_healthy.is_some() }
    }
}

impl State {
    pub(super) fn of(item: &Item, content: Content) -> Self {
        let target = item.source.clone().filter(|_| is_symlink(item));
        Self { kind: item.mode & TYPE, content, mtime_ns: item.mtime_ns, target }
    }

    fn bytes(&self) -> usize {
        size_of::<Run>() + self.target.as_ref().map_or(0, Vec::len)
    }
}

impl Versions {
    /// Adds what an archive has. Returns how many bytes that takes.
    pub(super) fn add(&mut self, state: State, mode: u32, holder: Holder) -> usize {
        let Holder { number, series, before } = holder;
        let newest = self.0.iter_mut().rev().find(|run| run.series == series);
        if let Some(run) = newest.filter(|run| run.state == state && before.is_none_or(|before| run.last >= before)) {
            // An archive may list a path twice.
            run.archives += usize::from(run.last != number);
            run.last = number;
            return 0;
        }
        let bytes = state.bytes();
        self.0.push(Run { state, mode, series, first: number, last: number, archives: 1 });
        bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|run| run.state.bytes()).sum()
    }

    pub(super) fn into_versions(self) -> Vec<Version> {
        let version = |Run { state, mode, first, last, archives, .. }: Run| Version {
            mode,
            size: state.target.as_ref().map_or(state.content.size, |target| target.len() as u64),
            mtime_ns: state.mtime_ns,
            target: state.target,
            is_healthy: !state.content.is_damaged,
            first,
            last,
            archives,
        };
        self.0.into_iter().map(version).collect()
    }
}

pub(super) fn is_symlink(item: &Item) -> bool {
    item.mode & TYPE == SYMLINK
}

const TYPE: u32 = 0o170_000;
const SYMLINK: u32 = 0o120_000;
