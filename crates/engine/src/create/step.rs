//! What goes through the pipeline of a create, from where it is made to where it is done.

use bytes::Bytes;
use worldkeeper_archive::{ChunkRef, Item};
use worldkeeper_core::{ChunkId, Defects};

use crate::cache::{Bare, Look, PathKey};
use crate::pipeline::{chunk_bytes, item_bytes, step_bytes};
use crate::session::SessionError;
use crate::source::{Reason, RootError, SourceError};

/// A step and its place; or why there will be no archive.
pub(super) type Numbered = (u64, Result<Step, SessionError>);

/// Steps that are handed over together, because to hand each over would cost more than to do it.
pub(super) type Steps = Vec<Numbered>;

/// One thing for the writer to do.
pub(crate) enum Step {
    /// The next chunk of the file whose step comes next.
    Chunk(SealedChunk),
    /// The same, and it is stored.
    Stored(ChunkRef),
    /// The chunks that follow are of this file, and there may be many.
    Begun(Box<Item>),
    /// The chunks that came are not used: the file is read again.
    Again,
    /// A regular file, whole, after its chunks.
    File(Box<FinishedFile>),
    /// An object without content.
    Other(Box<Item>),
    /// The time of what comes next is not the file's: archives cannot hold that.
    TimeClamped(Vec<u8>),
    /// Something is deliberately not in the archive.
    LeftOut { path: Vec<u8>, reason: Reason },
    /// Something could not be read; chunks of it that came are not used.
    Failed(SourceError),
    /// A file is gone that belonged to one that was read, and was written to since.
    TornOff(Vec<u8>),
    /// Steps that follow one another.
    Several(Vec<Step>),
    /// A source cannot be read: there will be no archive.
    RootFailed(RootError),
    /// That was all.
    End,
}

/// A chunk that was named, and sealed if it was not known.
pub(crate) struct SealedChunk {
    pub id: ChunkId,
    /// Bytes of plaintext.
    pub size: u32,
    /// `None` if the repository had it when it was looked up.
    pub object: Option<Bytes>,
}

/// A regular file as it was read, or as it was.
pub(crate) struct FinishedFile {
    /// Without chunks, unless the file was unchanged.
    pub item: Box<Item>,
    /// Where it is, as walked, if somebody has to be told about it.
    pub path: Box<[u8]>,
    pub state: FileState,
    /// For the files cache, if it may be trusted next time.
    pub remembered: Option<Remembered>,
    pub reading: Reading,
}

/// What is not longer is moved without a call, and there is one for every file.
const _: () = assert!(size_of::<FinishedFile>() <= 128);

/// How a file was read; as it is by default, if it was not.
#[derive(Default)]
pub(crate) struct Reading {
    /// It was written to meanwhile.
    pub torn: bool,
    /// What is wrong with it, as far as somebody knows its format.
    pub defects: Defects,
    pub read_bytes: u64,
}

impl Reading {
    /// Returns whether the content is what the file held at one moment, and nothing is known to be wrong with it.
    pub(super) fn is_good(&self) -> bool {
        !self.torn && self.defects.is_empty()
    }
}

/// What the files cache is to know.
pub(crate) enum Remembered {
    /// The file is what the last archive's cache has under this number.
    Unchanged(u32),
    /// It was read.
    Changed { key: PathKey, look: Look, bare: Bare },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    New,
    Changed,
    Unchanged,
}

impl Step {
    /// What the step takes of the budget, from where it is made to where it is done.
    pub(super) fn weight(&self) -> usize {
        step_bytes(match self {
            Self::Several(steps) => steps.iter().map(Self::weight).sum(),
            Self::Chunk(chunk) => chunk_bytes(chunk.size as usize),
            Self::File(file) => {
                let told = file.reading.defects.told().iter().map(String::len).sum::<usize>();
                item_bytes(&file.item) + file.path.len() + told
            }
            Self::Begun(item) | Self::Other(item) => item_bytes(item),
            Self::LeftOut { path, .. } | Self::TimeClamped(path) | Self::TornOff(path) => path.len(),
            Self::Failed(error) => error.path.len(),
            Self::Stored(_) | Self::RootFailed(_) | Self::Again | Self::End => 0,
        })
    }
}
