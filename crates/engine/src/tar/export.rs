//! An archive as a tar, byte by byte what stock writes: GNU's format, times in whole seconds, without extended
//! attributes, ACLs and flags.
//!
//! Source: borg 1.4 `archiver.py`, `_export_tar`.

use std::io::Write;

use rustix::fs::{FileType, major, minor};
use worldkeeper_archive::Item;

use super::header::{BLOCK, Header, Kind};
use crate::extract::{self, Content, ExtractError, ExtractStats, Sink, SinkError, Wanted};
use crate::monitor::Monitor;
use crate::pipeline::default_workers;
use crate::restore::RestoreError;
use crate::session::{OpenArchive, Session, SessionError};

/// A tar is padded to a multiple of this, as tapes wanted it.
const RECORD: u64 = 20 * BLOCK as u64;

/// Writes what is wanted of an archive to `output`, as a tar. After an error what was written is no whole tar.
pub fn export_tar(
    session: &Session,
    archive: &OpenArchive,
    output: &mut (dyn Write + Send),
    wanted: &Wanted,
    monitor: &dyn Monitor,
) -> Result<ExtractStats, ExtractError> {
    let mut tar = Tar { output, len: 0 };
    let (_, nothing_unset) = crossbeam_channel::unbounded();
    let members = Members { tar: &mut tar, path: Vec::new(), expected: None, written: 0 };
    let stats = extract::run(session, archive, wanted, default_workers(), members, nothing_unset, monitor)?;
    // Two empty blocks are the end.
    tar.zeros(2 * BLOCK as u64)?;
    tar.pad_to(RECORD)?;
    tar.output.flush().map_err(ExtractError::Output)?;
    Ok(stats)
}

/// The stream, and how long it is.
struct Tar<'a> {
    output: &'a mut (dyn Write + Send),
    len: u64,
}

impl Tar<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        self.len += bytes.len() as u64;
        self.output.write_all(bytes).map_err(ExtractError::Output)
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), ExtractError> {
        while count > 0 {
            let now = count.min(BLOCK as u64);
            self.write(&[0; BLOCK][..now as usize])?;
            count -= now;
        }
        Ok(())
    }

    fn pad_to(&mut self, multiple: u64) -> Result<(), ExtractError> {
        self.zeros(self.len.next_multiple_of(multiple) - self.len)
    }
}

/// Makes a member of each item.
struct Members<'t, 'a> {
    tar: &'t mut Tar<'a>,
    /// The member whose content comes, and how long the archive says that it is.
    path: Vec<u8>,
    expected: Option<u64>,
    written: u64,
}

impl Sink for Members<'_, '_> {
    fn begin(&mut self, item: &Item, size: u64) -> Result<Content, SinkError> {
        let is_link = item.source.is_some();
        let kind = match FileType::from_raw_mode(item.mode) {
            FileType::RegularFile if is_link => Kind::HardLink,
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharacterDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            _ => return Err(SinkError::item(RestoreError::Type { path: item.path.clone(), mode: item.mode })),
        };
        let mut name = item.path.clone();
        if kind == Kind::Directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        let device = item.rdev.unwrap_or(0);
        let header = Header {
            name: &name,
            kind,
            mode: item.mode,
            uid: item.uid,
            gid: item.gid,
            size: if kind == Kind::File { size } else { 0 },
            mtime: seconds(item.mtime_ns),
            link: if matches!(kind, Kind::HardLink | Kind::Symlink) {
                item.source.as_deref().unwrap_or(b"")
            } else {
                b""
            },
            user: item.user.as_deref().unwrap_or(b""),
            group: item.group.as_deref().unwrap_or(b""),
            device: matches!(kind, Kind::CharacterDevice | Kind::BlockDevice).then(|| (major(device), minor(device))),
        };
        self.tar.write(&header.encode())?;
        (self.path, self.expected, self.written) = (item.path.clone(), item.size, 0);
        Ok(if kind == Kind::File { Content::Wanted } else { Content::None })
    }

    fn write(&mut self, content: &[u8]) -> Result<(), SinkError> {
        self.written += content.len() as u64;
        Ok(self.tar.write(content)?)
    }

    fn end(&mut self) -> Result<(), SinkError> {
        self.tar.pad_to(BLOCK as u64)?;
        SinkError::unless_whole(std::mem::take(&mut self.path), self.expected, self.written)
    }

    /// The header has promised the content.
    fn abandon(&mut self) -> Result<(), ExtractError> {
        Err(ExtractError::TarBroken { path: std::mem::take(&mut self.path) })
    }

    /// Nobody sees of a tar what it lacks.
    fn gap(&mut self, error: SessionError) -> Result<(), ExtractError> {
        Err(error.into())
    }

    fn finish(self) {}
}

impl From<ExtractError> for SinkError {
    fn from(error: ExtractError) -> Self {
        Self::End(error)
    }
}

/// Whole seconds, rounded as stock does it: by way of a float, which has no room for all nanoseconds.
fn seconds(time_ns: i64) -> i64 {
    (time_ns as f64 / 1e9) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_of_a_float() {
        assert_eq!(seconds(1_234_567_890_987_654_321), 1_234_567_890);
        assert_eq!(seconds(2_147_310_846_999_999_999), 2_147_310_847);
        assert_eq!(seconds(-1), 0);
    }
}
