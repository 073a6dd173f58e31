//! A disk in memory that fails on command: at a chosen call, when it is full, or by losing power.
//!
//! It keeps apart what is there and what is durable. After a power failure, of what was not synced any part may be
//! missing: the end of a file, or blocks of it, and any of the changes to a directory, whatever their order. A rename
//! happens or does not; that much every file system promises.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use worldkeeper_core::disk::{DiskFile, EntryKind, FileLock, Metadata};
use worldkeeper_core::{Disk, DiskError};

/// An error to return instead of doing what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The call that fails, counted from 1; only calls that change something count.
    pub call: usize,
    /// How it fails.
    pub kind: ErrorKind,
    /// All calls from there on fail, too.
    pub for_ever: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Clone)]
struct State {
    nodes: HashMap<usize, Node>,
    next_node: usize,
    calls: usize,
    fault: Option<Fault>,
    capacity: Option<u64>,
    locks: HashSet<PathBuf>,
}

const ROOT: usize = 0;

#[derive(Clone)]
enum Node {
    File {
        content: Vec<u8>,
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
enum Change {
    Link { name: OsString, node: usize },
    Unlink { name: OsString },
    Rename { from: OsString, to: OsString, node: usize },
}

impl Default for State {
    fn default() -> Self {
        let nodes = HashMap::from([(ROOT, directory())]);
        Self { nodes, next_node: ROOT + 1, calls: 0, fault: None, capacity: None, locks: HashSet::new() }
    }
}

fn directory() -> Node {
    Node::Directory { names: BTreeMap::new(), durable: BTreeMap::new(), pending: Vec::new() }
}

impl MemoryDisk {
    /// An empty disk that never fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls have changed something, or tried to.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Makes a call fail, counted from now on; `None` heals the disk.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.calls = 0;
        state.fault = fault;
    }

    /// Limits how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// How many bytes all files together have.
    pub fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// What is left when the process is killed: everything it did.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.state().clone();
        state.fault = None;
        state.locks.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    /// What may be left when the power fails; each seed picks one of the possibilities.
    #[must_use]
    pub fn after_power_failure(&self, seed: u64) -> Self {
        let disk = self.after_kill();
        let mut random = Random(seed);
        // Whole states are more telling than mixed ones: much lost, little lost, half.
        let chance = random.below(5) * 64;
        let mut state = disk.state();
        let mut numbers: Vec<_> = state.nodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            match state.nodes.get_mut(&number) {
                Some(Node::File { content, durable, .. }) => tear(content, *durable, chance, &mut random),
                Some(Node::Directory { names, durable, pending }) => {
                    for change in pending.drain(..) {
                        if random.below(256) < chance {
                            change.apply(durable);
                        }
                    }
                    names.clone_from(durable);
                }
                None => unreachable!("the numbers are those of the nodes"),
            }
        }
        drop(state);
        disk.settle();
        disk
    }

