//! The walk: depth first, one entry at a time, never out of the tree.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, open, readlinkat, statx};
use rustix::io::Errno;
use worldkeeper_archive::Item;

use super::attribute_times;
use super::entry::{Attributes, Entry, Special};
use super::error::{Action, RootError, SourceError};
use super::listing::Listing;
use super::metadata::{At, Collector};
use super::pulse::Pulse;
use super::reader::{FileReader, open_beneath, open_special};
use super::root::{SourceRoot, name_of};
use super::rules::{Reason, Rules};
use super::stat::{FileId, Stat};
use crate::patterns::Verdict;

/// Directories that are held open at most; those further up are opened again when the walk comes back to them.
const OPEN_DIRECTORIES: usize = 64;

/// What the kernel may give of a directory at a time, in bytes.
const LISTING_BYTES: usize = 64 * 1024;

/// What the walk came upon.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object for the archive.
    Entry(Entry),
    /// An object that is deliberately not in the archive.
    LeftOut {
        /// Where, as walked.
        path: Vec<u8>,
        /// Why.
        reason: Reason,
    },
    /// An object that is not in the archive, or not with everything, because it could not be read.
    Failed(SourceError),
}

/// Goes through the roots, one object after the other.
///
/// A directory comes before what is in it; entries come by inode number. What is kept is one listing for each level
/// above the current one, and one path for each object with several links.
#[derive(Debug)]
pub(crate) struct Walker {
    roots: VecDeque<(SourceRoot, Arc<OwnedFd>)>,
    root: Option<(SourceRoot, Stat)>,
    levels: Vec<Level>,
    rules: Rules,
    /// Roots that are in the archive already: as in stock, they do not come a second time.
    done: HashSet<Done>,
    /// The path in the archive of each object that has further links.
    masters: HashMap<FileId, Vec<u8>>,
    collector: Collector,
    ready: VecDeque<Found>,
    pulse: Pulse,
    buffer: Box<[MaybeUninit<u8>]>,
}

/// A directory that the walk is in.
#[derive(Debug)]
struct Level {
    /// `None` while too many are open.
    directory: Option<Arc<OwnedFd>>,
    id: FileId,
    path: Vec<u8>,
    listing: Listing,
    /// A change of attributes shows in the ctime of what is in it and on the same file system.
    shows_attributes: bool,
}

impl Walker {
    /// Prepares to walk `roots`; each must be there and must not be what the rules leave out. A relative root is
    /// beneath the current directory of this moment. What the walk asks about, now and later, is said to `pulse`.
    pub(crate) fn new<R: AsRef<OsStr>>(
        roots: impl IntoIterator<Item = R>,
        rules: Rules,
        pulse: Pulse,
    ) -> Result<Self, RootError> {
        let mut walker = Self {
            roots: VecDeque::new(),
            root: None,
            levels: Vec::new(),
            rules,
            done: HashSet::new(),
            masters: HashMap::new(),
            collector: Collector::new(),
            ready: VecDeque::new(),
            pulse,
            buffer: vec![MaybeUninit::uninit(); LISTING_BYTES].into_boxed_slice(),
        };
        for root in roots {
            let root = SourceRoot::new(root.as_ref().as_bytes());
            walker.pulse.at(&root.path);
            let (parent, name) = root.parent_and_name();
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let parent = open(Path::new(OsStr::from_bytes(parent)), flags, Mode::empty())
                .map_err(|error| SourceError::new(&root.path, Action::Open, error))?;
            walker.check_root(&root, &stat(&parent, name, &root.path)?)?;
            require_proc(&parent)?;
            for (other, _) in &walker.roots {
                require_names_apart(&root, other)?;
                require_names_apart(other, &root)?;
            }
            walker.roots.push_back((root, Arc::new(parent)));
        }
        Ok(walker)
    }

