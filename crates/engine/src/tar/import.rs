//! A new archive from a tar. What it holds is what stock would take from the same tar, and a little more: whole
//! nanoseconds, extended attributes, and further links that find their first one under whatever name the tar has it.
//!
//! Source: borg 1.4 `archiver.py`, `_import_tar`; `archive.py`, `TarfileObjectProcessors`.

use std::io::Read;
use std::thread;
use std::time::Duration;

use rustix::fs::makedev;
use worldkeeper_archive::{ArchiveName, Item};

use super::error::TarError;
use super::header::Kind;
use super::reader::{Member, TarReader};
use crate::cache::FilesCache;
use crate::create::{
    Archive, CreateError, CreateOptions, Created, Feed, FileState, FinishedFile, Reading, Step, Watch, make,
};
use crate::monitor::Monitor;
use crate::paths::as_path;
use crate::pipeline::Closed;
use crate::session::{Session, SessionError};
use crate::source::{Action, MAX_TIME_NS, SourceError};

/// What to make of a tar.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// What the archive is to be called.
    pub name: ArchiveName,
    /// Goes on behind an end mark, as for tars one after the other; then the tar needs none.
    pub ignore_zeros: bool,
    /// How content is cut, compressed and sealed, and what the archive says of its origin. What says which files of a
    /// live tree are taken means nothing here; and the archive is made in one transaction.
    pub create: CreateOptions,
}

/// Why no archive was made of a tar.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is one of its name.
    #[error("there is already an archive {0}")]
    NameTaken(ArchiveName),
    /// The tar is broken.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The repository, or what is in it.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Makes an archive of what is in a tar.
pub fn import_tar(
    session: &mut Session,
    tar: &mut (dyn Read + Send),
    options: &ImportOptions,
    monitor: &dyn Monitor,
) -> Result<Created, ImportError> {
    session.require_trust().map_err(CreateError::from)?;
    let name = options.name.clone();
    if session.archive_info(&name).is_some() {
        return Err(ImportError::NameTaken(name));
    }
    // It belongs to no series: checkpoints of one are not its to take away.
    let (series, checkpoint_interval) = (String::new(), Duration::ZERO);
    let sources = Vec::new();
    let create = CreateOptions { series, sources, checkpoint_interval, ..options.create.clone() };
    let archive = Archive { name, start: session.now() };
    let tar = TarReader::new(tar, options.ignore_zeros);
    let mut broken = None;
    let problem = &mut broken;
    // A tar may come as slowly as it likes.
    let watch = Watch::patient(&session.clock(), &session.stop());
    let made = thread::scope(|scope| {
        let start = |feed, _: &mut Watch| {
            let work = move || *problem = Importer { tar, feed, monitor }.run();
            let thread = thread::Builder::new().name("reader".into()).spawn_scoped(scope, work);
            thread.expect("the system starts a handful of threads");
        };
        let caches = (session.take_index(monitor)?, FilesCache::default());
        make(session, &create, archive, caches, monitor, watch, start)
    });
    match (broken, made) {
        (Some(error), _) => Err(error.into()),
        (None, made) => Ok(made?.0),
    }
}

/// Makes the steps of an archive from members.
struct Importer<'a> {
    tar: TarReader<'a>,
    feed: Feed,
    monitor: &'a dyn Monitor,
}

