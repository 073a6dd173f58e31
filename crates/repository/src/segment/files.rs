//! Where segments lie, and which of them there are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldkeeper_core::disk::{self, DiskFile, EntryKind};
use worldkeeper_core::repository::Room;
use worldkeeper_core::{ChunkId, Disk, DiskError, RepositoryError};

use super::entry::{Body, COMMIT, PutHeader};
use super::open_files::OpenFiles;
use super::{ATTIC_MAGIC, Location, MAGIC, MAX_SEGMENT, SalvageReader, SegmentReader, SegmentWriter, damaged};

/// How much is read of an object before its size is known; small objects are complete with it.
const FIRST_READ_BYTES: usize = 4096;

/// How much is copied at once.
const COPIED_BYTES: usize = 256 * 1024;

/// Ends the name of a file that is to take a segment's place.
const BESIDE: &str = ".repair";

/// The segments of a repository: `data/<number div per_directory>/<number>`.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    per_directory: u32,
    open: OpenFiles,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, repository: &Path, per_directory: u32) -> Self {
        Self { disk, data: repository.join("data"), per_directory, open: OpenFiles::default() }
    }

    /// The numbers of all segment files, ascending. What is not named like a segment is passed over.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::CheckNeeded`] if a segment lies in another directory than its number says, or if nothing
    /// could be written behind it. Stock would not find it either; whoever goes on then, writes a second history
    /// beside the first.
    pub(crate) fn list(&self) -> Result<Vec<u32>, RepositoryError> {
        let mut segments = Vec::new();
        for directory in self.numbers(&self.data, EntryKind::Directory)? {
            for segment in self.numbers(&self.data.join(directory.to_string()), EntryKind::File)? {
                if segment / self.per_directory != directory {
                    let per_directory = self.per_directory;
                    return Err(RepositoryError::CheckNeeded(format!(
                        "segment {segment} lies in data/{directory}, but with segments_per_dir = {per_directory} \
                         it belongs into data/{}",
                        segment / per_directory
                    )));
                }
                segments.push(segment);
            }
        }
        segments.sort_unstable();
        if let Some(highest) = segments.last().filter(|highest| **highest > MAX_SEGMENT) {
            return Err(RepositoryError::CheckNeeded(format!("no segment can have the number {highest}")));
        }
        Ok(segments)
    }

    /// Numbers that name an entry of the wanted kind in `directory`.
    ///
    /// A symlink that leads nowhere is an error: what it stands for is somewhere else, and not to be had now.
    fn numbers(&self, directory: &Path, wanted: EntryKind) -> Result<Vec<u32>, DiskError> {
        let mut numbers = Vec::new();
        for (name, kind) in self.disk.list(directory)? {
            let Some(number) = name.to_str().and_then(parse_number) else { continue };
            let kind = match kind {
                // Perhaps a symlink, which stock follows.
                EntryKind::Other => self.disk.metadata(&directory.join(&name))?.kind,
                kind => kind,
            };
            if kind == wanted {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Length of a segment in bytes; `None` if it is missing or empty, which means the same: stock empties a
    /// segment before it removes it.
    pub(crate) fn len(&self, segment: u32) -> Result<Option<u64>, DiskError> {
        match self.disk.metadata(&self.path(segment)) {
            Ok(metadata) => Ok(Some(metadata.len).filter(|len| *len > 0)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a segment is from borg's predecessor.
    pub(crate) fn is_from_attic(&self, segment: u32) -> Result<bool, RepositoryError> {
        let mut magic = [0; MAGIC.len()];
        self.open(segment)?.read_at(&mut magic, 0)?;
        Ok(magic == ATTIC_MAGIC)
    }

    /// Starts to read a segment's entries.
    pub(crate) fn read(&self, segment: u32) -> Result<SegmentReader, RepositoryError> {
        SegmentReader::new(self.open(segment)?, segment)
    }

    /// Starts to read what is left of a segment.
    pub(crate) fn salvage(&self, segment: u32) -> Result<SalvageReader, RepositoryError> {
        Ok(SalvageReader::new(self.open(segment)?, segment)?)
    }

    /// Returns whether a segment makes valid what stands in it and before it: it ends with a COMMIT, behind which
    /// nothing but COMMITs may stand, and all its entries are intact.
    ///
    /// Bytes that look like a COMMIT do not suffice: they may be the end of an object, or of its torn remains.
    pub(crate) fn is_committed(&self, segment: u32) -> Result<bool, RepositoryError> {
        if !self.ends_with_commit(segment)? {
            return Ok(false);
        }
        let file = self.open(segment)?;
        let entries = || {
            let mut reader = SegmentReader::new(file, segment)?;
            let mut committed = false;
            while let Some(entry) = reader.next()? {
                match entry.body {
                    Body::Commit => committed = true,
                    _ if committed => return Ok(false),
                    _ => {}
                }
            }
            Ok(committed)
        };
        match entries() {
            Err(RepositoryError::Damaged { .. }) => Ok(false),
            result => result,
        }
    }

    /// Returns whether a segment's last bytes look like a COMMIT.
    pub(crate) fn ends_with_commit(&self, segment: u32) -> Result<bool, RepositoryError> {
        let file = self.open(segment)?;
        let mut tail = [0; COMMIT.len()];
        let Some(offset) = file.len()?.checked_sub(tail.len() as u64) else { return Ok(false) };
        file.read_at(&mut tail, offset)?;
        Ok(tail == COMMIT)
    }

    /// Reads the object `id` that was put at `location`.
    pub(crate) fn object(&self, location: Location, id: &ChunkId, room: &mut dyn Room) -> Result<(), RepositoryError> {
        let Location { segment, offset } = location;
        let file = self.open(segment)?;
        let mut first = [0; FIRST_READ_BYTES];
        let read = file.read_at(&mut first, offset.into())?;
        let put = PutHeader::decode_put(&first[..read], id).map_err(|error| damaged(segment, offset, &error))?;
        let rest = &first[PutHeader::LEN..read];
        let len = put.header.size as usize - PutHeader::LEN;
        let data = room.of(len);
        let mut there = rest.len().min(len);
        data[..there].copy_from_slice(&rest[..there]);
        if there < len {
            there += file.read_at(&mut data[there..], u64::from(offset) + (PutHeader::LEN + there) as u64)?;
        }
        if there < len {
            let missing = len - there;
            return Err(damaged(segment, offset, &format!("the file ends {missing} bytes before object {id} does")));
        }
        put.verify(data).map_err(|error| damaged(segment, offset, &format!("object {id}: {error}")))
    }

    /// Size in bytes of the whole PUT entry of `id` at `location`. Only the header is read, so the size is as good
    /// as the header.
    pub(crate) fn entry_size(&self, location: Location, id: &ChunkId) -> Result<u32, RepositoryError> {
        let mut header = [0; PutHeader::LEN];
        let read = self.open(location.segment)?.read_at(&mut header, location.offset.into())?;
        PutHeader::decode_put(&header[..read], id)
            .map(|put| put.header.size)
            .map_err(|error| damaged(location.segment, location.offset, &error))
    }

    /// Creates a segment. One that exists is an error: it would be somebody else's.
    pub(crate) fn create(&self, segment: u32) -> Result<SegmentWriter, RepositoryError> {
        if segment > MAX_SEGMENT {
            return Err(RepositoryError::Other("the repository has no segment numbers left".into()));
        }
        disk::create_dir_all(&*self.disk, &self.directory(segment))?;
        self.open.forget(segment);
        Ok(SegmentWriter::new(segment, self.disk.create(&self.path(segment))?))
    }

    /// Creates another file for a segment beside the one there is, which stays what it is. Everybody passes it over.
    /// One that exists is an error.
    pub(crate) fn create_beside(&self, segment: u32) -> Result<SegmentWriter, RepositoryError> {
        Ok(SegmentWriter::new(segment, self.disk.create(&self.beside(segment))?))
    }

    /// Puts the file that was created beside a segment, and is durable, in its place.
    pub(crate) fn replace(&self, segment: u32) -> Result<(), DiskError> {
        self.open.forget(segment);
        self.disk.rename(&self.beside(segment), &self.path(segment))?;
        self.sync_names([segment])
    }

    /// Removes the file that was created beside a segment, if there is one.
    pub(crate) fn remove_beside(&self, segment: u32) -> Result<(), DiskError> {
        disk::remove_if_there(&*self.disk, &self.beside(segment))
    }

    /// Removes all files that were created beside segments.
    pub(crate) fn remove_all_beside(&self) -> Result<(), DiskError> {
        for directory in self.numbers(&self.data, EntryKind::Directory)? {
            let directory = self.data.join(directory.to_string());
            for (name, _) in self.disk.list(&directory)? {
                if is_beside(&name) {
                    disk::remove_if_there(&*self.disk, &directory.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Makes durable what is there: the directories, and the segment with the last COMMIT where nothing tells that it is.
    ///
    /// Whoever made them may have been killed before the sync, and what comes behind them would outlive them. Or the
    /// sync has failed, after which another one proves nothing; so the segment is written anew, if there is room.
    pub(crate) fn make_durable(&self, segment: Option<u32>) -> Result<(), RepositoryError> {
        self.disk.sync_dir(&self.data)?;
        let Some(segment) = segment else { return Ok(()) };
        // A repair may have exchanged segments, and failed as it made that durable.
        self.sync_names(self.list()?)?;
        self.remove_beside(segment)?;
        match self.copy_beside(segment) {
            Ok(()) => Ok(self.replace(segment)?),
            Err(error) if error.is_out_of_space() => {
                self.remove_beside(segment)?;
                Ok(self.disk.open_append(&self.path(segment))?.sync()?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Copies a segment, durably, to the file beside it.
    fn copy_beside(&self, segment: u32) -> Result<(), DiskError> {
        let from = self.disk.open(&self.path(segment))?;
        let mut to = self.disk.create(&self.beside(segment))?;
        let (mut piece, mut offset) = (vec![0; COPIED_BYTES], 0);
        loop {
            let read = from.read_at(&mut piece, offset)?;
            if read == 0 {
                return to.sync();
            }
            to.append(&piece[..read])?;
            offset += read as u64;
        }
    }

    /// Waits until the names in the directories of these segments are durable.
    pub(crate) fn sync_names(&self, segments: impl IntoIterator<Item = u32>) -> Result<(), DiskError> {
        let directories: BTreeSet<_> = segments.into_iter().map(|segment| self.directory(segment)).collect();
        directories.iter().try_for_each(|directory| self.disk.sync_dir(directory))
    }

    /// Removes a segment; a missing one is fine.
    pub(crate) fn remove(&self, segment: u32) -> Result<(), DiskError> {
        self.open.forget(segment);
        disk::remove_if_there(&*self.disk, &self.path(segment))
    }

    /// Removes the directories that have become empty.
    pub(crate) fn remove_empty_directories(&self) -> Result<(), DiskError> {
        let mut removed = false;
        for directory in self.numbers(&self.data, EntryKind::Directory)? {
            // Only an empty one can be removed, so there is no need to look first.
            removed |= self.disk.remove_dir(&self.data.join(directory.to_string())).is_ok();
        }
        if removed { self.disk.sync_dir(&self.data) } else { Ok(()) }
    }

    /// Closes a segment that is kept open, so that it is opened anew.
    pub(crate) fn close(&self, segment: u32) {
        self.open.forget(segment);
    }

    fn open(&self, segment: u32) -> Result<Arc<dyn DiskFile>, RepositoryError> {
        self.open.get_or_open(segment, || self.disk.open(&self.path(segment))).map_err(|error| {
            if error.is_not_found() { damaged(segment, 0u32, &"the file is missing") } else { error.into() }
        })
    }

    fn directory(&self, segment: u32) -> PathBuf {
        self.data.join((segment / self.per_directory).to_string())
    }

    fn beside(&self, segment: u32) -> PathBuf {
        self.directory(segment).join(format!("{segment}{BESIDE}"))
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.directory(segment).join(segment.to_string())
    }
}

/// Returns whether a file name is one of those that are created beside segments.
pub(crate) fn is_beside(name: &OsStr) -> bool {
    name.to_str().and_then(|name| name.strip_suffix(BESIDE)).and_then(parse_number).is_some()
}

/// Reads a decimal number as it would be written: without padding or sign.
pub(crate) fn parse_number(name: &str) -> Option<u32> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if canonical { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_name_segments() {
        assert_eq!(parse_number("0"), Some(0));
        assert_eq!(parse_number("4294967295"), Some(u32::MAX));
        for name in ["", "00", "07", "+7", "-7", " 7", "7 ", "7.tmp", ".nfs7", "4294967296", "٣"] {
            assert_eq!(parse_number(name), None, "{name:?}");
        }
    }
}
