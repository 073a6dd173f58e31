//! The directory that items are put into, one after the other.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, mknodat, open, openat, statat, symlinkat};
use rustix::io::{self, Errno};
use worldkeeper_archive::Item;

use super::attributes::{Object, Setter};
use super::beside::{self, Beside};
use super::error::{Attribute, RestoreError, Unset};
use super::parents::Parents;
use super::path::{components, is_beneath};
use super::writer::FileWriter;
use crate::attributes::Names;

/// How items are restored.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch by itself, and off unless somebody asks")]
pub struct RestoreOptions {
    /// Owners are those of the stored numbers, not those of the stored names.
    pub numeric_ids: bool,
    /// Chunks of nothing but zeros become holes.
    pub sparse: bool,
    /// Block and character devices are made. Without it they are left out: an archive may come from who knows where,
    /// and a device gives away what it stands for.
    pub devices: bool,
    /// Files get their setuid and setgid bits and capabilities. Without it they do not, for the same reason; the setgid
    /// bit of a directory gives nobody a right and is always set.
    pub setuid: bool,
}

/// The directory that items are put into. What is in the place of an item is replaced when the item is complete, but
/// for directories that are not empty; nothing outside is ever touched.
pub(crate) struct Target {
    parents: Parents,
    names: beside::Names,
    /// Directories that get their attributes when the items in them are done.
    unfinished: Vec<(Vec<Vec<u8>>, Item)>,
    /// Items with further links that are not in their places: something else may be.
    missing: BTreeSet<Vec<u8>>,
    setter: Setter,
    options: RestoreOptions,
}

