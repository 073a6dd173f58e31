//! A process as its model sees it: what its calls were answered so far.
//!
//! Code that runs cannot be copied in the middle, but it can be brought to the same place again: it is begun anew, and
//! each of its calls gets the answer it got before. Then one more call is carried out; at the next one the code is
//! stopped: it, and all that follow, fail without being carried out. So the product's code needs no thread of its own to
//! stand still in, and what a process is can be kept, compared and taken up as often as there are ways to go on.
//!
//! A call is what others can see or change: of the disk, and whether a holder is dead. What is read is what the file held
//! when it was opened, since the files of locks are replaced and never changed. Syncs do not count: no power fails here.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use worldkeeper_core::disk::{self, DiskFile, EntryKind, FileLock, Metadata};
use worldkeeper_core::lock::{LockId, LockIdentity};
use worldkeeper_core::{Clock, Disk, DiskError};
use worldkeeper_testkit::disk::MemoryDisk;

use super::process::{Answer, Call, PATH, Process, Stage};

/// The world as the code of a process sees it, while it is brought where it was and one call further.
#[derive(Clone)]
pub(super) struct Player(Arc<Mutex<Run>>);

struct Run {
    process: Process,
    disk: MemoryDisk,
    is_dead: Box<dyn Fn(&LockId) -> bool + Send>,
    /// How many of the calls have been answered as before.
    answered: usize,
    may_act: bool,
    halted: bool,
    /// With what the next attempt has to begin, when one has just failed.
    again: Option<Call>,
}

impl Player {
    /// For one more call of a process; `is_dead` is what it finds out about others.
    pub(super) fn new(process: Process, disk: &MemoryDisk, is_dead: impl Fn(&LockId) -> bool + Send + 'static) -> Self {
        let process = Process { stage: Stage::Takes, begun: (0, 0), ..process };
        let (disk, is_dead) = (disk.clone(), Box::new(is_dead));
        Self(Arc::new(Mutex::new(Run {
            process,
            disk,
            is_dead,
            answered: 0,
            may_act: true,
            halted: false,
            again: None,
        })))
    }

    /// What has become of the process.
    pub(super) fn process(&self) -> Process {
        self.run().process.clone()
    }

    /// Returns whether its code was stopped at a call, or is waiting.
    pub(super) fn stands_still(&self) -> bool {
        self.run().halted
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        crate::sync::lock(&self.0)
    }

    /// Says how far the process has come.
    pub(super) fn enter(&self, stage: Stage) {
        let mut run = self.run();
        if !run.halted {
            run.process.stage = stage;
            run.process.begun = (run.process.begun.0 + 1, run.answered);
        }
    }

    /// Enters a stage that others may meet it in.
    pub(super) fn stay(&self, stage: Stage) -> Result<(), DiskError> {
        self.enter(stage);
        self.ask("stay in", Path::new(PATH), |_| Ok(Answer::Done)).map(drop)
    }

    /// Answers a call as it was answered before, or carries it out, or fails it.
    fn ask(
        &self,
        verb: &'static str,
        path: &Path,
        act: impl FnOnce(&Run) -> Result<Answer, DiskError>,
    ) -> Result<Answer, DiskError> {
        let mut run = self.run();
        if run.halted || (run.answered == run.process.calls.len() && !run.may_act) {
            if let Some(first) = run.again.take().filter(|first| (first.verb, &*first.path) != (verb, path)) {
                run.process.failure = Some(format!("an attempt begins with {first:?}, the next one with {verb}"));
            }
            run.halted = true;
            return Err(DiskError::new(verb, path, io::Error::other("the process stands still")));
        }
        if let Some(call) = run.process.calls.get(run.answered) {
            assert_eq!((call.verb, &*call.path), (verb, path), "the same answers lead to the same calls");
        } else {
            run.may_act = false;
            let answer = act(&run).unwrap_or_else(|error| Answer::Failed(error.kind()));
            run.process.calls.push(Call { verb, path: path.to_owned(), answer });
        }
        run.answered += 1;
        match run.process.calls[run.answered - 1].answer.clone() {
            Answer::Failed(kind) => Err(DiskError::new(verb, path, kind.into())),
            answer => Ok(answer),
        }
    }

    /// As [`ask`](Self::ask), of the disk, with random numbers taken out of the path.
    fn call(
        &self,
        verb: &'static str,
        path: &Path,
        act: impl FnOnce(&MemoryDisk, &Path) -> Result<Answer, DiskError>,
    ) -> Result<Answer, DiskError> {
        let path = steady(path);
        self.ask(verb, &path, |run| act(&run.disk, &path))
    }

