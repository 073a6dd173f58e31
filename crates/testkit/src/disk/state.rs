//! What is on the disk, apart from what of it is durable.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{Fault, ReadFault};

/// What the smallest file takes of the disk, and how the others are rounded up; an empty directory takes as much.
const BLOCK_BYTES: u64 = 4096;

#[derive(Clone)]
pub(super) struct State {
    pub(super) nodes: HashMap<usize, Node>,
    next_node: usize,
    pub(super) calls: usize,
    pub(super) fault: Option<Fault>,
    pub(super) reads: usize,
    pub(super) read_fault: Option<ReadFault>,
    pub(super) capacity: Option<u64>,
    pub(super) locks: HashSet<PathBuf>,
    /// Below this directory, syncs are acknowledged and not done, once there were more calls than this.
    pub(super) lies: Option<(PathBuf, usize)>,
    /// The disk before each call that changed something, since it was told to record.
    pub(super) history: Option<Vec<State>>,
}

const ROOT: usize = 0;

#[derive(Clone)]
pub(super) enum Node {
    File {
        /// Shared with the states that were recorded.
        content: Arc<Vec<u8>>,
        /// How much of it is durable. Files only grow, so it is a prefix.
        durable: usize,
        /// A sync has failed: the system has thrown away what it could not write, and will say that all is well.
        lost: bool,
    },
    Directory {
        names: BTreeMap<OsString, usize>,
        durable: BTreeMap<OsString, usize>,
        /// What was done to `durable` and made it `names`.
        pending: Vec<Change>,
    },
}

#[derive(Clone)]
pub(super) enum Change {
    Link { name: OsString, node: usize },
    Unlink { name: OsString },
    Rename { from: OsString, to: OsString, node: usize },
}

pub(super) fn directory() -> Node {
    Node::Directory { names: BTreeMap::new(), durable: BTreeMap::new(), pending: Vec::new() }
}

impl Change {
    pub(super) fn apply(self, names: &mut BTreeMap<OsString, usize>) {
        match self {
            Self::Link { name, node } => _ = names.insert(name, node),
            Self::Unlink { name } => _ = names.remove(&name),
            Self::Rename { from, to, node } => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            nodes: HashMap::from([(ROOT, directory())]),
            next_node: ROOT + 1,
            calls: 0,
            fault: None,
            reads: 0,
            read_fault: None,
            capacity: None,
            locks: HashSet::new(),
            lies: None,
            history: None,
        }
    }
}

