//! Nothing changes the repository or the state directory but through the seam: a process that does everything there is
//! to do says of each call of the seam what system call it stands for, and its trace has these and no others.
//!
//! That is why a disk that records the calls of the seam has recorded everything that a power failure may undo.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use worldkeeper_archive::ArchiveName;
use worldkeeper_core::disk::{DiskFile, EntryKind, FileLock, Metadata};
use worldkeeper_core::repository::CheckOptions as StoredCheckOptions;
use worldkeeper_core::{Clock, Disk, DiskError, Repository, RepositoryId, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::{
    CheckOptions, CreateOptions, NoKeyFiles, Session, SessionOptions, Silent, StateDir, check, compact, create, delete,
    rename, undelete,
};
use worldkeeper_repository::{self as repository, LocalRepository, Mode, OpenOptions, OsDisk};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::strace::{self, Call};
use worldkeeper_testkit::{gate, tree};

/// Below this name each call of the seam is announced: by removing what is not there, which a trace shows.
const ANNOUNCED: &str = "announced";

/// Where the process that is traced has its repository and its state directory.
const FOLDER: &str = "TESTS_SEAM_FOLDER";

#[test]
fn every_change_goes_through_the_seam() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return everything(folder.as_ref());
    }
    if !strace::is_there() {
        return;
    }
    let folder = gate::folder();
    let test: [OsString; 3] = [
        std::env::current_exe().expect("a test knows its own path").into(),
        "--exact".into(),
        "every_change_goes_through_the_seam".into(),
    ];
    let calls = strace::changes(&test, (FOLDER, folder.path().as_os_str()), folder.path());
    let mut threads: Vec<_> = calls.iter().map(|call| &call.thread).collect();
    threads.sort();
    threads.dedup();
    let seen: usize = threads.iter().map(|thread| announced(&calls, thread, folder.path())).sum();
    println!("{seen} calls of the seam in {} threads", threads.len());
    assert!(seen > 500, "{seen} calls");
}

/// Requires that each system call of a thread is the one that the seam announced before it; returns how many there were.
fn announced(calls: &[Call], thread: &str, folder: &Path) -> usize {
    let announcements = folder.join(ANNOUNCED);
    let (mut due, mut is_met, mut count) = ((String::new(), PathBuf::new()), true, 0);
    for call in calls.iter().filter(|call| call.thread == thread) {
        let path = Path::new(&call.on_path.0);
        if let Ok(announced) = path.strip_prefix(&announcements) {
            assert!(is_met, "{due:?} was announced and not done, before {call}");
            let mut components = announced.components();
            let name = components.next().expect("an announcement names a call").as_os_str();
            due = (name.to_str().expect("names of calls are text").to_owned(), folder.join(components.as_path()));
            (is_met, count) = (false, count + 1);
            continue;
        }
        // Many bytes may take several calls.
        let is_more = is_met && call.name == "write";
        assert!(!is_met || is_more, "nobody announced {call}, after {due:?}");
        assert_eq!((call.name.as_str(), path), (due.0.as_str(), due.1.as_path()), "{call}");
        is_met = true;
    }
    assert!(is_met, "{due:?} was announced and not done");
    count
}