/// Why there is nothing more to do.
enum Ended {
    Tar(TarError),
    /// The writer ended first and knows why.
    Closed,
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<TarError> for Ended {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

impl Importer<'_> {
    /// Works until the tar ends or nobody listens any more; returns what is wrong with the tar.
    fn run(mut self) -> Option<TarError> {
        match self.members() {
            Ok(()) | Err(Ended::Closed) => None,
            Err(Ended::Tar(error)) => {
                // What the writer makes of it is not looked at.
                _ = self.feed.send_error(SessionError::Stopped);
                Some(error)
            }
        }
    }

    fn members(&mut self) -> Result<(), Ended> {
        while let Some(member) = self.tar.next()? {
            self.feed.go_on()?;
            let Some(kind) = member.kind else {
                self.feed.send(Step::Failed(unknown(&member)))?;
                continue;
            };
            let refused = |problem| TarError::Member { offset: member.offset, path: member.path.clone(), problem };
            let item = item(&member, kind).map_err(refused)?;
            if i128::from(item.mtime_ns) != member.mtime_ns {
                self.feed.send(Step::TimeClamped(item.path.clone()))?;
            }
            let path = item.path.clone();
            if kind == Kind::File {
                self.file(item, member.size)?;
            } else {
                self.feed.send(Step::Other(Box::new(item)))?;
            }
            self.monitor.done(as_path(&path));
        }
        Ok(self.feed.send(Step::End)?)
    }

    fn file(&mut self, item: Item, size: u64) -> Result<(), Ended> {
        self.feed.begin_file();
        let (mut left, tar) = (size, &mut self.tar);
        self.feed.stream(|pending| {
            let read = pending.fill(left, |buffer| tar.read(buffer))? as u64;
            left -= read;
            Ok::<_, Ended>(read)
        })?;
        if self.feed.has_too_many_chunks() {
            return Ok(self.feed.send(Step::Failed(SourceError::too_many_chunks(&item.path)))?);
        }
        let path = item.path.clone().into();
        let state = FileState::New;
        let reading = Reading { read_bytes: size, ..Reading::default() };
        let file = FinishedFile { item: Box::new(item), path, state, remembered: None, reading };
        Ok(self.feed.send(Step::File(Box::new(file)))?)
    }
}

fn unknown(member: &Member) -> SourceError {
    let problem = "it is of a kind that archives cannot hold";
    SourceError::new(&member.path, Action::Read, std::io::Error::new(std::io::ErrorKind::Unsupported, problem))
}

/// The item of a member, but for its content; or why there can be none.
fn item(member: &Member, kind: Kind) -> Result<Item, &'static str> {
    let file_type = match kind {
        Kind::File | Kind::HardLink => 0o100_000,
        Kind::Symlink => 0o120_000,
        Kind::CharacterDevice => 0o020_000,
        Kind::BlockDevice => 0o060_000,
        Kind::Directory => 0o040_000,
        Kind::Fifo => 0o010_000,
    };
    let name = |name: &[u8]| (!name.is_empty()).then(|| name.to_vec());
    let mtime_ns = member.mtime_ns.clamp(0, MAX_TIME_NS.into());
    let (major, minor) = member.device;
    Ok(Item {
        path: stored_path(&member.path)?,
        mode: file_type | member.mode,
        uid: member.uid,
        gid: member.gid,
        user: name(&member.user),
        group: name(&member.group),
        mtime_ns: i64::try_from(mtime_ns).expect("it is within limits"),
        source: match kind {
            Kind::HardLink => Some(stored_path(&member.link)?),
            Kind::Symlink if member.link.contains(&0) => return Err(NUL),
            Kind::Symlink => Some(member.link.clone()),
            _ => None,
        },
        rdev: matches!(kind, Kind::CharacterDevice | Kind::BlockDevice).then(|| makedev(major, minor)),
        xattrs: (!member.xattrs.is_empty()).then(|| member.xattrs.clone()),
        ..Item::default()
    })
}

/// A path as archives hold it: relative, with nothing in it that leads nowhere else.
fn stored_path(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    if path.contains(&0) {
        return Err(NUL);
    }
    let components = || path.split(|byte| *byte == b'/').filter(|component| !matches!(*component, b"" | b"."));
    if components().any(|component| component == b"..") {
        return Err("its path, or that of what it is a link to, leads out by `..`");
    }
    let stored = components().collect::<Vec<_>>().join(&b'/');
    Ok(if stored.is_empty() { b".".to_vec() } else { stored })
}

const NUL: &str = "there is a NUL in its path or in what it links to";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_and_never_lead_out() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("///a", Some("a")),
            ("./", Some(".")),
            ("a..b/...", Some("a..b/...")),
            ("../a", None),
            ("a/../b", None),
            ("a/..", None),
            ("a\0b", None),
        ] {
            assert_eq!(stored_path(path.as_bytes()).ok().as_deref(), expected.map(str::as_bytes), "{path:?}");
        }
    }
}