    fn file(&self, path: &Path, content: Arc<Vec<u8>>) -> Box<dyn DiskFile> {
        Box::new(File { player: self.clone(), path: path.to_owned(), content })
    }
}

/// The path with a zero for each number that is drawn. A process makes one such directory at a time, and they are told
/// apart by the incarnation before it.
fn steady(path: &Path) -> PathBuf {
    let parts = path.iter().map(|part| {
        let drawn = part.to_str().and_then(|part| part.strip_suffix(".tmp")?.rsplit_once('-'));
        drawn.map_or_else(|| part.to_owned(), |(incarnation, _)| format!("{incarnation}-0.tmp").into())
    });
    parts.collect()
}

impl Disk for Player {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let read = |disk: &MemoryDisk, path: &Path| Ok(Answer::Content(Arc::new(disk::read(disk, path, 1 << 20)?)));
        let Answer::Content(content) = self.call("open", path, read)? else { unreachable!("it was opened") };
        Ok(self.file(path, content))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Err(DiskError::new("open", path, ErrorKind::Unsupported.into()))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        self.call("create", path, |disk, path| disk.create(path).map(|_| Answer::Done))?;
        Ok(self.file(path, Arc::default()))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        let look = |disk: &MemoryDisk, path: &Path| {
            let metadata = disk.metadata(path)?;
            Ok(Answer::Metadata { is_directory: metadata.kind == EntryKind::Directory, len: metadata.len })
        };
        let Answer::Metadata { is_directory, len } = self.call("look at", path, look)? else {
            unreachable!("it was looked at")
        };
        Ok(Metadata { kind: kind(is_directory), len, mode: 0o600, uid: 0 })
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, EntryKind)>, DiskError> {
        let list = |disk: &MemoryDisk, path: &Path| {
            let names = disk.list(path)?.into_iter();
            Ok(Answer::Names(names.map(|(name, kind)| (name, kind == EntryKind::Directory)).collect()))
        };
        let Answer::Names(names) = self.call("list", path, list)? else { unreachable!("it was listed") };
        Ok(names.into_iter().map(|(name, is_directory)| (name, kind(is_directory))).collect())
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.call("create directory", path, |disk, path| disk.create_dir(path).map(|()| Answer::Done)).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let from = steady(from);
        self.call("rename to", to, |disk, to| disk.rename(&from, to).map(|()| Answer::Done)).map(drop)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.call("remove", path, |disk, path| disk.remove_file(path).map(|()| Answer::Done)).map(drop)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.call("remove directory", path, |disk, path| disk.remove_dir(path).map(|()| Answer::Done)).map(drop)
    }

    fn sync_dir(&self, _path: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        Err(DiskError::new("ask for the free space of", path, ErrorKind::Unsupported.into()))
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        Ok(path.to_owned())
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        Err(DiskError::new("lock", path, ErrorKind::Unsupported.into()))
    }
}

fn kind(is_directory: bool) -> EntryKind {
    if is_directory { EntryKind::Directory } else { EntryKind::File }
}

struct File {
    player: Player,
    path: PathBuf,
    content: Arc<Vec<u8>>,
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let rest = self.content.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        // By its name: it would be a finding if that were somebody else's by now, and the content is compared.
        let append = |disk: &MemoryDisk, path: &Path| disk.open_append(path)?.append(bytes).map(|()| Answer::Done);
        self.player.call("write", &self.path, append).map(drop)
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.content.len() as u64)
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl LockIdentity for Player {
    fn own(&self) -> LockId {
        self.run().process.id.clone()
    }

    fn is_dead(&self, holder: &LockId) -> bool {
        let name = format!("{:x}", holder.thread);
        let answer = self.ask("judge", Path::new(&name), |run| Ok(Answer::IsDead((run.is_dead)(holder))));
        matches!(answer, Ok(Answer::IsDead(true)))
    }
}

impl Clock for Player {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    /// Nobody here holds the lock for longer than anybody waits, but who stands still is not to wait for ever.
    fn monotonic(&self) -> Duration {
        if self.run().halted { Duration::MAX } else { Duration::ZERO }
    }

    /// A failed attempt leaves nothing in the process, so it is forgotten. That the next one begins with the same call is
    /// required.
    fn sleep(&self, _duration: Duration) {
        let mut run = self.run();
        if run.halted {
            return;
        }
        let (_, before) = run.process.begun;
        let first = run.process.calls.get(before).cloned();
        if run.again.is_some() || first.is_none() {
            run.process.failure = Some("it waits without a look at the lock".into());
            run.halted = true;
            return;
        }
        run.again = first;
        run.process.calls.truncate(before);
        run.answered = before;
        run.may_act = false;
        run.process.waits += 1;
    }
}