impl Target {
    /// Opens the directory `root`, or creates it. `report` is told of every attribute that cannot be set.
    pub(crate) fn open(
        root: &Path,
        options: RestoreOptions,
        report: impl FnMut(Unset) + Send + 'static,
    ) -> Result<Self, RestoreError> {
        let failed = |error| RestoreError::io(root.as_os_str().as_encoded_bytes(), "open the target", error);
        fs::create_dir_all(root).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(root, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        beside::remove_leftovers(&directory);
        Ok(Self {
            parents: Parents::new(directory),
            names: beside::Names::draw().map_err(|error| failed(std::io::Error::other(error)))?,
            unfinished: Vec::new(),
            missing: BTreeSet::new(),
            setter: Setter { names: Names::default(), options, report: Box::new(report) },
            options,
        })
    }

    /// Restores an item, or of a regular file with content of its own gives what to write that to.
    ///
    /// A further hard link refers to an item that was restored before; see [`HardLinks`](super::HardLinks).
    pub(crate) fn place(&mut self, item: &Item) -> Result<Option<FileWriter>, RestoreError> {
        let placed = self.put(item);
        // Of the items that may have further links only old borg does not say whether they have.
        if !matches!(placed, Ok(None)) && item.hardlink_master != Some(false) {
            self.missing.insert(item.path.clone());
        }
        placed
    }

    /// Says that an item is in its place now, for which [`place`](Self::place) gave a writer.
    pub(super) fn is_placed(&mut self, item: &Item) {
        self.missing.remove(&item.path);
    }

    /// Gives the last directories their attributes.
    pub(crate) fn finish(mut self) {
        self.leave(&[]);
    }

    pub(super) fn setter(&mut self) -> &mut Setter {
        &mut self.setter
    }

    fn put(&mut self, item: &Item) -> Result<Option<FileWriter>, RestoreError> {
        let path = components(&item.path)?;
        self.leave(&path);
        let kind = FileType::from_raw_mode(item.mode);
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) && !self.options.devices {
            return Err(RestoreError::Device { path: item.path.clone() });
        }
        let Some((name, parents)) = path.split_last() else { return self.place_target(item).map(|()| None) };
        let directory = self.parents.open(parents, true).map_err(|error| on_the_way(&item.path, error))?;
        let place = Place { directory, name, path: &path, item };
        match kind {
            FileType::Directory => self.place_directory(&place)?,
            FileType::Symlink => {
                let target = item.source.as_deref().unwrap_or_default();
                self.place_named(&place, |directory, name| symlinkat(target, directory, name))?;
            }
            FileType::RegularFile | FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
                if let Some(source) = &item.source {
                    self.place_link(&place, source)?;
                } else if kind == FileType::RegularFile {
                    return self.place_file(&place).map(Some);
                } else {
                    let (mode, device) = (Mode::from_raw_mode(0o600), item.rdev.unwrap_or(0));
                    self.place_named(&place, |directory, name| mknodat(directory, name, kind, mode, device))?;
                }
            }
            _ => return Err(RestoreError::Type { path: item.path.clone(), mode: item.mode }),
        }
        Ok(None)
    }

    /// Finishes the directories that the item at `path` is not in.
    fn leave(&mut self, path: &[&[u8]]) {
        while let Some((directory, item)) = self.unfinished.pop_if(|(directory, _)| !is_beneath(path, directory)) {
            self.finish_directory(&directory, &item);
        }
    }

    /// The target itself is in the archive too, as `.`.
    fn place_target(&mut self, item: &Item) -> Result<(), RestoreError> {
        if FileType::from_raw_mode(item.mode) != FileType::Directory {
            return Err(RestoreError::Outside { path: item.path.clone() });
        }
        self.unfinished.push((Vec::new(), item.clone()));
        Ok(())
    }

    /// A directory that is there already stays: it may be in use, or hold what the archive does not.
    fn place_directory(&mut self, place: &Place<'_>) -> Result<(), RestoreError> {
        let make = |directory: &OwnedFd, name: &[u8]| mkdirat(directory, name, Mode::from_raw_mode(0o700));
        let made = match make(&place.directory, place.name) {
            Err(Errno::EXIST) => match place.kind() {
                Ok(FileType::Directory) => Ok(()),
                Ok(_) => self.make_beside(place, make).and_then(|(beside, ())| beside.move_to(place.name)),
                Err(error) => Err(error),
            },
            made => made,
        };
        made.map_err(|error| place.failed("create", error))?;
        self.unfinished.push((place.path.iter().map(|part| part.to_vec()).collect(), place.item.clone()));
        Ok(())
    }

    fn finish_directory(&mut self, path: &[Vec<u8>], item: &Item) {
        let path: Vec<_> = path.iter().map(Vec::as_slice).collect();
        match self.parents.open(&path, false) {
            Ok(directory) => {
                let directory = Object::Open(directory.as_fd());
                self.setter.set(directory, item);
                self.setter.set_flags(directory, item);
            }
            Err(error) => self.setter.unset(item, Attribute::All, error.into()),
        }
    }

    fn place_file(&mut self, place: &Place<'_>) -> Result<FileWriter, RestoreError> {
        // Nobody else reads it before it has its owner and permissions.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = |directory: &OwnedFd, name: &[u8]| openat(directory, name, flags, Mode::from_raw_mode(0o600));
        let (beside, file) = self.make_beside(place, create).map_err(|error| place.failed("create", error))?;
        Ok(FileWriter::new(file, beside, place.name, place.item.clone(), self.options.sparse))
    }

    fn place_link(&mut self, place: &Place<'_>, source: &[u8]) -> Result<(), RestoreError> {
        if self.missing.contains(source) {
            return Err(RestoreError::Link { path: place.item.path.clone(), first: source.to_vec() });
        }
        let outside = || RestoreError::Outside { path: place.item.path.clone() };
        let source = components(source).map_err(|_| outside())?;
        let (source_name, parents) = source.split_last().ok_or_else(outside)?;
        let source = self.parents.open_aside(parents).map_err(|error| on_the_way(&place.item.path, error))?;
        // A symlink in the source's place would be linked itself, not followed.
        let link = |directory: &OwnedFd, name: &[u8]| linkat(&source, *source_name, directory, name, AtFlags::empty());
        let linked = match link(&place.directory, place.name) {
            // The system does not replace one link of a file by another, it leaves both.
            Err(Errno::EXIST) if place.holds(&source, source_name) => Ok(()),
            Err(Errno::EXIST) => self.make_beside(place, link).and_then(|(beside, ())| beside.move_to(place.name)),
            linked => linked,
        };
        linked.map_err(|error| place.failed("link", error))
    }

    /// Restores an object that cannot be opened.
    fn place_named(
        &mut self,
        place: &Place<'_>,
        make: impl Fn(&OwnedFd, &[u8]) -> io::Result<()>,
    ) -> Result<(), RestoreError> {
        let (beside, ()) = self.make_beside(place, make).map_err(|error| place.failed("create", error))?;
        let kind = FileType::from_raw_mode(place.item.mode);
        let object = beside.descriptor(kind).map_err(|error| place.failed("look at", error))?;
        self.setter.set(Object::Named(object.as_fd()), place.item);
        beside.move_to(place.name).map_err(|error| place.failed("create", error))?;
        self.setter.set_flags(Object::Named(object.as_fd()), place.item);
        Ok(())
    }

    fn make_beside<T>(
        &mut self,
        place: &Place<'_>,
        make: impl Fn(&OwnedFd, &[u8]) -> io::Result<T>,
    ) -> io::Result<(Beside, T)> {
        Beside::make(&place.directory, &mut self.names, make)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("unfinished", &self.unfinished.len()).finish_non_exhaustive()
    }
}

/// Where an item belongs.
struct Place<'a> {
    directory: Arc<OwnedFd>,
    name: &'a [u8],
    path: &'a [&'a [u8]],
    item: &'a Item,
}

impl Place<'_> {
    fn kind(&self) -> io::Result<FileType> {
        let stat = statat(&self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Returns whether what is there is the same object as the one of that name.
    fn holds(&self, directory: &OwnedFd, name: &[u8]) -> bool {
        let identity = |directory: &OwnedFd, name: &[u8]| {
            statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino))
        };
        let here = identity(&self.directory, self.name);
        here.is_ok() && here == identity(directory, name)
    }

    fn failed(&self, action: &'static str, error: Errno) -> RestoreError {
        RestoreError::io(&self.item.path, action, error)
    }
}

fn on_the_way(path: &[u8], error: Errno) -> RestoreError {
    match error {
        Errno::NOTDIR | Errno::LOOP => RestoreError::Behind { path: path.to_vec() },
        _ => RestoreError::io(path, "open the directory of", error),
    }
}
