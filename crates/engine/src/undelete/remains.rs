//! A repository as it would be if nothing had been deleted from it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use worldkeeper_core::{ChunkId, RepositoryError};

use crate::objects::{ChunkReader, ObjectError, ObjectProblem};
use crate::session::{Session, SessionError};

/// What a repository holds, and what it still holds of what was deleted.
pub(super) struct Remains<'a> {
    session: &'a Session,
    present: HashSet<ChunkId>,
    deleted: HashSet<ChunkId>,
    reader: RefCell<ChunkReader<'a>>,
    /// Which deleted objects are what they were, as far as somebody looked.
    looked_at: RefCell<HashMap<ChunkId, bool>>,
}

impl<'a> Remains<'a> {
    /// Reads all of the repository.
    pub(super) fn find(session: &'a Session) -> Result<Self, SessionError> {
        let repository = session.repository();
        let present: HashSet<_> = repository.ids()?.into_iter().collect();
        let deleted = repository.deleted_ids()?.into_iter().filter(|id| !present.contains(id)).collect();
        let reader = RefCell::new(session.reader());
        Ok(Self { session, present, deleted, reader, looked_at: RefCell::default() })
    }

    /// What was deleted.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &ChunkId> {
        self.deleted.iter()
    }

    /// Returns whether an object is not there, but can perhaps be had.
    pub(super) fn is_deleted(&self, id: &ChunkId) -> bool {
        self.deleted.contains(id)
    }

    /// Returns whether an object is there, or can be had again as what it was: a deleted one is opened, for it may be
    /// that nobody has looked at it for long, and that it is not ours.
    pub(super) fn is_sound(&self, id: &ChunkId) -> Result<bool, SessionError> {
        if !self.is_deleted(id) {
            return Ok(self.present.contains(id));
        }
        if let Some(sound) = self.looked_at.borrow().get(id) {
            return Ok(*sound);
        }
        self.session.check_stop()?;
        let sound = self.sound_chunk(id)?.is_some();
        self.looked_at.borrow_mut().insert(*id, sound);
        Ok(sound)
    }

    /// An object's bytes, as they are stored.
    pub(super) fn object(&self, id: &ChunkId) -> Result<Bytes, RepositoryError> {
        let repository = self.session.repository();
        if self.is_deleted(id) { repository.get_deleted(id) } else { repository.get(id) }
    }

    /// What is in an object, and its stored size; `None` if it is lost.
    pub(super) fn sound_chunk(&self, id: &ChunkId) -> Result<Option<(u32, Vec<u8>)>, SessionError> {
        match self.chunk(id) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is in an object, and its stored size.
    pub(super) fn chunk(&self, id: &ChunkId) -> Result<(u32, Vec<u8>), ObjectError> {
        let failed = |source: ObjectProblem| ObjectError { id: *id, source: Box::new(source) };
        let object = self.object(id).map_err(|error| failed(error.into()))?;
        Ok((object.len() as u32, self.reader.borrow_mut().open_as(id, object)?))
    }
}