    /// Makes everything durable.
    fn settle(&self) {
        for node in self.state().nodes.values_mut() {
            match node {
                Node::File { content, durable, lost } => (*durable, *lost) = (content.len(), false),
                Node::Directory { names, durable, pending } => {
                    durable.clone_from(names);
                    pending.clear();
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn act<T>(
        &self,
        action: &'static str,
        path: &Path,
        act: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, DiskError> {
        act(&mut self.state()).map_err(|error| DiskError::new(action, path, error))
    }

    fn open_node(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let node = self.act("open", path, |state| {
            let node = state.find(path)?;
            if matches!(state.nodes[&node], Node::File { .. }) { Ok(node) } else { Err(ErrorKind::IsADirectory.into()) }
        })?;
        Ok(Box::new(MemoryFile { disk: self.clone(), node, path: path.to_owned() }))
    }
}

/// Takes away some of what is not durable.
fn tear(content: &mut Vec<u8>, durable: usize, chance: u64, random: &mut Random) {
    if random.below(256) >= chance {
        let kept = random.below((content.len() - durable) as u64 + 1) as usize;
        content.truncate(if random.below(2) == 0 { durable } else { durable + kept });
    }
    if random.below(256) >= chance && content.len() > durable {
        // The length has reached the disk, some of the bytes have not.
        let from = durable + random.below((content.len() - durable) as u64) as usize;
        let filler = if random.below(2) == 0 { 0 } else { 0xa5 };
        content[from..].fill(filler);
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<OsString, usize>) {
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

impl State {
    /// Counts a call that changes something; fails if it is its turn.
    fn count(&mut self) -> Result<(), Error> {
        self.calls += 1;
        match self.fault {
            Some(fault) if self.calls == fault.call || (fault.for_ever && self.calls > fault.call) => {
                Err(fault.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let mut linked = HashSet::new();
        self.collect(ROOT, &mut linked);
        let len =
            |node: &usize| if let Node::File { content, .. } = &self.nodes[node] { content.len() as u64 } else { 0 };
        linked.iter().map(len).sum()
    }

    fn collect(&self, node: usize, linked: &mut HashSet<usize>) {
        linked.insert(node);
        if let Node::Directory { names, .. } = &self.nodes[&node] {
            for child in names.values() {
                self.collect(*child, linked);
            }
        }
    }

    fn find(&self, path: &Path) -> Result<usize, Error> {
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

    fn names(&self, directory: usize) -> Result<&BTreeMap<OsString, usize>, Error> {
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

    fn link(&mut self, path: &Path, new: Node) -> Result<usize, Error> {
        self.count()?;
        let (directory, name) = self.parent(path)?;
        if self.names(directory)?.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let node = self.next_node;
        self.next_node += 1;
        self.nodes.insert(node, new);
        self.change(directory, Change::Link { name: name.to_owned(), node });
        Ok(node)
    }

    fn unlink(&mut self, path: &Path, is_directory: bool) -> Result<(), Error> {
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

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
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

    fn append(&mut self, node: usize, bytes: &[u8]) -> Result<(), Error> {
        let room = self.capacity.map_or(bytes.len() as u64, |capacity| capacity.saturating_sub(self.used()));
        let (written, result) = match self.count() {
            // Some of it may get through before the error.
            Err(error) => (bytes.len() / 2, Err(error)),
            Ok(()) if room < bytes.len() as u64 => (room as usize, Err(ErrorKind::StorageFull.into())),
            Ok(()) => (bytes.len(), Ok(())),
        };
        if let Some(Node::File { content, .. }) = self.nodes.get_mut(&node) {
            content.extend_from_slice(&bytes[..written]);
        }
        result
    }

    fn sync(&mut self, node: usize) -> Result<(), Error> {
        let result = self.count();
        if let Some(Node::File { content, durable, lost }) = self.nodes.get_mut(&node) {
            *lost |= result.is_err();
            if !*lost {
                *durable = content.len();
            }
        }
        result
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.open_node(path)
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.open_node(path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let empty = Node::File { content: Vec::new(), durable: 0, lost: false };
        let node = self.act("create", path, |state| state.link(path, empty))?;
        Ok(Box::new(MemoryFile { disk: self.clone(), node, path: path.to_owned() }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        self.act("look at", path, |state| {
            Ok(match &state.nodes[&state.find(path)?] {
                Node::File { content, .. } => {
                    Metadata { kind: EntryKind::File, len: content.len() as u64, mode: 0o600, uid: 0 }
                }
                Node::Directory { .. } => Metadata { kind: EntryKind::Directory, len: 0, mode: 0o700, uid: 0 },
            })
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, EntryKind)>, DiskError> {
        self.act("list", path, |state| {
            let kind = |node: &usize| match state.nodes[node] {
                Node::File { .. } => EntryKind::File,
                Node::Directory { .. } => EntryKind::Directory,
            };
            Ok(state.names(state.find(path)?)?.iter().map(|(name, node)| (name.clone(), kind(node))).collect())
        })
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("create directory", path, |state| state.link(path, directory()).map(drop))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.act("rename a file to", to, |state| state.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.act("remove", path, |state| state.unlink(path, false))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("remove directory", path, |state| state.unlink(path, true))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.act("sync directory", path, |state| {
            state.count()?;
            let directory = state.find(path)?;
            if let Some(Node::Directory { names, durable, pending }) = state.nodes.get_mut(&directory) {
                durable.clone_from(names);
                pending.clear();
            }
            Ok(())
        })
    }

    fn available_bytes(&self, _: &Path) -> Result<u64, DiskError> {
        let state = self.state();
        Ok(state.capacity.map_or(1 << 50, |capacity| capacity.saturating_sub(state.used())))
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        self.act("resolve", path, |state| state.find(path)).map(|_| path.to_owned())
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        let free = self.state().locks.insert(path.to_owned());
        Ok(free.then(|| Box::new(MemoryLock { disk: self.clone(), path: path.to_owned() }) as Box<dyn FileLock>))
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
    path: PathBuf,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.disk.act("read", &self.path, |state| {
            let Node::File { content, .. } = &state.nodes[&self.node] else {
                return Err(ErrorKind::IsADirectory.into());
            };
            let rest = content.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.act("write", &self.path, |state| state.append(self.node, bytes))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.disk.act("look at", &self.path, |state| match &state.nodes[&self.node] {
            Node::File { content, .. } => Ok(content.len() as u64),
            Node::Directory { .. } => Ok(0),
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.disk.act("sync", &self.path, |state| state.sync(self.node))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
}

impl FileLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

/// Draws numbers that a seed determines.
struct Random(u64);

impl Random {
    /// A number below `limit`, by splitmix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