    /// The next thing that the walk comes upon; `None` after the last root.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, RootError> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(Some(found));
            }
            if self.levels.is_empty() {
                if let Some((root, stat)) = self.root.take() {
                    self.done.insert(done(&stat, &root.path));
                }
                let Some((root, parent)) = self.roots.pop_front() else { return Ok(None) };
                self.start(root, &parent)?;
            } else if let Err(error) = self.step() {
                self.ready.push_back(Found::Failed(error));
            }
        }
    }

    /// Reads the extended attributes and ACLs of an entry that has content; those of all others are read already. What
    /// cannot be read comes as [`Found::Failed`] next.
    pub(crate) fn read_attributes(&mut self, entry: &mut Entry) -> Result<(), SourceError> {
        if entry.attributes == Attributes::Unread {
            let at = match entry.special {
                Some(Special::Target) => At::Target(entry.directory.as_fd(), name_of(&entry.path)),
                _ => At::Name(entry.directory.as_fd(), name_of(&entry.path)),
            };
            let ready = &mut self.ready;
            let report = &mut |error| ready.push_back(Found::Failed(error));
            entry.attributes = self.collector.attributes(&mut entry.item, &entry.stat, at, &entry.path, report)?;
        }
        Ok(())
    }

    /// Opens the content of an entry that has some.
    ///
    /// What is open is the truth: if the file was changed or replaced by another one since the walk came upon it, the
    /// entry is brought up to date; attributes that then cannot be read come as [`Found::Failed`] next. If it is of
    /// another kind now, nothing is read.
    pub(crate) fn open(&mut self, entry: &mut Entry) -> Result<FileReader, SourceError> {
        self.pulse.at(&entry.path);
        let failed = |error| SourceError::new(&entry.path, Action::Open, error);
        let file = match entry.special {
            None => open_beneath(&entry.directory, entry.name(), OFlags::empty()),
            Some(special) => open_special(&entry.directory, entry.name(), special),
        };
        let file = file.map_err(failed)?;
        let opened = Stat::of_open(&file).map_err(failed)?;
        if opened.file_type() != entry.stat.file_type() {
            return Err(replaced(&entry.path));
        }
        if opened != entry.stat {
            if opened.id != entry.stat.id && (opened.nlink > 1 || entry.stat.nlink > 1) {
                // Which link the item is was decided for another file.
                return Err(replaced(&entry.path));
            }
            self.collector.stat(&mut entry.item, &opened);
            let ready = &mut self.ready;
            let report = &mut |error| ready.push_back(Found::Failed(error));
            let at = At::Open(file.as_fd());
            entry.attributes = self.collector.attributes(&mut entry.item, &opened, at, &entry.path, report)?;
            entry.stat = opened;
            entry.settle();
        }
        let pulse = self.pulse.clone();
        Ok(if entry.is_special() {
            FileReader::of_stream(file, opened, &entry.path, pulse)
        } else {
            FileReader::new(file, opened, &entry.path, pulse)
        })
    }

    /// Returns whether another file may belong to an entry, which belongs to none itself.
    pub(crate) fn may_be_main(&self, entry: &Entry) -> bool {
        let has_followers = self.levels.last().is_some_and(|level| level.listing.has_followers());
        has_followers && self.rules.main_of(entry.name()).is_none()
    }

    /// Of what was just come upon, at this path as walked: the path of the file that it belongs to, and what is there now. `None`
    /// if it belongs to none.
    pub(crate) fn main_of(&self, path: &[u8]) -> Option<(Vec<u8>, Option<Stat>)> {
        let level = self.levels.last().filter(|level| level.listing.has_followers())?;
        let main = self.rules.main_of(name_of(path))?;
        Some((SourceRoot::join(&level.path, main), Stat::of(level.directory.as_ref()?, main).ok()))
    }

    /// Has another look at what vanished, at this path as walked and come upon last, once it has been through the rest of its
    /// directory: one file is often put in another's place by two renames, and between them there is none.
    ///
    /// Returns whether it will. What belongs to another file is to be seen right behind that, or not at all.
    pub(crate) fn comes_again(&mut self, path: &[u8]) -> bool {
        let belongs = self.main_of(path).is_some();
        !belongs && self.levels.last_mut().is_some_and(|level| level.listing.again())
    }

    /// Says that an entry is in the archive, so that further links to it may refer to its item.
    ///
    /// To be called for every entry that is, before the next one is asked for. Of one that could not be read the next
    /// link becomes the first.
    pub(crate) fn archived(&mut self, entry: &Entry) {
        if entry.item.hardlink_master == Some(true) {
            self.masters.insert(entry.stat.id, entry.item.path.clone());
        }
    }

    #[cfg(test)]
    pub(super) fn open_directories(&self) -> usize {
        self.levels.iter().filter(|level| level.directory.is_some()).count()
    }

    fn check_root(&self, root: &SourceRoot, stat: &Stat) -> Result<(), RootError> {
        if stat.file_type() == FileType::Directory && self.rules.leaves_out_directory(stat.id) {
            return Err(RootError::LeftOut { path: root.path.clone() });
        }
        Ok(())
    }

    /// Comes upon a root: its failures are fatal.
    fn start(&mut self, root: SourceRoot, parent: &Arc<OwnedFd>) -> Result<(), RootError> {
        let path = root.path.clone();
        self.pulse.at(&path);
        let stat = stat(parent, name_of(&path), &path)?;
        self.check_root(&root, &stat)?;
        self.root = Some((root, stat));
        let verdict = self.judge(&path);
        if self.done.contains(&done(&stat, &path)) {
            self.ready.push_back(Found::LeftOut { path, reason: Reason::Again });
            return Ok(());
        }
        Ok(self.visit(parent, path, &stat, verdict)?)
    }

    /// Goes to the next entry of the innermost directory, or leaves that.
    fn step(&mut self) -> Result<(), SourceError> {
        let level = self.levels.last_mut().expect("there is a level to step in");
        let directory = Arc::clone(level.directory.as_ref().expect("the innermost directory is open"));
        let Some(name) = level.listing.next() else {
            self.leave();
            return Ok(());
        };
        let path = SourceRoot::join(&level.path, name);
        let verdict = self.judge(&path);
        if verdict == Verdict::ExcludeNoRecurse {
            // It is not even looked at, as what may not be looked at is often left out for that reason.
            self.ready.push_back(Found::LeftOut { path, reason: Reason::Pattern });
            return Ok(());
        }
        self.pulse.at(&path);
        let stat = match stat(&directory, name_of(&path), &path) {
            Err(error) if error.vanished() && self.comes_again(&path) => return Ok(()),
            stat => stat?,
        };
        if self.done.contains(&done(&stat, &path)) {
            return Ok(());
        }
        self.visit(&directory, path, &stat, verdict)
    }

    /// What the patterns say. What they cannot decide about is kept, and somebody is told.
    fn judge(&mut self, path: &[u8]) -> Verdict {
        self.rules.judge(path).unwrap_or_else(|slow| {
            self.ready.push_back(Found::Failed(SourceError::new(path, Action::Judge, io::Error::other(slow))));
            Verdict::Include
        })
    }

    /// Makes an object's entry, and enters it if it is a directory; of one that is left out only the latter.
    fn visit(
        &mut self,
        directory: &Arc<OwnedFd>,
        path: Vec<u8>,
        stat: &Stat,
        verdict: Verdict,
    ) -> Result<(), SourceError> {
        let left_out = match stat.file_type() {
            _ if verdict == Verdict::ExcludeNoRecurse => Some(Reason::Pattern),
            FileType::Directory => self.rules.leaves_out_directory(stat.id).then_some(Reason::Directory),
            _ if verdict == Verdict::Exclude => Some(Reason::Pattern),
            _ if self.rules.leaves_out_name(name_of(&path)) => Some(Reason::Name),
            FileType::Socket => Some(Reason::Socket),
            _ => None,
        };
        if let Some(reason) = left_out {
            self.ready.push_back(Found::LeftOut { path, reason });
            return Ok(());
        }
        if stat.file_type() == FileType::Directory {
            return self.enter(directory, path, verdict);
        }
        let special = self.special(directory, name_of(&path), stat);
        let stat = special.as_ref().map_or(stat, |(_, stat)| stat);
        let special = special.as_ref().map(|(special, _)| *special);
        let mut entry = self.entry(directory, path, stat);
        entry.special = special;
        entry.settle();
        match stat.file_type() {
            FileType::Symlink => {
                let target = readlinkat(directory, entry.name(), Vec::new())
                    .map_err(|error| SourceError::new(&entry.path, Action::Read, error))?;
                entry.item.source = Some(target.into_bytes());
            }
            _ if stat.nlink > 1 => match self.masters.get(&stat.id) {
                Some(master) => entry.item.source = Some(master.clone()),
                None => entry.item.hardlink_master = Some(true),
            },
            _ => entry.item.hardlink_master = Some(false),
        }
        let level = self.levels.last().filter(|level| level.id.dev == stat.id.dev);
        entry.shows_attributes = level.is_some_and(|level| level.shows_attributes);
        if !entry.has_content() {
            self.read_attributes(&mut entry)?;
        }
        self.ready.push_back(Found::Entry(entry));
        Ok(())
    }

    /// How an object is read although it is no file, if it is; and what is known of what is read.
    fn special(&self, directory: &OwnedFd, name: &[u8], stat: &Stat) -> Option<(Special, Stat)> {
        if !self.rules.reads_special() {
            return None;
        }
        if stat.file_type() != FileType::Symlink {
            return stat.is_special().then_some((Special::Itself, *stat));
        }
        // Whose target cannot be looked at is a link like any other.
        let target = Stat::of_target(directory, name).ok()?;
        target.is_special().then_some((Special::Target, target))
    }

    /// Opens a directory, makes its entry of what is open unless it is left out, and goes on within.
    fn enter(&mut self, parent: &Arc<OwnedFd>, path: Vec<u8>, verdict: Verdict) -> Result<(), SourceError> {
        let opened = open_beneath(parent, name_of(&path), OFlags::DIRECTORY)
            .map_err(|error| SourceError::new(&path, Action::List, error))?;
        let stat = Stat::of_open(&opened).map_err(|error| SourceError::new(&path, Action::Stat, error))?;
        if self.rules.leaves_out_directory(stat.id) {
            self.ready.push_back(Found::LeftOut { path, reason: Reason::Directory });
            return Ok(());
        }
        let (_, root) = self.root.as_ref().expect("directories are beneath a root");
        let is_foreign = self.rules.is_foreign(stat.id.dev, root.id.dev);
        // As in stock, what is not entered is not asked for tags.
        let tags = if is_foreign { None } else { self.rules.tags(opened.as_fd(), &path, &self.pulse) };
        if tags.is_some() && !(verdict == Verdict::Include && self.rules.keeps_tags()) {
            self.ready.push_back(Found::LeftOut { path, reason: Reason::Tag });
            return Ok(());
        }
        if verdict == Verdict::Include {
            let mut entry = self.entry(parent, path.clone(), &stat);
            let ready = &mut self.ready;
            let report = &mut |error| ready.push_back(Found::Failed(error));
            let at = At::Open(opened.as_fd());
            entry.attributes = self.collector.attributes(&mut entry.item, &stat, at, &path, report)?;
            self.ready.push_back(Found::Entry(entry));
        } else {
            self.ready.push_back(Found::LeftOut { path: path.clone(), reason: Reason::Pattern });
        }

        if is_foreign {
            self.ready.push_back(Found::LeftOut { path, reason: Reason::OtherFileSystem });
            return Ok(());
        }
        let listing = if let Some(tags) = tags {
            self.ready.push_back(Found::LeftOut { path: path.clone(), reason: Reason::Tag });
            tags
        } else {
            let mut listing = Listing::read(opened.as_fd(), &mut self.buffer, &self.pulse)
                .map_err(|error| SourceError::new(&path, Action::List, error))?;
            listing.follow(|name| self.rules.main_of(name));
            listing
        };
        if let Some(far) = self.levels.len().checked_sub(OPEN_DIRECTORIES) {
            self.levels[far].directory = None;
        }
        let shows_attributes = attribute_times::show_changes(&opened);
        self.levels.push(Level { directory: Some(Arc::new(opened)), id: stat.id, path, listing, shows_attributes });
        Ok(())
    }

    /// Leaves the innermost directory. If the one above it had to be closed, the way there is through `..`, which is
    /// taken only if it leads where we came from; else what is left of all that had to be closed is lost.
    fn leave(&mut self) {
        let left = self.levels.pop().expect("there is a level to leave");
        let Some(above) = self.levels.last_mut().filter(|above| above.directory.is_none()) else { return };
        self.pulse.at(&above.path);
        let reopened = left.directory.as_ref().ok_or(Errno::BADF).and_then(|left| {
            let directory = open_beneath(left, b"..", OFlags::DIRECTORY)?;
            if Stat::of_open(&directory)?.id == above.id { Ok(directory) } else { Err(Errno::STALE) }
        });
        match reopened {
            Ok(directory) => above.directory = Some(Arc::new(directory)),
            Err(_) => {
                for lost in self.levels.drain(..) {
                    let moved = io::Error::other("a directory was moved or removed while the walk was in it");
                    self.ready.push_back(Found::Failed(SourceError::new(&lost.path, Action::List, moved)));
                }
            }
        }
    }

    fn entry(&mut self, directory: &Arc<OwnedFd>, path: Vec<u8>, stat: &Stat) -> Entry {
        let (root, _) = self.root.as_ref().expect("entries are beneath a root");
        let mut item = Box::new(Item { path: root.archive_path(&path), ..Item::default() });
        self.collector.stat(&mut item, stat);
        Entry {
            item,
            stat: *stat,
            path,
            directory: Arc::clone(directory),
            special: None,
            attributes: Attributes::Unread,
            shows_attributes: false,
        }
    }
}

