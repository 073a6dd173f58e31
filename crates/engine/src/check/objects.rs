//! The objects of the repository, and which of them something refers to.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;
use worldkeeper_core::ChunkId;

use crate::cache::IdHasher;

/// The objects of a repository but for the manifest. Some 50 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Objects(HashMap<ChunkId, Object, BuildHasherDefault<IdHasher>>);

/// What is known of one.
#[derive(Clone, Copy, Debug, Default)]
struct Object {
    /// Bytes of plaintext, as read, or else as the first reference says.
    size: Option<u32>,
    is_used: bool,
    /// A repair put something in its place.
    is_superseded: bool,
}

impl Objects {
    pub(super) fn new(ids: impl IntoIterator<Item = ChunkId>) -> Self {
        let ids = ids.into_iter().filter(|id| *id != ChunkId::MANIFEST);
        Self(ids.map(|id| (id, Object::default())).collect())
    }

    pub(super) fn contains(&self, id: &ChunkId) -> bool {
        self.0.contains_key(id)
    }

    /// Says that something refers to an object, which need not be there.
    pub(super) fn refer_to(&mut self, id: &ChunkId) {
        if let Some(object) = self.0.get_mut(id) {
            object.is_used = true;
        }
    }

    /// Says that what referred to an object has something else in its place.
    pub(super) fn supersede(&mut self, id: &ChunkId) {
        if let Some(object) = self.0.get_mut(id) {
            object.is_superseded = true;
        }
    }

    /// Says how large the content of an object is; returns what was said before if that was something else.
    pub(super) fn size(&mut self, id: &ChunkId, size: u32) -> Result<(), u32> {
        match self.0.get_mut(id).map(|object| *object.size.get_or_insert(size)) {
            Some(known) if known != size => Err(known),
            _ => Ok(()),
        }
    }

    pub(super) fn add(&mut self, id: ChunkId) {
        self.0.entry(id).or_default();
    }

    pub(super) fn remove(&mut self, id: &ChunkId) {
        self.0.remove(id);
    }

    /// Those that nothing refers to: what a repair has superseded, and what nobody knows anything about.
    pub(super) fn unused(&self) -> (Vec<ChunkId>, Vec<ChunkId>) {
        let unused = self.0.iter().filter(|(_, object)| !object.is_used);
        let (superseded, orphaned): (Vec<_>, Vec<_>) = unused.partition(|(_, object)| object.is_superseded);
        let ids = |objects: Vec<(&ChunkId, &Object)>| objects.into_iter().map(|(id, _)| *id).collect();
        (ids(superseded), ids(orphaned))
    }
}