/// Everything that changes a repository, in a process of its own.
fn everything(folder: &Path) {
    let world = TempDir::new().unwrap();
    tree::world(world.path(), 5, "seam");
    let disk: Arc<dyn Disk> = Arc::new(Announcing { folder: folder.to_owned() });
    let path = folder.join("repository");
    let state = StateDir::open(Arc::clone(&disk), &folder.join("state"), "test").unwrap();
    LocalRepository::create(disk.as_ref(), &path, &repository::CreateOptions::new(RepositoryId([7; 32]))).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2030-01-01T00:00:00Z").ticking());
    let local = |mode| {
        let (identity, clock) = (state.identity(), Arc::clone(&clock));
        let options = OpenOptions { mode, wait: None, on_wait: None, identity, clock, stop: Stop::default() };
        Box::new(LocalRepository::open(Arc::clone(&disk), &path, &options).unwrap())
    };
    let options = SessionOptions {
        state: &state,
        key_store: &NoKeyFiles,
        passphrase: Some("correct horse"),
        clock: Arc::clone(&clock),
        stop: Stop::default(),
    };
    drop(Session::initialize(local(Mode::Exclusive), EncryptionMode::RepokeyBlake2, &options).unwrap());
    let open = || Session::open(local(Mode::Exclusive), &options).unwrap();
    for seed in ["one", "two", "three"] {
        tree::world(&world.path().join("own"), 5, seed);
        create(&mut open(), &CreateOptions::new("mc", [world.path().to_owned()]), &Silent).unwrap();
    }
    let names: Vec<ArchiveName> = open().archives().into_iter().map(|archive| archive.name).collect();
    delete(&mut open(), &names[..1], &Silent).unwrap();
    undelete(&mut open(), &[names[0].to_string()], &Silent).unwrap();
    rename(&mut open(), &names[0], &ArchiveName::from_bytes("renamed"), &Silent).unwrap();
    delete(&mut open(), &names[1..], &Silent).unwrap();
    compact(&mut open(), 10).unwrap();
    open().change_passphrase("battery staple", &NoKeyFiles).unwrap();
    let options = SessionOptions { passphrase: Some("battery staple"), ..options };
    let states = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let is_state =
        |path: &PathBuf| ["index", "hints", "integrity"].iter().any(|state| path.file_stem().unwrap() == *state);
    for lost in states.filter(is_state).collect::<Vec<_>>() {
        disk.remove_file(&lost).unwrap();
    }
    let stored = local(Mode::Exclusive);
    let _ = stored.check(&StoredCheckOptions { repair: true, max_duration: None }, &mut |_| {}).unwrap();
    let (mut session, loss) = Session::open_for_check(stored, &options).unwrap();
    check(&mut session, loss.as_ref(), &CheckOptions { repair: true, ..CheckOptions::default() }, &Silent).unwrap();
}

/// The machine's files; whatever changes them is announced.
struct Announcing {
    folder: PathBuf,
}

struct AnnouncingFile {
    file: Box<dyn DiskFile>,
    folder: PathBuf,
    path: PathBuf,
}

fn announce(folder: &Path, call: &str, path: &Path) {
    let below = path.strip_prefix(folder).expect("all is below the folder");
    // A path of the folder itself would end in a slash.
    let announcement = folder.join(ANNOUNCED).join(call).join(below);
    let told = fs::remove_file(announcement.components().as_path());
    assert_eq!(told.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

impl Announcing {
    fn file(&self, file: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        Box::new(AnnouncingFile { file, folder: self.folder.clone(), path: path.to_owned() })
    }
}

impl DiskFile for AnnouncingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.file.read_at(buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if !bytes.is_empty() {
            announce(&self.folder, "write", &self.path);
        }
        self.file.append(bytes)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    fn sync(&self) -> Result<(), DiskError> {
        announce(&self.folder, "fdatasync", &self.path);
        self.file.sync()
    }
}

impl Disk for Announcing {
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(self.file(OsDisk.open(path)?, path))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        Ok(self.file(OsDisk.open_append(path)?, path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        announce(&self.folder, "openat", path);
        Ok(self.file(OsDisk.create(path)?, path))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, DiskError> {
        OsDisk.metadata(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<(OsString, EntryKind)>, DiskError> {
        OsDisk.list(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), DiskError> {
        announce(&self.folder, "mkdir", path);
        OsDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        announce(&self.folder, "rename", from);
        OsDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        announce(&self.folder, "unlink", path);
        OsDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        announce(&self.folder, "rmdir", path);
        OsDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        announce(&self.folder, "fsync", path);
        OsDisk.sync_dir(path)
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        OsDisk.available_bytes(path)
    }

    fn canonicalize(&self, path: &Path) -> Result<PathBuf, DiskError> {
        OsDisk.canonicalize(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn FileLock>>, DiskError> {
        announce(&self.folder, "openat", path);
        OsDisk.try_lock(path)
    }
}