/// What tells that something is in the archive already: what it is; of a file with several links also which of them, since
/// each is an item of its own. Stock does not look at that, and leaves out every other link of a root.
type Done = (FileId, Option<Vec<u8>>);

fn done(stat: &Stat, path: &[u8]) -> Done {
    let is_one_of_several = stat.file_type() != FileType::Directory && stat.nlink > 1;
    (stat.id, is_one_of_several.then(|| path.to_vec()))
}

fn stat(directory: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Stat, SourceError> {
    Stat::of(directory, name).map_err(|error| SourceError::new(path, Action::Stat, error))
}

fn replaced(path: &[u8]) -> SourceError {
    SourceError::new(path, Action::Open, io::Error::other("another object was put in its place meanwhile"))
}

/// Requires that what the archive calls `inner` does not lie within what it calls `outer`, unless it does so on the disk as well:
/// nobody could tell later whose files are whose.
///
/// Within a root that the archive calls `.` everything lies; there it takes something of that name.
fn require_names_apart(outer: &SourceRoot, inner: &SourceRoot) -> Result<(), RootError> {
    let Some(place) = outer.place_of(&inner.archive_path(&inner.path)) else { return Ok(()) };
    let id = |path: &[u8]| Stat::of(CWD, path).map(|stat| stat.id).ok();
    let found = id(&place);
    let is_free = found.is_none() && outer.archive_path(&outer.path) == b".";
    if is_free || place == inner.path || found.is_some() && found == id(&inner.path) {
        return Ok(());
    }
    Err(RootError::SameNames { path: inner.path.clone(), other: outer.path.clone() })
}

/// Without /proc every object would seem to vanish when its attributes are read.
fn require_proc(open: &OwnedFd) -> Result<(), RootError> {
    let path = format!("/proc/self/fd/{}", open.as_raw_fd());
    let there = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).map(|stat| Stat::from(&stat).id);
    match (there, Stat::of_open(open)) {
        (Ok(there), Ok(stat)) if there == stat.id => Ok(()),
        _ => Err(RootError::NoProc),
    }
}