impl State {
    /// Counts a call that changes something; fails if it is its turn.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        if let Some(mut history) = self.history.take() {
            history.push(self.clone());
            self.history = Some(history);
        }
        self.calls += 1;
        match self.fault {
            Some(fault) if self.calls == fault.call || (fault.for_ever && self.calls > fault.call) => {
                Err(fault.kind.into())
            }
            _ => Ok(()),
        }
    }

    /// Counts a call that reads `path`; fails if it is its turn.
    pub(super) fn count_read(&mut self, path: &Path) -> Result<(), Error> {
        self.reads += 1;
        match &self.read_fault {
            Some(fault) if self.reads >= fault.call && path.starts_with(&fault.below) => {
                let kind = fault.kind;
                if !fault.for_ever {
                    self.read_fault = None;
                }
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn used(&self) -> u64 {
        let mut linked = HashSet::new();
        self.collect(ROOT, &mut linked);
        linked.iter().map(|node| self.nodes[node].used()).sum()
    }

    /// Fails if `bytes` more would not fit.
    fn require_room(&self, bytes: u64) -> Result<(), Error> {
        match self.capacity {
            Some(capacity) if self.used() + bytes > capacity => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn collect(&self, node: usize, linked: &mut HashSet<usize>) {
        linked.insert(node);
        if let Node::Directory { names, .. } = &self.nodes[&node] {
            for child in names.values() {
                self.collect(*child, linked);
            }
        }
    }

    pub(super) fn find(&self, path: &Path) -> Result<usize, Error> {
        let mut node = ROOT;
        for component in path.components() {
            match (component, &self.nodes[&node]) {
                (Component::RootDir, _) => {}
                (Component::Normal(name), Node::Directory { names, .. }) => {
                    node = *names.get(name).ok_or(ErrorKind::NotFound)?;
                }
                (Component::Normal(_), Node::File { .. }) => return Err(ErrorKind::NotADirectory.into()),
                _ => return Err(ErrorKind::InvalidInput.into()),
            }
        }
        Ok(node)
    }

    /// The directory a path lies in, and its last part.
    fn parent<'a>(&self, path: &'a Path) -> Result<(usize, &'a OsStr), Error> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find(path.parent().ok_or(ErrorKind::InvalidInput)?)?, name))
    }

    pub(super) fn names(&self, directory: usize) -> Result<&BTreeMap<OsString, usize>, Error> {
        match &self.nodes[&directory] {
            Node::Directory { names, .. } => Ok(names),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn change(&mut self, directory: usize, change: Change) {
        if let Some(Node::Directory { names, pending, .. }) = self.nodes.get_mut(&directory) {
            change.clone().apply(names);
            pending.push(change);
        }
    }

    pub(super) fn link(&mut self, path: &Path, new: Node) -> Result<usize, Error> {
        self.count()?;
        let (directory, name) = self.parent(path)?;
        if self.names(directory)?.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.require_room(BLOCK_BYTES)?;
        let node = self.next_node;
        self.next_node += 1;
        self.nodes.insert(node, new);
        self.change(directory, Change::Link { name: name.to_owned(), node });
        Ok(node)
    }

    pub(super) fn unlink(&mut self, path: &Path, is_directory: bool) -> Result<(), Error> {
        self.count()?;
        let (directory, name) = self.parent(path)?;
        let node = *self.names(directory)?.get(name).ok_or(ErrorKind::NotFound)?;
        match (&self.nodes[&node], is_directory) {
            (Node::File { .. }, true) => return Err(ErrorKind::NotADirectory.into()),
            (Node::Directory { .. }, false) => return Err(ErrorKind::IsADirectory.into()),
            (Node::Directory { names, .. }, true) if !names.is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.change(directory, Change::Unlink { name: name.to_owned() });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        self.count()?;
        let (directory, from_name) = self.parent(from)?;
        let (to_directory, to_name) = self.parent(to)?;
        if directory != to_directory {
            return Err(ErrorKind::CrossesDevices.into());
        }
        let node = *self.names(directory)?.get(from_name).ok_or(ErrorKind::NotFound)?;
        if let Some(old) = self.names(directory)?.get(to_name) {
            match (&self.nodes[&node], &self.nodes[old]) {
                (Node::Directory { .. }, Node::Directory { names, .. }) if !names.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                (Node::Directory { .. }, Node::File { .. }) => return Err(ErrorKind::NotADirectory.into()),
                (Node::File { .. }, Node::Directory { .. }) => return Err(ErrorKind::IsADirectory.into()),
                _ => {}
            }
        }
        self.change(directory, Change::Rename { from: from_name.to_owned(), to: to_name.to_owned(), node });
        Ok(())
    }

    pub(super) fn append(&mut self, node: usize, bytes: &[u8]) -> Result<(), Error> {
        let (written, result) = match self.count() {
            // None of it may get through before the error, some, or all.
            Err(error) => (bytes.len() * (self.calls % 3) / 2, Err(error)),
            Ok(()) => match self.room(node) {
                room if room < bytes.len() as u64 => (room as usize, Err(ErrorKind::StorageFull.into())),
                _ => (bytes.len(), Ok(())),
            },
        };
        if let Some(Node::File { content, .. }) = self.nodes.get_mut(&node) {
            Arc::make_mut(content).extend_from_slice(&bytes[..written]);
        }
        result
    }

    /// How many bytes a file can still grow by.
    fn room(&self, node: usize) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let in_last_block = match &self.nodes[&node] {
            Node::File { content, .. } => self.nodes[&node].used() - content.len() as u64,
            Node::Directory { .. } => 0,
        };
        capacity.saturating_sub(self.used()) / BLOCK_BYTES * BLOCK_BYTES + in_last_block
    }

    pub(super) fn sync(&mut self, node: usize, path: &Path) -> Result<(), Error> {
        let result = self.count();
        let lies = self.lies_about(path);
        if let Some(Node::File { content, durable, lost }) = self.nodes.get_mut(&node) {
            *lost |= result.is_err();
            if !*lost && !lies {
                *durable = content.len();
            }
        }
        result
    }

    pub(super) fn sync_names(&mut self, path: &Path) -> Result<(), Error> {
        self.count()?;
        let directory = self.find(path)?;
        let lies = self.lies_about(path);
        if let Some(Node::Directory { names, durable, pending }) = self.nodes.get_mut(&directory)
            && !lies
        {
            durable.clone_from(names);
            pending.clear();
        }
        Ok(())
    }

    fn lies_about(&self, path: &Path) -> bool {
        self.lies.as_ref().is_some_and(|(below, calls)| self.calls > *calls && path.starts_with(below))
    }

    /// A number for the names and what they stand for.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, node: usize, hasher: &mut DefaultHasher) {
        match &self.nodes[&node] {
            Node::File { content, .. } => content.hash(hasher),
            Node::Directory { names, .. } => {
                names.len().hash(hasher);
                for (name, child) in names {
                    name.hash(hasher);
                    self.hash_node(*child, hasher);
                }
            }
        }
    }

    /// Makes everything durable.
    pub(super) fn settle(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File { content, durable, lost } => (*durable, *lost) = (content.len(), false),
                Node::Directory { names, durable, pending } => {
                    durable.clone_from(names);
                    pending.clear();
                }
            }
        }
    }
}

impl Node {
    fn used(&self) -> u64 {
        match self {
            Self::File { content, .. } => (content.len() as u64).max(1).next_multiple_of(BLOCK_BYTES),
            Self::Directory { .. } => BLOCK_BYTES,
        }
    }
}
