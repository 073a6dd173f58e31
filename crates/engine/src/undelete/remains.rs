//! A repository as it would be if nothing had been deleted from it, and nothing put in the place of anything else.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use worldkeeper_core::ChunkId;

use crate::objects::{ChunkReader, ObjectError};
use crate::session::{Session, SessionError};

/// What a repository holds, and what it still holds of what was there before.
pub(super) struct Remains<'a> {
    session: &'a Session,
    /// The list of archives is not the one that is there.
    is_manifest_lost: bool,
    /// The ids of archives that were listed at some time.
    once_listed: HashSet<ChunkId>,
    objects: RefCell<HashMap<ChunkId, Object>>,
    reader: RefCell<ChunkReader<'a>>,
}

/// What is known of an object.
#[derive(Clone, Copy, Default)]
struct Object {
    is_present: bool,
    has_earlier: bool,
    /// Where it can be had, once somebody has looked.
    lies: Option<Lies>,
}

/// Where an object can be had as what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    /// It is there.
    There,
    /// Something else is there, or nothing: it is an earlier version.
    Before,
    /// Nowhere any more.
    Nowhere,
}

/// An object that was opened.
pub(super) struct Opened {
    /// As it is stored.
    pub(super) object: Bytes,
    /// What is in it.
    pub(super) chunk: Vec<u8>,
}

impl Opened {
    /// The size of what is stored.
    pub(super) fn csize(&self) -> u32 {
        self.object.len() as u32
    }
}

impl<'a> Remains<'a> {
    /// Reads all of the repository.
    pub(super) fn find(session: &'a Session) -> Result<Self, SessionError> {
        let repository = session.repository();
        let mut objects: HashMap<ChunkId, Object> = HashMap::new();
        for id in repository.ids()? {
            objects.entry(id).or_default().is_present = true;
        }
        for id in repository.earlier_ids()? {
            objects.entry(id).or_default().has_earlier = true;
        }
        // What its content is cannot be told by its id.
        objects.remove(&ChunkId::MANIFEST);
        let mut once_listed = HashSet::new();
        session.for_each_earlier_manifest(|manifest| {
            once_listed.extend(manifest.archives.values().map(|entry| entry.id));
        })?;
        let is_manifest_lost = session.has_earlier_manifest()?;
        let (objects, reader) = (objects.into(), RefCell::new(session.reader()));
        Ok(Self { session, is_manifest_lost, once_listed, objects, reader })
    }

    /// Returns whether the list of archives has to be brought back, too.
    pub(super) fn is_manifest_lost(&self) -> bool {
        self.is_manifest_lost
    }

    /// Returns whether there are earlier versions of anything but manifests.
    pub(super) fn has_earlier(&self) -> bool {
        self.objects.borrow().values().any(|object| object.has_earlier)
    }

    /// What may be an archive that was deleted: of what there are earlier versions, there or not; and what was listed once,
    /// for an archive can be taken from the list, and nothing else done.
    pub(super) fn candidates(&self) -> Vec<ChunkId> {
        let objects = self.objects.borrow();
        let earlier = objects.iter().filter(|(_, object)| object.has_earlier).map(|(id, _)| *id);
        let present = self.once_listed.iter().filter(|id| objects.get(*id).is_some_and(|object| !object.has_earlier));
        earlier.chain(present.copied()).collect()
    }

    /// Where an object can be had again as what it was. It is opened, whether it is there or not: it may be that nobody has
    /// looked at it for long, and that it is not ours.
    pub(super) fn lies(&self, id: &ChunkId) -> Result<Lies, SessionError> {
        if let Some(lies) = self.known(id).lies {
            return Ok(lies);
        }
        self.session.check_stop()?;
        self.open(id)?;
        Ok(self.known(id).lies.unwrap_or(Lies::Nowhere))
    }

    /// Returns whether something else, or nothing, is where an object was that can still be had. What has no earlier version
    /// is not looked at.
    pub(super) fn is_replaced(&self, id: &ChunkId) -> Result<bool, SessionError> {
        Ok(self.known(id).has_earlier && self.lies(id)? == Lies::Before)
    }

    /// Opens an object: what is there, or else the newest of its earlier versions that is what its id says. `None` if it is
    /// lost.
    pub(super) fn open(&self, id: &ChunkId) -> Result<Option<Opened>, SessionError> {
        let (found, lies) = match self.open_present(id)? {
            Some(found) => (Some(found), Lies::There),
            None => match self.open_earlier(id)? {
                Some(found) => (Some(found), Lies::Before),
                None => (None, Lies::Nowhere),
            },
        };
        if let Some(object) = self.objects.borrow_mut().get_mut(id) {
            object.lies = Some(lies);
        }
        Ok(found)
    }

    /// The newest of the earlier versions that is what the id says.
    pub(super) fn open_earlier(&self, id: &ChunkId) -> Result<Option<Opened>, SessionError> {
        if !self.known(id).has_earlier {
            return Ok(None);
        }
        let mut opened = None;
        let object = self.session.repository().find_earlier(id, &mut |object| {
            opened = self.reader.borrow_mut().open_as(id, object.clone()).ok();
            opened.is_some()
        })?;
        Ok(object.zip(opened).map(|(object, chunk)| Opened { object, chunk }))
    }

    fn open_present(&self, id: &ChunkId) -> Result<Option<Opened>, SessionError> {
        if !self.known(id).is_present {
            return Ok(None);
        }
        let object = match self.session.repository().get(id) {
            Ok(object) => object,
            Err(error) => {
                let error = ObjectError { id: *id, source: Box::new(error.into()) };
                return if error.is_damage() { Ok(None) } else { Err(error.into()) };
            }
        };
        let opened = self.reader.borrow_mut().open_as(id, object.clone());
        Ok(opened.ok().map(|chunk| Opened { object, chunk }))
    }

    fn known(&self, id: &ChunkId) -> Object {
        self.objects.borrow().get(id).copied().unwrap_or_default()
    }
}
