//! The directory that items are put into, one after the other.

use std::fmt;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fstat, linkat, mkdirat, mknodat, open, openat, statat, symlinkat, unlinkat,
};
use rustix::io::{self, Errno};
use worldkeeper_archive::Item;

use super::attributes::{Object, Setter};
use super::error::{Attribute, RestoreError, Unset};
use super::parents::Parents;
use super::path::{components, is_beneath};
use super::writer::FileWriter;
use crate::attributes::Names;

/// How items are restored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Owners are those of the stored numbers, not those of the stored names.
    pub numeric_ids: bool,
}

/// The directory that items are put into. What is in the way of an item is removed, but for directories that are not
/// empty; nothing outside is ever touched.
pub(crate) struct Target {
    parents: Parents,
    /// Directories that get their attributes when the items in them are done.
    unfinished: Vec<(Vec<Vec<u8>>, Item)>,
    setter: Setter,
}

impl Target {
    /// Opens the directory `root`, or creates it. `report` is told of every attribute that cannot be set.
    pub(crate) fn open(
        root: &Path,
        options: Options,
        report: impl FnMut(Unset) + Send + 'static,
    ) -> Result<Self, RestoreError> {
        let failed = |error| RestoreError::io(root.as_os_str().as_encoded_bytes(), "open the target", error);
        fs::create_dir_all(root).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(root, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self {
            parents: Parents::new(directory),
            unfinished: Vec::new(),
            setter: Setter { names: Names::default(), numeric_ids: options.numeric_ids, report: Box::new(report) },
        })
    }

    /// Restores an item, or of a regular file with content of its own gives what to write that to.
    ///
    /// A further hard link refers to an item that was restored before; see [`HardLinks`](super::HardLinks).
    pub(crate) fn place(&mut self, item: &Item) -> Result<Option<FileWriter>, RestoreError> {
        let path = components(&item.path)?;
        self.leave(&path);
        let Some((name, parents)) = path.split_last() else { return self.place_target(item).map(|()| None) };
        let directory = self.parents.open(parents, true).map_err(|error| on_the_way(&item.path, error))?;
        let place = Place { directory, name, path: &path, item };
        match FileType::from_raw_mode(item.mode) {
            FileType::Directory => self.place_directory(&place).map(|()| None),
            FileType::Symlink => {
                let target = item.source.as_deref().unwrap_or_default();
                self.make(&place, "create", |directory, name| symlinkat(target, directory, name))?;
                self.finish_named(&place).map(|()| None)
            }
            kind @ (FileType::RegularFile | FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                if let Some(source) = &item.source {
                    return self.place_link(&place, source).map(|()| None);
                }
                if kind == FileType::RegularFile {
                    return self.place_file(&place).map(Some);
                }
                let (mode, device) = (Mode::from_raw_mode(0o600), item.rdev.unwrap_or(0));
                self.make(&place, "create", |directory, name| mknodat(directory, name, kind, mode, device))?;
                self.finish_named(&place).map(|()| None)
            }
            _ => Err(RestoreError::Type { path: item.path.clone(), mode: item.mode }),
        }
    }

    /// Gives the last directories their attributes.
    pub(crate) fn finish(mut self) {
        self.leave(&[]);
    }

    pub(super) fn setter(&mut self) -> &mut Setter {
        &mut self.setter
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
        let made = mkdirat(&place.directory, place.name, Mode::from_raw_mode(0o700));
        let there = || Ok(FileType::from_raw_mode(place.stat()?.st_mode) == FileType::Directory);
        if made != Err(Errno::EXIST) {
            made.map_err(|error| RestoreError::io(&place.item.path, "create", error))?;
        } else if !there().map_err(|error: Errno| RestoreError::io(&place.item.path, "look at", error))? {
            self.make(place, "create", |directory, name| mkdirat(directory, name, Mode::from_raw_mode(0o700)))?;
        }
        self.unfinished.push((place.path.iter().map(|part| part.to_vec()).collect(), place.item.clone()));
        Ok(())
    }

    fn finish_directory(&mut self, path: &[Vec<u8>], item: &Item) {
        let path: Vec<_> = path.iter().map(Vec::as_slice).collect();
        match self.parents.open(&path, false) {
            Ok(directory) => self.setter.set(Object::Open(directory.as_fd()), item),
            Err(error) => self.setter.unset(item, Attribute::All, error.into()),
        }
    }

    fn place_file(&mut self, place: &Place<'_>) -> Result<FileWriter, RestoreError> {
        // Nobody else reads it before it has its owner and permissions.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = |directory: &OwnedFd, name: &[u8]| openat(directory, name, flags, Mode::from_raw_mode(0o600));
        let file = self.make(place, "create", create)?;
        Ok(FileWriter::new(file, place.item.clone(), Arc::clone(&place.directory), place.name))
    }

    fn place_link(&mut self, place: &Place<'_>, source: &[u8]) -> Result<(), RestoreError> {
        let source = components(source).map_err(|_| RestoreError::Outside { path: place.item.path.clone() })?;
        let Some((source_name, parents)) = source.split_last() else {
            return Err(RestoreError::Outside { path: place.item.path.clone() });
        };
        let source = self.parents.open(parents, false).map_err(|error| on_the_way(&place.item.path, error))?;
        // A symlink in the source's place would be linked itself, not followed.
        let link = |directory: &OwnedFd, name: &[u8]| linkat(&source, *source_name, directory, name, AtFlags::empty());
        self.make(place, "link", link)
    }

    /// Gives an object that cannot be opened its attributes, if it is still the one that was made.
    fn finish_named(&mut self, place: &Place<'_>) -> Result<(), RestoreError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |error| RestoreError::io(&place.item.path, "look at", error);
        let object = openat(&place.directory, place.name, flags, Mode::empty()).map_err(failed)?;
        let kind = FileType::from_raw_mode(fstat(&object).map_err(failed)?.st_mode);
        if kind != FileType::from_raw_mode(place.item.mode) {
            return Err(failed(Errno::STALE));
        }
        self.setter.set(Object::Named(object.as_fd()), place.item);
        Ok(())
    }

    /// Makes something where an item belongs; what is in its way is removed first.
    fn make<T>(
        &mut self,
        place: &Place<'_>,
        action: &'static str,
        make: impl Fn(&OwnedFd, &[u8]) -> io::Result<T>,
    ) -> Result<T, RestoreError> {
        let made = match make(&place.directory, place.name) {
            Err(Errno::EXIST) => {
                place.clear();
                self.parents.forget(place.path);
                make(&place.directory, place.name)
            }
            made => made,
        };
        made.map_err(|error| RestoreError::io(&place.item.path, action, error))
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
    /// Removes what is there: a file, or a directory that is empty. What stays is found out by who needs the place.
    fn clear(&self) {
        if unlinkat(&self.directory, self.name, AtFlags::empty()) == Err(Errno::ISDIR) {
            _ = unlinkat(&self.directory, self.name, AtFlags::REMOVEDIR);
        }
    }

    fn stat(&self) -> io::Result<rustix::fs::Stat> {
        statat(&self.directory, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn on_the_way(path: &[u8], error: Errno) -> RestoreError {
    match error {
        Errno::NOTDIR | Errno::LOOP => RestoreError::Behind { path: path.to_vec() },
        _ => RestoreError::io(path, "open the directory of", error),
    }
}
