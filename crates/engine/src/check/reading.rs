//! Reads objects, and tells those that are damaged from a repository that fails.

use std::cell::RefCell;
use std::sync::Arc;

use worldkeeper_core::{ChunkId, RepositoryError};

use super::verify::Verified;
use crate::objects::{ChunkReader, ObjectError, ObjectProblem, WantedChunk};
use crate::pipeline::Buffers;
use crate::session::{Session, SessionError};

/// How often a repair reads what it is about to give up. Memory, cables and networks fail in ways that pass.
const TRIES: usize = 3;

/// Reads objects for a check.
pub(super) struct Reading<'s> {
    reader: ChunkReader<'s>,
    repair: bool,
}

/// What came of reading an object.
pub(super) enum Read {
    /// Its content, and how many bytes are stored for that.
    Whole { content: Vec<u8>, csize: u32 },
    /// The same, but it could not be read at first.
    Unsteady { content: Vec<u8>, csize: u32, problem: ObjectError },
    /// It is missing or damaged.
    Lost(ObjectError),
}

impl<'s> Reading<'s> {
    pub(super) fn new(session: &'s Session, repair: bool) -> Self {
        Self { reader: session.reader(), repair }
    }

    /// Verifies in memory that was used before.
    pub(super) fn with_buffers(self, buffers: &Arc<Buffers>) -> Self {
        Self { reader: self.reader.with_buffers(buffers), ..self }
    }

    /// Reads an object; before a repair gives it up, several times.
    ///
    /// # Errors
    ///
    /// When the repository fails in a way that says nothing about the object. In a repair that counts for a failing disk
    /// too: what it cannot read now may still be there.
    pub(super) fn read(&mut self, id: &ChunkId) -> Result<Read, SessionError> {
        match self.reader.read_with_csize(id, None) {
            Ok((csize, content)) => Ok(Read::Whole { content, csize }),
            Err(problem) => self.read_again(problem),
        }
    }

    /// Reads objects whose content nobody needs, as [`read`](Self::read) does each of them, until `next` has no more; `each`
    /// is told of all.
    pub(super) fn verify(
        &mut self,
        mut next: impl FnMut() -> Option<ChunkId>,
        mut each: impl FnMut(ChunkId, Result<Verified, SessionError>),
    ) {
        let mut is_done = false;
        while !is_done {
            let unread = RefCell::new(Vec::new());
            let coming = |_| {
                // Whether the repository fails is found out before more is asked of it.
                let id = if unread.borrow().is_empty() { next() } else { return None };
                is_done = id.is_none();
                id.map(|id| WantedChunk { purpose: (), id, size: None })
            };
            self.reader.read_several(coming, |(), id, read| match read {
                Ok((csize, content)) => each(id, Ok(Verified::Whole { size: content.len() as u32, csize })),
                Err(problem) => unread.borrow_mut().push(problem),
            });
            for problem in unread.into_inner() {
                each(problem.id, self.read_again(problem).map(Verified::from));
            }
        }
    }

    /// Reads an object that was not read at first.
    fn read_again(&mut self, problem: ObjectError) -> Result<Read, SessionError> {
        let id = problem.id;
        let mut problem = self.require_damage(problem)?;
        for _ in 1..if self.repair { TRIES } else { 1 } {
            match self.reader.read_with_csize(&id, None) {
                Ok((csize, content)) => return Ok(Read::Unsteady { content, csize, problem }),
                Err(again) => problem = self.require_damage(again)?,
            }
        }
        Ok(Read::Lost(problem))
    }

    /// As [`read`](Self::read), for who needs no more than the content.
    pub(super) fn content(&mut self, id: &ChunkId) -> Result<Result<Vec<u8>, ObjectError>, SessionError> {
        Ok(match self.read(id)? {
            Read::Whole { content, .. } | Read::Unsteady { content, .. } => Ok(content),
            Read::Lost(problem) => Err(problem),
        })
    }

    /// How many bytes are stored for an object that is there.
    pub(super) fn csize(&mut self, id: &ChunkId) -> Result<u32, SessionError> {
        Ok(self.reader.read_with_csize(id, None)?.0)
    }

    fn require_damage(&self, error: ObjectError) -> Result<ObjectError, SessionError> {
        let is_disk = matches!(*error.source, ObjectProblem::Repository(RepositoryError::Disk(_)));
        if error.is_damage() || (is_disk && !self.repair) { Ok(error) } else { Err(error.into()) }
    }
}
